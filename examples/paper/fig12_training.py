"""
==========================================
Fig. 12: standard and adversarial training
==========================================

The networks of Fig. 5 and 6 are trained on clean images and against PGD-20, and their accuracy on
training and test images is followed from before the first step, clean and under PGD-20.

::

    python examples/paper/fig12_training.py --data mnist.npz --scale paper --out figures
"""

# %%
# Batches in order, without momentum. Training accuracies are of as many training images as there
# are test images.

import matplotlib.pyplot as plt
import numpy as np
from _common import Report, load, read_options
from _networks import make_adversaries, make_network
from _rules import above, below, sampling_error

from skntk.inspection import TrainingCurveDisplay

options = read_options(
    "Standard and adversarial training.",
    small={
        **{"n_train": 160, "n_test": 80, "epochs": 8, "batch_size": 20},
        **{"learning_rate": 0.1, "momentum": 0.0, "pgd_steps": 4, "adversary": ["none", "pgd"]},
    },
    paper={
        **{"n_train": None, "n_test": None, "epochs": 200},
        **{"batch_size": {"MNIST": 300, "CIFAR": 250}, "learning_rate": 0.01, "momentum": 0.0},
        **{"pgd_steps": 20, "adversary": ["none", "pgd"]},
    },
)
data = load(options)
report = Report(options, data)
adversaries = make_adversaries(options)
train, test = (data.X_train, data.y_train), (data.X_test, data.y_test)
sets = {"train": tuple(part[: len(data.X_test)] for part in train), "test": test}

# %%
# An untrained network of the same random numbers gives the accuracies of epoch 0.

untrained = make_network(options, data, max_epochs=0).fit(*train)
at_start = {}
for name, (X, y) in sets.items():
    at_start[f"{name}_accuracy"] = untrained.score(X, y)
    attacked = untrained.attack(X, y, adversaries["pgd-20"])
    at_start[f"{name}_robust_accuracy"] = untrained.score(attacked, y)

NAMES = {"none": "standard", "fgsm": "FGSM", "pgd": f"PGD-{options.pgd_steps}"}
count = len(options.adversary)
figure, axes = plt.subplots(
    1, count, figsize=(4.5 * count, 3.6), layout="constrained", squeeze=False
)
last = {}
for training, ax in zip(options.adversary, axes[0], strict=True):
    network = make_network(
        options,
        data,
        adversary=adversaries[training],
        validation_adversary=adversaries["pgd-20"],
    )
    network.fit(*train, *test)
    name = f"{NAMES[training]}; {len(data.X_test)} training and test images"
    display = TrainingCurveDisplay.from_estimator(network, name=name, ax=ax)
    for key, line in display.lines_.items():
        values = [at_start[key], *network.history_[key]]
        line.set_data(np.arange(len(values)), values)
    ax.set_xlim(0, options.epochs)
    last[training] = {key: float(values[-1]) for key, values in network.history_.items()}
    print(f"{NAMES[training]}: " + ", ".join(f"{k} {v:.3f}" for k, v in last[training].items()),
          flush=True)  # fmt: skip
report.draw("fig12")

# %%
# The claims that can be read off the paper's curves.

if {"none", "pgd"} <= set(options.adversary):
    standard, pgd = last["none"], last["pgd"]
    m = len(data.X_test)
    robust = [each["test_robust_accuracy"] for each in (standard, pgd)]
    clean = [each["test_accuracy"] for each in (standard, pgd)]
    report.add(
        "12",
        "Standard training ends without robustness",
        "about 0 under PGD-20",
        below("test accuracy under PGD-20", robust[0], 0.05, sampling_error(robust[:1], m)),
    )
    report.add(
        "12",
        "Adversarial training makes the network robust",
        "far above standard training",
        above(
            "gain in test accuracy under PGD-20",
            robust[1] - robust[0],
            0,
            sampling_error(robust, m),
        ),
    )
    report.add(
        "12",
        "Adversarial training costs accuracy on clean images",
        "below standard training, most on CIFAR-10",
        above("loss of clean test accuracy", clean[0] - clean[1], 0, sampling_error(clean, m)),
    )
report.save()
