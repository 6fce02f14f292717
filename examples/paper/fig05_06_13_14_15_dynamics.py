"""
===========================================================
Fig. 5, 6, 13, 14 and 15: the kernel of a network in motion
===========================================================

A convolutional network is trained on clean images, against FGSM and against PGD, while its tangent
kernel on the first images is recorded after every epoch, clean and attacked by PGD-20. Fig. 5 and
13 show norm and concentration, Fig. 6 and 14 distances and the path in polar coordinates, Fig. 15
the kernels. The paper says that in adversarial training the kernel settles much earlier, rotates
further, stays far smaller, and concentrates more on its top eigenvectors.

::

    python examples/paper/fig05_06_13_14_15_dynamics.py --data mnist.npz --scale paper --out figures
"""

# %%
# Plain gradient descent without momentum, batches in order, and the kernel on the first images. The
# paper attacks the batch of the kernel whichever the training; where like is compared with like,
# there are four combinations of training and batch. Here the attacked batch is attacked before the
# first step too, where the paper takes it clean.

import matplotlib.pyplot as plt
import numpy as np
from _common import Report, load, read_options
from _networks import make_adversaries, make_module, make_network
from _rules import above, earlier_second_phase

from skntk import AdversarialTraining, KernelDynamicsTracker
from skntk.inspection import (
    ConcentrationDisplay,
    KernelDistanceDisplay,
    KernelMatrixDisplay,
    KernelNormDisplay,
    PolarDynamicsDisplay,
)

options = read_options(
    "Kernels in the course of training.",
    small={
        **{"n_train": 120, "n_test": 60, "epochs": 5, "batch_size": 20, "kernel_samples": 10},
        **{"learning_rate": 0.1, "momentum": 0.0, "pgd_steps": 3, "top": [5, 10]},
        "adversary": ["none", "fgsm", "pgd"],
    },
    paper={
        **{"n_train": None, "n_test": None, "epochs": 50},
        **{
            "batch_size": {"MNIST": 300, "CIFAR": 250},
            "kernel_samples": {"MNIST": 300, "CIFAR": 250},
        },
        **{"learning_rate": 0.01, "momentum": 0.0, "pgd_steps": 20},
        **{"top": [10, 20], "adversary": ["none", "fgsm", "pgd"]},
    },
    flags=(
        (
            "--network",
            {
                "choices": ["paper", "dense"],
                "default": "paper",
                "help": "dense: 64 hidden units, for many more steps",
            },
        ),
        ("--schedule", {"choices": ["constant", "cosine"], "default": "constant"}),
        ("--seed", {"type": int, "default": 0, "help": "of the first weights"}),
    ),
)
data = load(options)
variant = {
    "dense network": options.network == "dense",
    "decaying rate": options.schedule == "cosine",
    f"seed {options.seed}": options.seed != 0,
}
report = Report(options, data, ", ".join(name for name, used in variant.items() if used))
n_outputs = 1 if data.n_classes == 2 else data.n_classes
batch = slice(0, options.kernel_samples)

# %%
# Train, with two trackers at once.

adversaries = make_adversaries(options)
batches = {"clean": AdversarialTraining(0.0, method="fgsm"), "attacked": adversaries["pgd-20"]}
trackers, accuracies = {}, {}
for training in options.adversary:
    of_batches = {
        kind: KernelDynamicsTracker(
            data.X_train[batch], data.y_train[batch], adversary=adversary, top=tuple(options.top)
        )
        for kind, adversary in batches.items()
    }
    network = make_network(
        options,
        data,
        make_module(data, options.network),
        options.schedule,
        adversary=adversaries[training],
        random_state=options.seed,
    )
    network.set_callbacks(*of_batches.values()).fit(data.X_train, data.y_train)
    trackers |= {(training, kind): tracker for kind, tracker in of_batches.items()}
    attacked = network.attack(data.X_test, data.y_test, adversaries["pgd-20"])
    accuracies[training] = network.score(attacked, data.y_test)
    one_step = network.attack(data.X_test, data.y_test, adversaries["fgsm"])
    print(f"{training:<4} test accuracy {network.score(data.X_test, data.y_test):.3f}, under FGSM "
          f"{network.score(one_step, data.y_test):.3f}, under PGD-20 {accuracies[training]:.3f}",
          flush=True)  # fmt: skip
    if training == "fgsm":
        overfitted = accuracies["fgsm"] < network.score(one_step, data.y_test) / 2

# %%
# The figures. Names: training, and the batch of the kernel.

NAMES = {"none": "standard", "fgsm": "FGSM", "pgd": "PGD"}
named = {f"{NAMES[training]}, {kind}": tracker for (training, kind), tracker in trackers.items()}
figure, axes = plt.subplots(1, 3, figsize=(15, 3.8), layout="constrained")
KernelNormDisplay.from_estimator(named, ax=axes[0])
for ax, top in zip(axes[1:], options.top, strict=True):
    ConcentrationDisplay.from_estimator(named, p=top, ax=ax).ax_.get_legend().remove()
