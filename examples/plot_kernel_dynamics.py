"""
=====================================================
The kernel of a network through adversarial training
=====================================================

The same network is trained on clean images, against FGSM and against PGD, while its tangent
kernel is recorded after every epoch. The figure shows how far the kernel moves, and how it
rotates, grows and concentrates (Fig. 5, 6, 13, 14 and 15 of the paper).

A kernel also moves because its images are attacked anew at every checkpoint. To compare like with
like, give both kinds of images, ``--kernel-batch clean attacked``.

By default the example runs on scikit-learn's digits; other images are read from a file::

    python examples/plot_kernel_dynamics.py --data mnist.npz --n-train 5000 --eps 0.3
"""

# %%
# Options, and the data.

import argparse
import functools
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import optax
from sklearn.callback import ProgressBar

from skntk import AdversarialTraining, FlaxClassifier, KernelDynamicsTracker
from skntk.datasets import load_images
from skntk.inspection import (
    ConcentrationDisplay,
    KernelDistanceDisplay,
    KernelMatrixDisplay,
    KernelNormDisplay,
    PolarDynamicsDisplay,
)
from skntk.networks import CIFARConvNet, MNISTConvNet

parser = argparse.ArgumentParser(description="Kernel dynamics of adversarial training.")
parser.add_argument("--data", default="digits", help="a name such as mnist, a file or a folder")
parser.add_argument("--pixel-range", nargs=2, type=float, help="values of black and white")
parser.add_argument("--channels-first", action=argparse.BooleanOptionalAction)
parser.add_argument("--n-train", type=int, default=1000)
parser.add_argument("--n-test", type=int, default=300)
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--batch-size", type=int, default=100)
parser.add_argument("--learning-rate", type=float, default=0.05)
parser.add_argument("--momentum", type=float, default=0.9)
parser.add_argument("--eps", type=float, default=0.15, help="largest change of a pixel in [0, 1]")
parser.add_argument("--eps-step", type=float, help="PGD's step; default: a third of eps")
parser.add_argument("--pgd-steps", type=int, default=7, help="steps of the training adversary")
parser.add_argument(
    *("--training", "--adversary"),
    nargs="+",
    choices=["standard", "none", "fgsm", "pgd"],
    default=["standard", "fgsm", "pgd"],
    help="any of these; none is standard training",
)
parser.add_argument(
    "--kernel-batch",
    nargs="+",
    choices=["as-training", "clean", "attacked"],
    default=["as-training"],
    help="images of the kernel: attacked if training is, never, or always by PGD",
)
parser.add_argument("--shuffle", action=argparse.BooleanOptionalAction, default=True)
parser.add_argument("--kernel-samples", type=int, default=40, help="images of the kernel")
parser.add_argument("--every", type=int, default=1, help="epochs between two kernels")
parser.add_argument("--top", nargs=2, type=int, default=[10, 20])
parser.add_argument("--directory", type=Path, help="keep the kernels here; resumes if it exists")
parser.add_argument("--output", default="kernel_dynamics.png")
options = parser.parse_args()

data = load_images(
    options.data,
    n_train=options.n_train,
    n_test=options.n_test,
    pixel_range=options.pixel_range,
    channels_first=options.channels_first,
)
classes = np.unique(data.y_train)
n_outputs = 1 if len(classes) == 2 else len(classes)
architecture = CIFARConvNet if data.image_shape[2] == 3 else MNISTConvNet
module = architecture(n_outputs, image_shape=tuple(data.image_shape))

# %%
# The kernel is computed between a few training images of every class.

