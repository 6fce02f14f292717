"""
===========================================
Which features of a network are robust?
===========================================

The eigenvectors of a network's tangent kernel are its features. Each feature is a classifier:
its accuracy is called its usefulness, and its accuracy under an attack on itself is called its
robustness. Robust features lie at the top of the spectrum (Fig. 2 right, 8 and 9 of the paper).

By default the example runs on scikit-learn's digits; other images are read from a file::

    python examples/plot_robust_features.py --data cifar.npz --eps 0.031 --kernels fc1 fc2 conv1
"""

# %%
# Options, and the data.

import argparse
import time

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import spearmanr

from skntk import SpectralFeatureDecomposer
from skntk.datasets import load_images
from skntk.inspection import RobustnessUsefulnessDisplay

parser = argparse.ArgumentParser(description="Usefulness and robustness of NTK features.")
parser.add_argument("--data", default="digits", help="a name such as mnist, a file or a folder")
parser.add_argument("--pixel-range", nargs=2, type=float, help="values of black and white")
parser.add_argument("--channels-first", action=argparse.BooleanOptionalAction)
parser.add_argument("--classes", nargs=2, help="keep only these two, by label or name")
parser.add_argument("--n-train", type=int, default=1000)
parser.add_argument("--n-test", type=int, default=300)
parser.add_argument("--kernels", nargs="+", default=["fc1", "fc2", "fc5", "two_layer"])
parser.add_argument("--n-features", type=int, default=100, help="top of the spectrum to score")
parser.add_argument("--eps", type=float, default=0.1, help="largest change of a pixel in [0, 1]")
parser.add_argument("--output", default="robust_features.png", help="where to save the picture")
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
# Each kernel takes one partial eigendecomposition; all features are scored in one pass.

figure, axes = plt.subplots(
    1,
    len(options.kernels),
    figsize=(3.4 * len(options.kernels), 3.6),
    layout="constrained",
    squeeze=False,
)
n_features = min(options.n_features, len(data.X_train))
print(
    f"{'kernel':<10} {'decompose':>9} {'score':>7}  robustness of the first 5 of {n_features} "
    "features, of the lower half, rank corr."
)
for kernel, ax in zip(options.kernels, axes[0], strict=True):
    start = time.perf_counter()
    decomposer = SpectralFeatureDecomposer(kernel, n_components=n_features)
    decomposer.fit(data.X_train, data.y_train)
    fitted = time.perf_counter()
    display = RobustnessUsefulnessDisplay.from_estimator(
        decomposer, data.X_test, data.y_test, eps=options.eps, name=kernel, ax=ax
    )
    scored = time.perf_counter()
    robustness = display.robustness
    # The correlation is undefined if all values are equal.
    varies = np.ptp(robustness) > 0
    correlation = spearmanr(np.arange(n_features), robustness).statistic if varies else 0.0
    print(
        f"{kernel:<10} {fitted - start:>7.2f} s {scored - fitted:>5.2f} s  "
        f"{robustness[:5].mean():.3f}, {robustness[n_features // 2 :].mean():.3f}, "
        f"{correlation:+.3f}"
    )

plt.savefig(options.output, dpi=150)
print(f"\nsaved {options.output}")
