"""
==========================================
Standard and adversarial training
==========================================

The same network is trained on clean images and on adversarial ones, and attacked by PGD-20 after
every epoch (Fig. 12 of the paper).

By default the example runs on scikit-learn's digits; other images are read from a file::

    python examples/plot_adversarial_training.py --data mnist.npz --n-train 5000 --eps 0.3
"""

# %%
# Options, and the data.

import argparse
import functools
import time

import matplotlib.pyplot as plt
import numpy as np
import optax
from sklearn.callback import ProgressBar

from skntk import AdversarialTraining, FlaxClassifier
from skntk.datasets import load_images
from skntk.inspection import TrainingCurveDisplay
from skntk.networks import CIFARConvNet, MNISTConvNet

parser = argparse.ArgumentParser(description="Standard and adversarial training.")
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
    "--adversary",
    nargs="+",
    choices=["none", "fgsm", "pgd"],
    default=["none", "pgd"],
    help="adversaries of training; none is standard training",
)
parser.add_argument("--shuffle", action=argparse.BooleanOptionalAction, default=True)
parser.add_argument("--output", default="adversarial_training.png")
options = parser.parse_args()

data = load_images(
    options.data,
    n_train=options.n_train,
    n_test=options.n_test,
    pixel_range=options.pixel_range,
    channels_first=options.channels_first,
)
n_classes = len(np.unique(data.y_train))
architecture = CIFARConvNet if data.image_shape[2] == 3 else MNISTConvNet
module = architecture(1 if n_classes == 2 else n_classes, image_shape=tuple(data.image_shape))

# %%
# In every training step, the adversary attacks the current weights.

step = options.eps / 3 if options.eps_step is None else options.eps_step
known = {
    "none": ("standard", None),
    "fgsm": ("FGSM", AdversarialTraining(options.eps, method="fgsm")),
    "pgd": (
        f"PGD-{options.pgd_steps}",
        AdversarialTraining(options.eps, eps_step=step, max_iter=options.pgd_steps),
    ),
}
adversaries = dict(known[name] for name in options.adversary)
figure, axes = plt.subplots(
    1, len(adversaries), figsize=(4.5 * len(adversaries), 3.6), layout="constrained", squeeze=False
)
for (name, adversary), ax in zip(adversaries.items(), axes[0], strict=True):
    start = time.perf_counter()
    classifier = FlaxClassifier(
        module,
        optimizer=functools.partial(optax.sgd, momentum=options.momentum),
        learning_rate=options.learning_rate,
        batch_size=options.batch_size,
        max_epochs=options.epochs,
        adversary=adversary,
        validation_adversary=AdversarialTraining(options.eps, eps_step=step, max_iter=20),
        shuffle=options.shuffle,
        random_state=0,
    )
    classifier.set_callbacks(ProgressBar())
    classifier.fit(data.X_train, data.y_train, data.X_test, data.y_test)
    TrainingCurveDisplay.from_estimator(classifier, name=f"{name} training", ax=ax)
    last = {key: values[-1] for key, values in classifier.history_.items()}
    print(
        f"{name:<10} {time.perf_counter() - start:>5.0f} s: clean {last['test_accuracy']:.3f}, "
        f"PGD-20 {last['test_robust_accuracy']:.3f} (training images "
        f"{last['train_accuracy']:.3f}, {last['train_robust_accuracy']:.3f})"
    )

plt.savefig(options.output, dpi=150)
print(f"saved {options.output}")
