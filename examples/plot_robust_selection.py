"""
=======================================
Robust features alone are not enough
=======================================

Features are ranked by robustness on a validation split, and a kernel machine is made from the r
most robust ones. Its accuracy is plotted against r, on clean images and under attacks made from
the machine itself and from the full kernel (Fig. 10 and 11 of the paper).

By default the example runs on scikit-learn's digits; other images are read from a file::

    python examples/plot_robust_selection.py --data cifar.npz --n-train 2000 --eps 0.031
"""

# %%
# Options, and the data.

import argparse

import matplotlib.pyplot as plt

from skntk import RobustFeatureSelector, SpectralFeatureDecomposer
from skntk.datasets import load_images
from skntk.inspection import RobustSelectionDisplay

parser = argparse.ArgumentParser(description="Keep only the most robust NTK features.")
parser.add_argument("--data", default="digits", help="a name such as mnist, a file or a folder")
parser.add_argument("--pixel-range", nargs=2, type=float, help="values of black and white")
parser.add_argument("--channels-first", action=argparse.BooleanOptionalAction)
parser.add_argument("--classes", nargs=2, help="keep only these two, by label or name")
parser.add_argument("--n-train", type=int, default=1000)
parser.add_argument("--n-test", type=int, default=300)
parser.add_argument("--kernel", default="fc1")
parser.add_argument("--eps", type=float, default=0.1, help="largest change of a pixel in [0, 1]")
parser.add_argument("--eps-step", type=float, default=None, help="step of PGD; default: eps / 4")
parser.add_argument("--output", default="robust_selection.png", help="where to save the picture")
options = parser.parse_args()

data = load_images(
    options.data,
    classes=options.classes,
    n_train=options.n_train,
    n_test=options.n_test,
    pixel_range=options.pixel_range,
    channels_first=options.channels_first,
)

# %%
# One decomposition serves every number of features.

selector = RobustFeatureSelector(
    SpectralFeatureDecomposer(options.kernel), eps=options.eps, clip_values=(0.0, 1.0)
)
selector.fit(data.X_train, data.y_train)
print(
    f"{len(selector.ranking_)} features ranked on {len(data.X_train) - len(selector.X_fit_)} "
    f"held-out samples; {selector.n_features_} make the most robust machine there"
)

display = RobustSelectionDisplay.from_estimator(
    selector, data.X_test, data.y_test, eps_step=options.eps_step, verbose=1
)

# %%
# The table and the figure.

names = list(display.curves)
print("\n" + f"{'r':>6} " + " ".join(f"{name:>16}" for name in names))
for k, r in enumerate(display.n_features):
    print(f"{r:>6} " + " ".join(f"{display.curves[name][k]:>16.3f}" for name in names))

display.ax_.set_title(f"{options.kernel}, eps = {options.eps:.3g}")
plt.savefig(options.output, dpi=150)
print(f"\nsaved {options.output}")
