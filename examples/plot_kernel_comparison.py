"""
=======================
Do architectures agree?
=======================

How well each kernel fits the labels, how alike two kernels are, how far the spaces of their leading
features are turned from each other, and whether the adversarial examples of one fool another.
Forests and other models without a gradient can be victims, too.

By default the example runs on scikit-learn's digits; other images are read from a file::

    python examples/plot_kernel_comparison.py --data cifar.npz --eps 0.031 --kernels fc1 conv1
"""

# %%
# Options, and the data.

import argparse
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import RandomForestClassifier

from skntk import NTKAttack, NTKClassifier
from skntk.datasets import load_images
from skntk.inspection import TransferMatrixDisplay
from skntk.metrics import cka, kernel_alignment, subspace_overlap

parser = argparse.ArgumentParser(description="Compare kernels.")
parser.add_argument("--data", default="digits", help="a name such as mnist, a file or a folder")
parser.add_argument("--pixel-range", nargs=2, type=float, help="values of black and white")
parser.add_argument("--channels-first", action=argparse.BooleanOptionalAction)
parser.add_argument("--classes", nargs="+", help="keep only these, by label or name")
parser.add_argument("--n-train", type=int, default=400)
parser.add_argument("--n-test", type=int, default=200)
parser.add_argument("--kernels", nargs="+", default=["fc1", "fc2", "fc3", "two_layer", "conv1"])
parser.add_argument("--top", type=int, default=10, help="dimension of the spaces of features")
parser.add_argument("--eps", type=float, default=0.1, help="largest change of a pixel in [0, 1]")
parser.add_argument("--output", default="kernel_comparison.png", help="where to save the picture")
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
# The alignment of a kernel with the labels, after both are centred, is the cosine between it and
# the kernel that knows the labels.

machines = {name: NTKClassifier(name).fit(data.X_train, data.y_train) for name in options.kernels}
grams = {name: machine.kernel_(data.X_train) for name, machine in machines.items()}
print(f"{'kernel':<10} {'accuracy':>8}  alignment with the labels")
for name, machine in machines.items():
    accuracy = machine.score(data.X_test, data.y_test)
    alignment = kernel_alignment(grams[name], data.y_train, centered=True)
    print(f"{name:<10} {accuracy:>8.3f}  {alignment:.3f}")

# %%
# CKA compares all of two kernels, and so mostly their largest eigenvalues. The principal angles
# compare the spaces of their leading features, whatever the eigenvalues: 0 degrees for a direction
# that both have, 90 for one that the other lacks. The share is that of one space that lies in the
# other.

top = min(options.top, len(data.X_train))
print(f"\n{'kernels':<22} {'CKA':>5} {'share':>6}  principal angles of the top {top}, in degrees")
for one, other in combinations(options.kernels, 2):
    angles = subspace_overlap(grams[one], grams[other], top)
    share = np.mean(np.cos(angles) ** 2)
    print(
        f"{one + ', ' + other:<22} {cka(grams[one], grams[other]):>5.3f} {share:>6.3f}  "
        + " ".join(f"{angle:.1f}" for angle in np.rad2deg(angles))
    )

# %%
# Examples of each kernel, tried on all, and on a random forest.

forest = RandomForestClassifier(random_state=0).fit(data.X_train, data.y_train)
attack = NTKAttack(None, eps=options.eps)
TransferMatrixDisplay.from_estimator(
    machines,
    machines | {"forest": forest},
    *(data.X_test, data.y_test),
    attack=attack,
    name=f"FGSM, eps {options.eps:g}",
)
plt.savefig(options.output, dpi=150, bbox_inches="tight")
print(f"\nsaved {options.output}")
