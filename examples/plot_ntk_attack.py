"""
====================================================
Fooling an infinitely wide network, in closed form
====================================================

An infinitely wide network is fitted, then attacked with one gradient step (FGSM) and with
ten (PGD-10), all from its neural tangent kernel: no network is trained.

Runs on scikit-learn's built-in digits; real images take a file::

    python examples/plot_ntk_attack.py --data mnist.npz --n-train 1000 --n-test 300 --eps 0.3
"""

# %%
# Options, and the data.

import argparse
import time

import matplotlib.pyplot as plt
import numpy as np

from skntk import NTKAttack, NTKClassifier
from skntk.datasets import load_images
from skntk.inspection import AdversarialExamplesDisplay
from skntk.metrics import robust_accuracy_score

parser = argparse.ArgumentParser(description="Attack an infinitely wide network in closed form.")
parser.add_argument("--data", default="digits", help="a name such as mnist, a file or a folder")
parser.add_argument("--classes", nargs=2, help="keep only these two, by label or name")
parser.add_argument("--n-train", type=int, default=1000)
parser.add_argument("--n-test", type=int, default=500)
parser.add_argument("--kernel", default="fc2", help="fc1..fc5 or two_layer")
parser.add_argument("--eps", type=float, default=0.2, help="largest change of a pixel in [0, 1]")
parser.add_argument("--output", default="ntk_attack.png", help="where to save the picture")
options = parser.parse_args()

data = load_images(
    options.data, classes=options.classes, n_train=options.n_train, n_test=options.n_test
)
print(
    f"{options.data}: {len(data.X_train)} training and {len(data.X_test)} test images of "
    f"{data.X_train.shape[1]} pixels, {len(np.unique(data.y_train))} classes"
)

# %%
# Fitting solves one linear system with the kernel's Gram matrix.

start = time.perf_counter()
classifier = NTKClassifier(options.kernel).fit(data.X_train, data.y_train)
print(f"fitted {classifier.kernel_} in {time.perf_counter() - start:.2f} s")

gram = classifier.kernel_(data.X_train)
trace, norm = np.trace(gram, dtype=float), np.linalg.norm(gram.astype(float))
print(f"Gram matrix: trace {trace:.4f}, Frobenius norm {norm:.4f}")
del gram

# %%
# The attack needs the outputs and their input gradient, both matrix products.

attacks = {
    "FGSM": NTKAttack(classifier, eps=options.eps, verbose=1),
    "PGD-10": NTKAttack(classifier, eps=options.eps, method="pgd", max_iter=10, verbose=1),
}
accuracies = {"clean": classifier.score(data.X_test, data.y_test)}
for name, attack in attacks.items():
    accuracies[name] = robust_accuracy_score(classifier, data.X_test, data.y_test, attack)

print(f"\n{'attack':<8} {'accuracy':>8}   (eps = {options.eps:g})")
for name, accuracy in accuracies.items():
    print(f"{name:<8} {accuracy:>8.3f}")

# %%
# Originals, what the attack adds, and what comes out, titled with the predictions.

attack = attacks["PGD-10"].set_params(verbose=0)
AdversarialExamplesDisplay.from_estimator(
    attack,
    data.X_test[:8],
    data.y_test[:8],
    image_shape=data.image_shape,
    target_names=data.target_names,
)
plt.savefig(options.output, dpi=150)
print(f"\nsaved {options.output}")