report.draw("fig05_13")
widest = max(tracker.distances_.max() for tracker in trackers.values())
n_columns = len(options.adversary)
figure, axes = plt.subplots(
    2, n_columns, figsize=(3.9 * n_columns, 6.6), layout="constrained", squeeze=False
)
for row, kind in zip(axes, batches, strict=True):
    for ax, training in zip(row, options.adversary, strict=True):
        KernelDistanceDisplay.from_estimator(
            trackers[training, kind], name=f"{NAMES[training]}, {kind}", vmax=widest, ax=ax
        )
report.draw("fig06_distances")
figure = plt.figure(figsize=(10, 5), layout="constrained")
for column, top in enumerate((None, options.top[-1]), start=1):
    polar = PolarDynamicsDisplay.from_estimator(
        named,
        top=top,
        name="whole kernel (Fig. 6)" if top is None else f"top {top} (Fig. 14)",
        ax=figure.add_subplot(1, 2, column, projection="polar"),
    )
    polar.ax_.get_legend().remove()
lines = polar.ax_.get_legend_handles_labels()
figure.legend(*lines, loc="outside lower center", ncols=3, fontsize="small")
report.draw("fig06_14_polar")

clean = {NAMES[t]: tracker for (t, kind), tracker in trackers.items() if kind == "clean"}
figure, axes = plt.subplots(
    1, n_columns + 1, figsize=(3.2 * (n_columns + 1), 3), layout="constrained"
)
# The first kernel, which all trainings share, and the last of each.
first = {"initial": next(iter(clean.values()))}
shown = [
    KernelMatrixDisplay.from_estimator(each, order="output", steps=[step], ax=ax)
    for each, step, ax in ((first, 0, axes[:1]), (clean, options.epochs, axes[1:]))
]
last = {name.split()[0]: kernel for part in shown for name, kernel in part.kernels.items()}
report.draw("fig15")

# %%
# The claims, of standard and PGD training, on both kinds of batch.

p = options.top[-1]
for kind in batches:
    if not {"none", "pgd"} <= set(options.adversary):
        break
    standard, pgd = trackers["none", kind], trackers["pgd", kind]
    moves = [np.diagonal(tracker.distances_, offset=1) for tracker in (standard, pgd)]
    where = f" ({kind} batch)"
    report.add(
        "6",
        "In adversarial training the second, slow phase begins earlier" + where,
        "begins a lot earlier",
        earlier_second_phase(*moves),
    )
    ratio = standard.frobenius_norm_[-1] / pgd.frobenius_norm_[-1]
    report.add(
        "5",
        "The norm grows orders of magnitude larger in standard training" + where,
        "orders of magnitude",
        above(
            "ratio of the last norms, standard to PGD",
            ratio,
            10,
            decidable=not 1 < ratio < 10,
            unless="between 1 and 10, as the norm still grows at the paper's 200 epochs",
        ),
    )
    angles = np.degrees([standard.polar_angle_[-1], pgd.polar_angle_[-1]])
    report.add(
        "6",
        "The kernel rotates further in adversarial training" + where,
        "moves a greater distance",
        above("last angle of PGD less that of standard, in degrees", angles[1] - angles[0], 0, 1),
    )
    for q in options.top:
        gain = pgd.concentration_[q][-1] - standard.concentration_[q][-1]
        report.add(
            "5" if q == p else "13",
            f"The top {q} eigenvalues hold a larger share in adversarial training" + where,
            "significantly larger",
            above("share of PGD less that of standard, at the end", gain, 0, 0.01),
        )
    losses = np.degrees(
        [each.polar_angle_[-1] - each.top_polar_angle_[p][-1] for each in (standard, pgd)]
    )
    report.add(
        "14",
        "The top space rotates less than the whole in standard training, and as much in PGD"
        + where,
        "little to no change for adversarial training, less rotation for standard",
        above("loss of angle, standard less PGD, in degrees", losses[0] - losses[1], 0, 0.1),
    )
if "fgsm" in options.adversary and "none" in options.adversary:
    gain = trackers["none", "attacked"].concentration_[p][-1]
    gain -= trackers["fgsm", "attacked"].concentration_[p][-1]
    report.add(
        "13",
        "Under FGSM training, the share drops below that of standard training",
        "drops below, likely with catastrophic overfitting (MNIST)",
        above(
            "share of standard less that of FGSM, at the end",
            gain,
            0,
            0.01,
            decidable=overfitted,
            unless="without catastrophic overfitting: PGD-20 less than halves accuracy under FGSM",
        ),
    )
if {"none", "pgd"} <= set(options.adversary):
    sizes = {name: float(np.abs(kernel).mean()) for name, kernel in last.items()}
    report.add(
        "15",
        "The values of the kernel increase substantially more in standard training",
        "substantially more",
        above("ratio of mean sizes, standard to PGD", sizes["standard"] / sizes["PGD"], 1, 0.1),
    )
if n_outputs > 1:
    n = options.kernel_samples
    squares = np.abs(last["initial"]).reshape(n_outputs, n, n_outputs, n).mean(axis=(1, 3))
    diagonal = squares.trace() / n_outputs
    others = (squares.sum() - squares.trace()) / (n_outputs * (n_outputs - 1))
    report.add(
        "15",
        "The squares on the diagonal are the classes",
        "each little square in the diagonal corresponds to a class",
        above("ratio of diagonal to other squares at initialisation", diagonal / others, 2),
    )
report.save()
