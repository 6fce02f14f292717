"""
====================================================
Fig. 10 and 11: robust features alone are not enough
====================================================

Features are ranked by their robustness on a part of the test images, and the r most robust ones
make a kernel machine, which is attacked on the other part by FGSM and PGD-10. Fig. 10 is MNIST,
where the paper finds no machine that is accurate and robust; Fig. 11 is the pair of CIFAR-10, where
some number of features is the most robust.

::

    python examples/paper/fig10_11_selection.py --data mnist.npz --scale paper --out figures
"""

# %%
# The Gram matrix is that of all training images (10,000 in the paper), none of which is held out.

from _common import Report, load, read_options
from _rules import no_trade, sweet_spot
from sklearn.model_selection import train_test_split

from skntk import RobustFeatureSelector, SpectralFeatureDecomposer
from skntk.inspection import RobustSelectionDisplay

options = read_options(
    "Machines of the most robust features.",
    small={"n_train": 300, "n_test": 300, "kernel": "fc1"},
    paper={"n_train": 10000, "n_test": None, "kernel": "fc1"},
)
data = load(options)
report = Report(options, data)
X_rank, X_test, y_rank, y_test = train_test_split(
    data.X_test, data.y_test, test_size=0.5, random_state=0, stratify=data.y_test
)

# %%
# Below the last feature with any robustness, the order is that of the eigenvalues.

decomposer = SpectralFeatureDecomposer(options.kernel).fit(data.X_train, data.y_train)
selector = RobustFeatureSelector(
    decomposer, cv="prefit", n_features_to_select=1, eps=options.eps, clip_values=(0.0, 1.0)
).fit(X_rank, y_rank)
n_robust = int((selector.decomposer_.robustness_ > 0).sum())
print(f"{n_robust} of {len(selector.ranking_)} features have a robustness above 0")
display = RobustSelectionDisplay.from_estimator(selector, X_test, y_test, eps_step=options.eps_step)
number = 10 if data.n_classes > 2 else 11
display.ax_.set_title(f"{options.kernel}, {len(data.X_train)} images, eps = {options.eps:.3g}")
report.draw(f"fig{number}")
print(" features " + "  ".join(display.curves))
for r, *values in zip(display.n_features, *display.curves.values(), strict=True):
    print(
        f"{r:>9} "
        + "  ".join(f"{v:{len(name)}.3f}" for name, v in zip(display.curves, values, strict=True))
    )

# %%
# The claims.

robust = display.curves["own PGD"]
if data.n_classes > 2:
    report.add(
        "10",
        "No machine of robust features is accurate and robust (several classes)",
        "no non-trivial performance without compromising robustness",
        no_trade(display.curves["clean"], robust, data.chance, len(X_test)),
    )
else:
    report.add(
        "11",
        "Some robustness is gained by keeping only robust features (two classes)",
        "a sweet spot where robustness is largest",
        sweet_spot(robust, len(X_test)),
    )
report.save()
