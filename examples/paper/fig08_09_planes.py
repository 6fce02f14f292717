"""
===================================================
Fig. 8 and 9: usefulness and robustness of features
===================================================

The first hundred features of seven kernels, each a dot: to the right the more robust, to the top
the more useful. Fig. 8 is MNIST, Fig. 9 the pair of CIFAR-10. The paper says that robust features
lie at the top of the spectrum, that many useful features are not robust, and that the picture
hardly changes from one architecture to another.

::

    python examples/paper/fig08_09_planes.py --data mnist.npz --scale paper --out figures
"""

# %%
# The paper's Gram matrices are of 10,000 images. Convolutional kernels cost far more; a number of
# images of their own is for those who cannot wait.

import matplotlib.pyplot as plt
import numpy as np
from _common import Report, load, read_options
from _rules import above, robustness_at_the_top, useful_not_robust

from skntk import SpectralFeatureDecomposer
from skntk.inspection import RobustnessUsefulnessDisplay

ALL = ["fc1", "fc2", "fc3", "fc4", "fc5", "conv1", "conv2"]
options = read_options(
    "Usefulness and robustness of features.",
    small={"n_train": 300, "n_train_conv": 80, "n_test": 150, "n_features": 50, "kernels": ALL},
    paper={
        "n_train": 10000,
        "n_train_conv": 10000,
        "n_test": None,
        "n_features": 100,
        "kernels": ALL,
    },
)
data = load(options)
report = Report(options, data)

# %%
# One partial eigendecomposition a kernel; all its features are scored in one pass.

n_columns = min(4, len(options.kernels))
n_rows = -(-len(options.kernels) // n_columns)
figure, axes = plt.subplots(
    n_rows, n_columns, figsize=(3.2 * n_columns, 3.3 * n_rows), layout="constrained", squeeze=False
)
for ax in axes.flat[len(options.kernels) :]:
    ax.set_axis_off()
planes = {}
for kernel, ax in zip(options.kernels, axes.flat, strict=False):
    n = min(
        options.n_train_conv if kernel.startswith("conv") else options.n_train, len(data.X_train)
    )
    decomposer = SpectralFeatureDecomposer(kernel, n_components=min(options.n_features, n))
    decomposer.fit(data.X_train[:n], data.y_train[:n])
    planes[kernel] = RobustnessUsefulnessDisplay.from_estimator(
        decomposer, data.X_test, data.y_test, eps=options.eps, boxes=True, name=kernel, ax=ax
    )
    print(f"{kernel}: {n} images", flush=True)
number = "8" if data.n_classes > 2 else "9"
report.draw(f"fig{int(number):02}")

# %%
# The claims. Planes are compared feature by feature: the i-th of one kernel with the i-th of
# another.

robustness = {kernel: plane.robustness for kernel, plane in planes.items()}
report.add(
    number,
    "Robust features lie at the top of the spectrum, in every kernel",
    "features of the top eigenvectors tend to be robust",
    robustness_at_the_top(robustness),
)
pooled = (np.concatenate([getattr(p, name) for p in planes.values()]) for name in (
    "usefulness", "robustness"))  # fmt: skip
report.add(
    number,
    "Many useful features are not robust",
    "a large amount, in the upper left of the plane",
    useful_not_robust(*pooled, data.chance, len(data.X_test)),
)
if len(planes) > 1:
    values = np.array([each[: min(map(len, robustness.values()))] for each in robustness.values()])
    constant = (np.ptp(values, axis=1) == 0).any()
    alike = np.nan if constant else np.corrcoef(values)[np.triu_indices(len(values), 1)].mean()
    report.add(
        number,
        "The plane does not change much between architectures",
        "plots do not change much",
        above("mean correlation of robustness between two kernels", alike, 0.7),
    )
report.save()