share = options.kernel_samples // len(classes)
if share * len(classes) * n_outputs < max(options.top):
    needed = -(-max(options.top) // n_outputs)
    parser.error(
        f"--kernel-samples {options.kernel_samples} of {len(classes)} classes leave fewer than "
        f"--top {max(options.top)} eigenvalues; give at least {max(needed, 1) + len(classes) - 1}"
    )
batch = np.concatenate([np.flatnonzero(data.y_train == label)[:share] for label in classes])

# %%
# Train and record. If training is adversarial, the batch of the kernel is attacked again at every
# checkpoint.

step = options.eps / 3 if options.eps_step is None else options.eps_step
adversaries = {
    "standard": None,
    "fgsm": AdversarialTraining(options.eps, method="fgsm"),
    "pgd": AdversarialTraining(options.eps, eps_step=step, max_iter=options.pgd_steps),
}
evaluation = AdversarialTraining(options.eps, eps_step=step, max_iter=20)
batch_adversaries = {
    "as-training": None,
    "clean": AdversarialTraining(0.0, method="fgsm"),
    "attacked": evaluation,
}


def named(training, kind):
    """Name of a tracker, and of its directory."""
    return training if kind == "as-training" else f"{training}, {kind}"


trackers = {}
for name in dict.fromkeys("standard" if name == "none" else name for name in options.training):
    start = time.perf_counter()
    of_batches = {
        named(name, kind): KernelDynamicsTracker(
            data.X_train[batch],
            data.y_train[batch],
            every=options.every,
            adversary=batch_adversaries[kind],
            top=tuple(options.top),
            directory=options.directory and options.directory / named(name, kind),
            resume=options.directory is not None,
        )
        for kind in options.kernel_batch
    }
    classifier = FlaxClassifier(
        module,
        optimizer=functools.partial(optax.sgd, momentum=options.momentum),
        learning_rate=options.learning_rate,
        batch_size=options.batch_size,
        max_epochs=options.epochs,
        adversary=adversaries[name],
        shuffle=options.shuffle,
        random_state=0,
    )
    classifier.set_callbacks(*of_batches.values(), ProgressBar())
    classifier.fit(data.X_train, data.y_train)
    trackers |= of_batches
    attacked = classifier.attack(data.X_test, data.y_test, evaluation)
    print(
        f"{name:<9} {time.perf_counter() - start:>5.0f} s: test accuracy "
        f"{classifier.score(data.X_test, data.y_test):.3f}, under PGD-20 "
        f"{classifier.score(attacked, data.y_test):.3f}",
        flush=True,
    )

# %%
# The observations of the paper, in numbers. The later half of training shows which kernels have
# settled.

p = options.top[-1]
width = max(9, *map(len, trackers))
print(f"\n{'':<{width}} {'moves':>8} {'norm':>9} {'top ' + str(p):>7} {'rotation':>9}")
for name, tracker in trackers.items():
    moves = np.diagonal(tracker.distances_, offset=1)
    print(
        f"{name:<{width}} {moves[len(moves) // 2 :].mean():>8.4f} "
        f"{tracker.frobenius_norm_[-1]:>9.4g} {tracker.concentration_[p][-1]:>7.3f} "
        f"{np.degrees(tracker.polar_angle_[-1]):>7.1f} °"
    )
print(
    "moves: mean distance between consecutive kernels in the later half of training; norm,\n"
    f"share of the top {p} eigenvalues, and rotation from the first kernel: at the end"
)
for kind in options.kernel_batch:
    pair = [trackers.get(named(name, kind)) for name in ("standard", "pgd")]
    if None in pair:
        continue
    standard, pgd = pair
    lazier = np.diagonal(pgd.distances_, 1) < np.diagonal(standard.distances_, 1)
    since = len(lazier) - np.argmin(lazier[::-1]) if not lazier.all() else 0
    n_later = len(lazier) // 2
    growth = standard.frobenius_norm_[-1] / pgd.frobenius_norm_[-1]
    print(
        f"\nStandard against PGD training, batch of the kernel {kind}:\n"
        f"(a) PGD's kernel moves less at {lazier[n_later:].sum()} of the last "
        f"{len(lazier) - n_later} checkpoints, and at all after checkpoint {since} of "
        f"{len(lazier)}\n"
        f"(b) the standard kernel's norm ends {growth:.2f} times PGD's\n"
        f"(c) top-{p} concentration ends at {pgd.concentration_[p][-1]:.3f} for PGD, "
        f"{standard.concentration_[p][-1]:.3f} for standard training\n"
        f"(d) PGD's kernel ends {np.degrees(pgd.polar_angle_[-1]):.1f}° from its start, the "
        f"standard one {np.degrees(standard.polar_angle_[-1]):.1f}°"
    )

# %%
# The figure shows distances at the top; below them concentration, norm, and the path in polar
# coordinates, both of the whole kernel and of its top eigenspace; and at the bottom the kernels
# themselves in order of outputs, which are the squares on the diagonal.

n = len(trackers)
figure = plt.figure(figsize=(4.2 * max(n, 4), 11), layout="constrained")
above, middle, below = figure.subfigures(3, 1, height_ratios=[1, 1, 1])
widest = max(tracker.distances_.max() for tracker in trackers.values())
for ax, (name, tracker) in zip(
    above.subplots(1, n, squeeze=False)[0], trackers.items(), strict=True
):
    KernelDistanceDisplay.from_estimator(tracker, name=name, vmax=widest, ax=ax)
ConcentrationDisplay.from_estimator(trackers, p=p, ax=middle.add_subplot(1, 4, 1))
KernelNormDisplay.from_estimator(trackers, ax=middle.add_subplot(1, 4, 2))
for column, top in ((3, None), (4, p)):
    PolarDynamicsDisplay.from_estimator(
        trackers,
        top=top,
        name="whole kernel" if top is None else f"top {p} eigenvalues",
        ax=middle.add_subplot(1, 4, column, projection="polar"),
    )
last = {"initial": next(iter(trackers.values())).kernel(0)}
last |= {name: tracker.kernel(tracker.steps_[-1]) for name, tracker in trackers.items()}
size = len(batch)
KernelMatrixDisplay.from_predictions(
    {
        name: kernel.reshape(size, n_outputs, size, n_outputs)
        .transpose(1, 0, 3, 2)
        .reshape(kernel.shape)
        for name, kernel in last.items()
    },
    n_outputs=n_outputs,
    ax=below.subplots(1, len(last)),
)
plt.savefig(options.output, dpi=150)
print(f"saved {options.output}")
