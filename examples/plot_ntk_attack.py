"""
====================================================
Fooling an infinitely wide network, in closed form
====================================================

An infinitely wide network is fitted, then attacked with one gradient step (FGSM) and with ten
(PGD-10), as in the paper, and with the worst case of several attacks, which tells how robust it
is. Everything is computed from its neural tangent kernel; no network is trained.

By default the example runs on scikit-learn's digits; other images are read from a file::

    python examples/plot_ntk_attack.py --data mnist.npz --n-train 1000 --n-test 300 --eps 0.3
"""

# %%
# Options, and the data.

import argparse
import time

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone

from skntk import NTKAttack, NTKClassifier
from skntk.datasets import load_images
from skntk.inspection import AdversarialExamplesDisplay, RobustAccuracyDisplay
from skntk.metrics import robust_accuracy_score

parser = argparse.ArgumentParser(description="Attack an infinitely wide network in closed form.")
parser.add_argument("--data", default="digits", help="a name such as mnist, a file or a folder")
parser.add_argument("--pixel-range", nargs=2, type=float, help="values of black and white")
parser.add_argument("--channels-first", action=argparse.BooleanOptionalAction)
parser.add_argument("--classes", nargs=2, help="keep only these two, by label or name")
parser.add_argument("--n-train", type=int, default=1000)
parser.add_argument("--n-test", type=int, default=500)
parser.add_argument("--kernel", default="fc2", help="fc1..fc5 or two_layer")
parser.add_argument("--eps", type=float, default=0.2, help="largest change of a pixel in [0, 1]")
parser.add_argument("--output", default="ntk_attack.png", help="where to save the picture")
parser.add_argument("--curve", default="ntk_attack_curve.png", help="where to save the curves")
options = parser.parse_args()

data = load_images(
    options.data,
    classes=options.classes,
    n_train=options.n_train,
    n_test=options.n_test,
    pixel_range=options.pixel_range,
    channels_first=options.channels_first,
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
# The attack needs the outputs and their input gradient; both are matrix products.

attacks = {
    "FGSM": NTKAttack(classifier, eps=options.eps, verbose=1),
    "PGD-10": NTKAttack(classifier, eps=options.eps, method="pgd", max_iter=10, verbose=1),
    "worst case": NTKAttack(classifier, eps=options.eps, method="auto", random_state=0, verbose=1),
}
accuracies = {"clean": classifier.score(data.X_test, data.y_test)}
for name, attack in attacks.items():
    accuracies[name] = robust_accuracy_score(classifier, data.X_test, data.y_test, attack)

print(f"\n{'attack':<10} {'accuracy':>8}   (eps = {options.eps:g})")
for name, accuracy in accuracies.items():
    print(f"{name:<10} {accuracy:>8.3f}")

# %%
# Original images, perturbations and adversarial examples, with the predictions as titles.

for attack in attacks.values():
    attack.set_params(verbose=0)
attack = attacks["PGD-10"]
AdversarialExamplesDisplay.from_estimator(
    attack,
    data.X_test[:8],
    data.y_test[:8],
    image_shape=data.image_shape,
    target_names=data.target_names,
)
plt.savefig(options.output, dpi=150)

# %%
# Accuracy against the budget: how much the attacks of the paper leave to a stronger one.

RobustAccuracyDisplay.from_estimator(
    classifier,
    data.X_test[:100],
    data.y_test[:100],
    epsilons=np.linspace(0, options.eps, 6),
    attack={name: clone(attack).set_params(estimator=None) for name, attack in attacks.items()},
    name=f"{options.data}, {options.kernel}",
)
plt.savefig(options.curve, dpi=150)
print(f"\nsaved {options.output} and {options.curve}")
