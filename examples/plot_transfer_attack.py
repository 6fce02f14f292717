"""
==================================================================
Attacks made before training fool the trained network
==================================================================

A wide two-layer network is trained by gradient descent. Adversarial examples made from its
kernel alone, at the matching time of gradient flow, resemble the network's own examples and fool
the network as well (Fig. 3 and 7 of the paper).

By default the example runs on scikit-learn's digits; other images are read from a file::

    python examples/plot_transfer_attack.py --data cifar.npz --n-train 500 --eps 0.031
"""

# %%
# Options, and the data. Centring the inputs removes the one huge eigenvalue of the kernel, which
# makes training slow.

import argparse
import time

import matplotlib.pyplot as plt
import numpy as np

from skntk import FlaxClassifier, NTKClassifier
from skntk.datasets import load_images
from skntk.inspection import TransferDisplay
from skntk.kernels import TwoLayerNTK
from skntk.networks import TwoLayerReLU
from skntk.transfer import follow_transfer

parser = argparse.ArgumentParser(description="Transfer attacks from a kernel to its network.")
parser.add_argument("--data", default="digits", help="a name such as mnist, a file or a folder")
parser.add_argument("--pixel-range", nargs=2, type=float, help="values of black and white")
parser.add_argument("--channels-first", action=argparse.BooleanOptionalAction)
parser.add_argument("--classes", nargs=2, help="keep only these two, by label or name")
parser.add_argument("--n-train", type=int, default=500)
parser.add_argument("--n-test", type=int, default=200)
parser.add_argument("--widths", nargs="+", type=int, default=[256, 4096])
parser.add_argument("--epochs", type=int, default=1000, help="steps of full-batch descent")
parser.add_argument("--checkpoints", type=int, default=12)
parser.add_argument("--learning-rate", type=float, default=None, help="default: 1 / sharpness")
parser.add_argument("--no-centering", action="store_true", help="leave the inputs as they are")
parser.add_argument("--eps", type=float, default=0.1, help="largest change of a pixel in [0, 1]")
parser.add_argument("--output", default="transfer_attack.png", help="where to save the picture")
options = parser.parse_args()

data = load_images(
    options.data,
    classes=options.classes,
    n_train=options.n_train,
    n_test=options.n_test,
    pixel_range=options.pixel_range,
    channels_first=options.channels_first,
)
mean = np.zeros_like(data.X_train[0]) if options.no_centering else data.X_train.mean(axis=0)
X_train, X_test = data.X_train - mean, data.X_test - mean
clip_values = (-mean, 1 - mean)  # pixels stay between black and white
n_classes = len(np.unique(data.y_train))

# %%
# The largest stable step is 2 n divided by the largest eigenvalue of the kernel. That of k outputs
# of a narrow network is larger, since their random signs are correlated by chance.

n = len(X_train)
rate = options.learning_rate
if rate is None:
    k = 1 if n_classes == 2 else n_classes
    chance = (1 + np.sqrt(k / min(options.widths))) ** 2
    rate = float(n / (chance * np.linalg.eigvalsh(TwoLayerNTK()(X_train))[-1]))
print(f"{options.data}: n = {n}, {n_classes} classes, learning rate {rate:.4g}")

checkpoints = np.unique(
    np.geomspace(1, options.epochs, options.checkpoints).round().astype(int)
).tolist()

# %%
# Train, stop at each checkpoint, and compare.

curves = {}
for width in options.widths:
    start = time.perf_counter()
    network = FlaxClassifier(
        TwoLayerReLU(width, n_outputs=1 if n_classes == 2 else n_classes),
        loss="squared_error",
        learning_rate=rate,
        batch_size=None,
        centered=True,
        random_state=0,
    )
    curve = follow_transfer(
        network,
        NTKClassifier("two_layer", solver="eigh"),
        X_train,
        data.y_train,
        X_test,
        data.y_test,
        epochs=checkpoints,
        eps=options.eps,
        clip_values=clip_values,
        verbose=1,
    )
    curves[f"width {width}"] = curve
    print(f"\nwidth {width}, {time.perf_counter() - start:.0f} s")
    print(
        f"{'epochs':>7} {'time':>9} {'cosine':>7} {'clean':>6} {'kernel':>7} {'own':>6} {'its':>6}"
    )
    for k, epoch in enumerate(checkpoints):
        print(
            f"{epoch:>7} {curve.times[k]:>9.3g} {curve.cosine[k]:>7.3f} {curve.accuracy[k]:>6.3f} "
            f"{curve.kernel_accuracy[k]:>7.3f} {curve.own_robust_accuracy[k]:>6.3f} "
            f"{curve.transfer_robust_accuracy[k]:>6.3f}"
        )
print("\nclean, own, its: the network, clean, under its own and under the kernel's FGSM examples")

TransferDisplay.from_predictions(curves)
plt.savefig(options.output, dpi=150)
print(f"saved {options.output}")
