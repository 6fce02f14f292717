"""
=================================
Gradients of features at an image
=================================

A feature is visualised by its gradient at an image. The first few features are similar for all
architectures and interpretable. Deep in the spectrum there are features that predict the class,
look like noise, and are not robust at all (Fig. 1, 2 left and 4 of the paper).

By default the example runs on scikit-learn's digits; other images are read from a file::

    python examples/plot_feature_gradients.py --data cifar.npz --eps 0.031 --image 1
"""

# %%
# Options, and the data: two classes, as in the paper.

import argparse

import matplotlib.pyplot as plt
import numpy as np

from skntk import SpectralFeatureDecomposer
from skntk.datasets import load_images
from skntk.inspection import FeatureGradientDisplay, PerturbationDecompositionDisplay

parser = argparse.ArgumentParser(description="Draw NTK features.")
parser.add_argument("--data", default="digits", help="a name such as mnist, a file or a folder")
parser.add_argument("--pixel-range", nargs=2, type=float, help="values of black and white")
parser.add_argument("--channels-first", action=argparse.BooleanOptionalAction)
parser.add_argument("--classes", nargs=2, help="two, by label or name; default: the first two")
parser.add_argument("--n-train", type=int, default=1000)
parser.add_argument("--n-test", type=int, default=200)
parser.add_argument("--kernels", nargs="+", default=["fc1", "fc2", "fc5", "conv1", "two_layer"])
parser.add_argument("--eps", type=float, default=0.2, help="largest change of a pixel in [0, 1]")
parser.add_argument("--image", type=int, default=0, help="which test image to look at")
parser.add_argument("--n-deep", type=int, default=4, help="useful, non-robust features to show")
parser.add_argument("--output", default="feature_gradients", help="beginning of the file names")
options = parser.parse_args()

reading = {"pixel_range": options.pixel_range, "channels_first": options.channels_first}
classes = options.classes or list(load_images(options.data, **reading).target_names)[:2]
data = load_images(
    options.data, classes=classes, n_train=options.n_train, n_test=options.n_test, **reading
)
classes = list(data.target_names)
if not 0 <= options.image < len(data.X_test):
    parser.error(f"--image {options.image} is none of the {len(data.X_test)} test images")
x, y = data.X_test[options.image], data.y_test[options.image]

# %%
# The top features of several architectures at one image (Fig. 2, left).

n_top = min(5, len(data.X_train))
decomposers = {
    kernel: SpectralFeatureDecomposer(kernel, n_components=n_top).fit(data.X_train, data.y_train)
    for kernel in options.kernels
}
FeatureGradientDisplay.from_estimator(decomposers, x, image_shape=data.image_shape)
plt.savefig(f"{options.output}_top.png", dpi=150)

# %%
# The decomposition of one perturbation (Fig. 1). For two classes, the gradient of the loss is a sum
# over features.

decomposer = SpectralFeatureDecomposer(options.kernels[0]).fit(data.X_train, data.y_train)
PerturbationDecompositionDisplay.from_estimator(
    decomposer,
    x,
    y,
    eps=options.eps,
    image_shape=data.image_shape,
    target_names=data.target_names,
)
plt.savefig(f"{options.output}_perturbation.png", dpi=150)

# %%
# The search for useful, non-robust features (Fig. 4): score the whole spectrum, keep the features
# whose accuracy under attack is almost 0, and sort them by accuracy.

scores = decomposer.score_features(data.X_test, data.y_test, eps=options.eps)
_, counts = np.unique(data.y_test, return_counts=True)
chance = counts.max() / counts.sum()
# Robust features lie in the first twentieth of the spectrum, which is left out.
deep = np.arange(len(scores.usefulness)) >= len(scores.usefulness) // 20
non_robust = np.flatnonzero(deep & (scores.robustness < 0.05))
found = non_robust[np.argsort(-scores.usefulness[non_robust])][: options.n_deep]
print(f"features: {len(scores.usefulness)}, chance: {chance:.3f}")
print(f"useful: {(scores.usefulness > chance).sum()}, of which robust (above chance under attack): "
      f"{((scores.usefulness > chance) & (scores.robustness > chance)).sum()}")  # fmt: skip
for index in found:
    print(
        f"feature {index}: accuracy {scores.usefulness[index]:.3f}, under attack "
        f"{scores.robustness[index]:.3f}"
    )

pictures = [f"{options.output}_top.png", f"{options.output}_perturbation.png"]
if len(found) > 0:
    shown = [label for label in classes if label in data.y_test]
    examples = [data.X_test[data.y_test == label][0] for label in shown]
    FeatureGradientDisplay.from_predictions(
        decomposer.feature_gradients(np.stack(examples), components=found),
        image_shape=data.image_shape,
        row_labels=[f"at a {data.target_names[label]}" for label in shown],
        titles=[
            f"index {index + 1}\nacc. {scores.usefulness[index]:.0%}, robust "
            f"{scores.robustness[index]:.0%}"
            for index in found
        ],
    )
    plt.savefig(f"{options.output}_deep.png", dpi=150)
    pictures.append(f"{options.output}_deep.png")
else:
    print(f"no feature falls under the attack; raise --eps above {options.eps:g}")
print(f"\nsaved {', '.join(pictures)}")
