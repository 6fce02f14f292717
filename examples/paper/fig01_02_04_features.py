"""
============================================
Fig. 1, 2 and 4: what the features look like
============================================

Fig. 1 splits an adversarial perturbation into the parts of single features; Fig. 2 has the first
five features of seven kernels at one image, and the planes of two kernels; Fig. 4 features that are
useful for one class and not robust, earlier and later in the spectrum. The paper says that the
first features are robust and alike in all architectures, and that deep in the spectrum there are
features that predict a class and look like noise.

::

    python examples/paper/fig01_02_04_features.py --data pair.npz --scale paper --out figures
"""

# %%
# Two classes, as in the paper: cars and planes.

import matplotlib.pyplot as plt
import numpy as np
from _common import Report, load, read_options
from _rules import (
    NOT_ROBUST,
    above,
    below,
    robustness_at_the_top,
    sampling_error,
    useful_for_classes,
    useful_not_robust,
)
from sklearn.model_selection import train_test_split

from skntk import SpectralFeatureDecomposer
from skntk.inspection import (
    FeatureGradientDisplay,
    PerturbationDecompositionDisplay,
    RobustnessUsefulnessDisplay,
)

ALL = ["fc1", "fc2", "fc3", "fc4", "fc5", "conv1", "conv2"]
options = read_options(
    "What features look like.",
    small={
        **{"n_train": 250, "n_train_conv": 60, "n_test": 160, "n_features": 40, "n_scored": 250},
        **{"kernels": ALL, "planes": ["fc2", "conv2"]},
    },
    paper={
        **{"n_train": 10000, "n_train_conv": 10000, "n_test": None, "n_features": 100},
        **{"n_scored": 10000, "kernels": ALL, "planes": ["fc2", "conv2"]},
    },
    flags=[("--image", {"type": int, "default": 0, "help": "which test image to look at"})],
)
data = load(options, pair=True)
report = Report(options, data)
x, y = data.X_test[options.image], data.y_test[options.image]


def fitted(kernel, n_components=None):
    """Decomposer of a kernel, on the number of images for such kernels."""
    n = options.n_train_conv if kernel.startswith("conv") else options.n_train
    n = min(n, len(data.X_train))
    components = None if n_components is None else min(n_components, n)
    decomposer = SpectralFeatureDecomposer(kernel, n_components=components)
    return decomposer.fit(data.X_train[:n], data.y_train[:n])


# %%
# Fig. 1, of the kernel whose whole spectrum is searched below as well.

whole = fitted(options.planes[0])
PerturbationDecompositionDisplay.from_estimator(
    whole, x, y, eps=options.eps, image_shape=data.image_shape, target_names=data.target_names
)
report.draw("fig01")
split = whole.decompose_gradient(x[None], np.array([y]))
error = np.linalg.norm(split.parts[0].sum(axis=0) - split.total[0]) / np.linalg.norm(split.total)
report.add(
    "1",
    "The gradient of the loss is the sum of the features' parts (Eq. 10)",
    "exact",
    below("relative error", error, 1e-3),
)

# %%
# Fig. 2, left: the first five features of all kernels at one image.

top = {kernel: fitted(kernel, options.n_features) for kernel in options.kernels}
five = np.arange(5)
FeatureGradientDisplay.from_estimator(
    top, x, components=five, image_shape=data.image_shape, titles=[f"feature {i}" for i in five]
)
report.draw("fig02_left")
gradients = np.stack([each.feature_gradients(x[None], five)[0] for each in top.values()])
gradients /= np.linalg.norm(gradients, axis=-1, keepdims=True)
cosines = np.abs(np.einsum("aid,bid->abi", gradients, gradients))
pairs = cosines[np.triu_indices(len(cosines), 1)]
if len(top) > 1:
    report.add(
        "2",
        "The first five features are consistent across architectures",
        "fairly consistent across models",
        above("mean |cosine| of their gradients between two kernels", pairs.mean(), 0.5**0.5),
    )

# %%
# Fig. 2, right: the first hundred features of two kernels.

