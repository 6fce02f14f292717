"""
==================================
Features in the course of training
==================================

The usefulness and robustness of a feature of a fixed kernel do not depend on the time of training,
which only scales what the feature adds to the prediction: the top of the spectrum is learned first.
A finite network changes its kernel as well. With the weights that a tracker keeps, the features of
every epoch's kernel are scored like those of any other.

By default the example runs on scikit-learn's digits; other images are read from a file::

    python examples/plot_features_over_time.py --data mnist.npz --n-train 1000 --eps 0.3
"""

# %%
# Options, and the data.

import argparse

import matplotlib.pyplot as plt
import numpy as np
from flax import linen as nn

from skntk import FlaxClassifier, KernelDynamicsTracker, NTKAttack, SpectralFeatureDecomposer
from skntk.datasets import load_images
from skntk.inspection import RobustnessUsefulnessDisplay
from skntk.metrics import kernel_alignment, robust_accuracy_score, subspace_overlap

parser = argparse.ArgumentParser(description="Features over training time.")
parser.add_argument("--data", default="digits", help="a name such as mnist, a file or a folder")
parser.add_argument("--pixel-range", nargs=2, type=float, help="values of black and white")
parser.add_argument("--channels-first", action=argparse.BooleanOptionalAction)
parser.add_argument("--classes", nargs=2, help="two, by label or name; default: the first two")
parser.add_argument("--n-train", type=int, default=500)
parser.add_argument("--n-test", type=int, default=200)
parser.add_argument("--kernel", default="fc2")
parser.add_argument("--times", nargs="+", type=float, default=[0.01, 0.1, 1.0, np.inf])
parser.add_argument("--n-features", type=int, default=100, help="top of the spectrum to score")
parser.add_argument("--width", type=int, default=64, help="of the network's hidden layer")
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--learning-rate", type=float, default=0.2)
parser.add_argument("--kernel-samples", type=int, default=100, help="images of its kernel")
parser.add_argument("--top", type=int, default=10, help="features of the network to score")
parser.add_argument("--eps", type=float, default=0.1, help="largest change of a pixel in [0, 1]")
parser.add_argument("--output", default="features_over_time.png", help="where to save the picture")
options = parser.parse_args()

reading = {"pixel_range": options.pixel_range, "channels_first": options.channels_first}
classes = options.classes or list(load_images(options.data, **reading).target_names)[:2]
data = load_images(
    options.data, classes=classes, n_train=options.n_train, n_test=options.n_test, **reading
)
test = data.X_test, data.y_test

# %%
# The infinitely wide network. One decomposition has the features of all times; of the one with
# eigenvalue :math:`\lambda`, the share :math:`1 - e^{-\lambda t}` is learned at time t.

n_features = min(options.n_features, len(data.X_train))
figure, (plane, shares, epochs) = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
decomposer = SpectralFeatureDecomposer(options.kernel).fit(data.X_train, data.y_train)
scores = RobustnessUsefulnessDisplay.from_estimator(
    *(decomposer, *test),
    eps=options.eps,
    components=np.arange(min(n_features, len(decomposer.eigenvalues_))),
    name=f"{options.kernel}, at any time",
    ax=plane,
)

attack = NTKAttack(None, eps=options.eps, method="pgd", max_iter=10)
print(f"{'time':>6} {'clean':>6} {'PGD-10':>7}")
for time in options.times:
    at_time = SpectralFeatureDecomposer(options.kernel, time=time).fit(data.X_train, data.y_train)
    robust = robust_accuracy_score(at_time, *test, attack=attack)
    print(f"{time:>6g} {at_time.score(*test):>6.3f} {robust:>7.3f}")
    share = -np.expm1(-decomposer.eigenvalues_ * time)
    shares.plot(1 + np.arange(len(share)), share, label=f"t = {time:g}")
shares.set(
    xscale="log",
    xlabel="feature, largest eigenvalue first",
    ylabel="share learned",
    title="what time does",
)
shares.legend(fontsize="small")

# %%
# A finite network, whose weights are kept after every epoch, and the features of its kernel then.

module = nn.Sequential([nn.Dense(options.width), nn.relu, nn.Dense(1)])
batch = tuple(part[: options.kernel_samples] for part in (data.X_train, data.y_train))
top = min(options.top, len(batch[0]))
tracker = KernelDynamicsTracker(*batch, top=(top,), keep_params=True)
network = FlaxClassifier(
    module, learning_rate=options.learning_rate, max_epochs=options.epochs, random_state=0
)
network.set_callbacks(tracker).fit(data.X_train, data.y_train)

final = network.as_kernel()(batch[0])
print(f"\n{'epoch':>6} {'useful':>7} {'robust':>7} {'aligned':>8} {'of the final top space':>23}")
rows = []
for step in tracker.steps_:
    kernel = tracker.at_step(step, network).as_kernel()
    features = SpectralFeatureDecomposer(kernel, n_components=top).fit(*batch)
    scores = features.score_features(*test, eps=options.eps)
    gram = kernel(batch[0])
    aligned = kernel_alignment(gram, batch[1], centered=True)
    found = np.mean(np.cos(subspace_overlap(gram, final, top)) ** 2)
    rows.append((scores.usefulness.mean(), scores.robustness.mean(), aligned, found))
    print(f"{step:>6}" + "{:>8.3f}{:>8.3f}{:>9.3f}{:>24.3f}".format(*rows[-1]))

labels = (
    f"usefulness of the top {top}",
    "their robustness",
    "alignment with the labels",
    "share of the final top space",
)
for values, label, style in zip(
    np.transpose(rows), labels, ("C0-", "C3-", "C2--", "k:"), strict=True
):
    epochs.plot(tracker.steps_, values, style, label=label)
epochs.set(xlabel="epoch", ylim=(0, 1.02), title="a network's kernel")
epochs.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
plt.savefig(options.output, dpi=150)
print(f"\nsaved {options.output}")