figure, axes = plt.subplots(
    1, len(options.planes), figsize=(3.8 * len(options.planes), 3.8), layout="constrained"
)
planes = {
    kernel: RobustnessUsefulnessDisplay.from_estimator(
        top.get(kernel) or fitted(kernel, options.n_features),
        *(data.X_test, data.y_test),
        eps=options.eps,
        boxes=True,
        name=kernel,
        ax=ax,
    )
    for kernel, ax in zip(options.planes, np.atleast_1d(axes), strict=True)
}
report.draw("fig02_right")
report.add(
    "2",
    "Robust features lie at the top of the spectrum, in both kernels",
    "features of the top eigenvectors tend to be robust",
    robustness_at_the_top({kernel: plane.robustness for kernel, plane in planes.items()}),
)
first = next(iter(planes.values()))
report.add(
    "2",
    "Many useful features are not robust",
    "a large amount, in the upper left of the plane",
    useful_not_robust(first.usefulness, first.robustness, data.chance, len(data.X_test)),
)
least = float(first.robustness[:5].mean())
report.add(
    "1",
    "The first few features tend to be robust",
    "bounded away from 0 under attack",
    above(
        "mean robustness of the first five",
        least,
        NOT_ROBUST,
        sampling_error([least], len(data.X_test)),
    ),
)

# %%
# Fig. 4: of each class and each half of the spectrum beyond its first twentieth, the feature most
# accurate on the class among those that are useful altogether and not robust. Among so many, some
# are good by luck: it is found on one half of the test images, and scored on the other.

n = len(whole.eigenvalues_)
spread = np.unique(np.linspace(n // 20, n - 1, min(options.n_scored, n)).round().astype(int))
*images, y_search, y_score = train_test_split(
    data.X_test, data.y_test, test_size=0.5, random_state=0, stratify=data.y_test
)
halves = list(zip(images, (y_search, y_score), strict=True))
labels = np.unique(data.y_test)


def scores_of(half, label, components):
    """Scores of features on the images of one class."""
    of_class = half[1] == label
    return whole.score_features(
        half[0][of_class], half[1][of_class], eps=options.eps, components=components
    )


searched = [scores_of(halves[0], label, spread) for label in labels]
shares = np.array([(halves[0][1] == label).mean() for label in labels])
useful = shares @ [scores.usefulness for scores in searched] > shares.max()
found = []
for label, scores in zip(labels, searched, strict=True):
    for low, high in ((0, n // 2), (n // 2, n)):
        fit = useful & (scores.robustness < NOT_ROBUST) & (spread >= low) & (spread < high)
        if fit.any():
            best = np.flatnonzero(fit)[scores.usefulness[fit].argmax()]
            again = scores_of(halves[1], label, spread[[best]])
            count = int((halves[1][1] == label).sum())
            found.append((label, spread[best], again.usefulness[0], again.robustness[0], count))
for label, index, accuracy, robustness, _ in found:
    print(f"class {data.target_names[label]}, feature {index}: class accuracy {accuracy:.3f}, "
          f"under attack {robustness:.3f}")  # fmt: skip
if found:
    figure, axes = plt.subplots(
        1, len(found), figsize=(2.4 * len(found), 2.8), layout="constrained"
    )
    for ax, (label, index, accuracy, *_) in zip(np.atleast_1d(axes), found, strict=True):
        at = data.X_test[data.y_test == label][:1]
        FeatureGradientDisplay.from_predictions(
            whole.feature_gradients(at, [index]),
            image_shape=data.image_shape,
            titles=[f"{data.target_names[label]}\nindex {index}\nclass acc. {accuracy:.1%}"],
            ax=ax,
        )
    report.draw("fig04")
judged = useful_for_classes([each[2:] for each in found], n_wanted=2 * len(labels))
indices = ", ".join(str(index) for _, index, *_ in found)
report.add(
    "4",
    "Each class has useful features that are not robust, earlier and later in the spectrum",
    "class accuracies 67.9, 68.1, 67.9 and 72.3 % at indices 1018, 1081, 8018 and 8085 of 10,000",
    judged._replace(here=f"{judged.here} at indices {indices} of {n}"),
)
report.save()
