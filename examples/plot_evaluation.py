"""
========================
Is my evaluation right?
========================

A robust accuracy is an upper bound: it says what an attack did not find. How near it is to the
truth depends on the attack, and a weak attack makes a weak model look strong. This example goes
through the checks that tell a good evaluation from a bad one:

1. more than one attack: the worst case of several, which differ in their losses;
2. a planted example: one that is known to exist must be found;
3. gradients: where they are zero, or wrong, attacks that follow them find nothing;
4. a search without gradients: it must not find what they missed.

By default the example runs on scikit-learn's digits; other images are read from a file::

    python examples/plot_evaluation.py --data mnist.npz --n-train 1000 --n-test 200 --eps 0.08
"""

# %%
# A machine to evaluate.

import argparse
import warnings

import matplotlib.pyplot as plt
import numpy as np

from skntk import FunctionClassifier, NTKAttack, NTKClassifier
from skntk.datasets import load_images
from skntk.inspection import RobustAccuracyDisplay

parser = argparse.ArgumentParser(description="Check an evaluation of robustness.")
parser.add_argument("--data", default="digits", help="a name such as mnist, a file or a folder")
parser.add_argument("--pixel-range", nargs=2, type=float, help="values of black and white")
parser.add_argument("--channels-first", action=argparse.BooleanOptionalAction)
parser.add_argument("--n-train", type=int, default=500)
parser.add_argument("--n-test", type=int, default=100)
parser.add_argument("--kernel", default="fc2", help="fc1..fc5 or two_layer")
parser.add_argument("--eps", type=float, default=0.1, help="largest change of a pixel in [0, 1]")
parser.add_argument("--output", default="evaluation.png", help="where to save the picture")
options = parser.parse_args()

data = load_images(
    options.data,
    n_train=options.n_train,
    n_test=options.n_test,
    pixel_range=options.pixel_range,
    channels_first=options.channels_first,
)
X, y = data.X_test, data.y_test
machine = NTKClassifier(options.kernel).fit(data.X_train, data.y_train)
print(f"{options.data}: clean accuracy {machine.score(X, y):.3f}")

# %%
# One attack is not enough
# ------------------------
#
# The outputs of a kernel machine lie near 0 and 1, so that a softmax of them is nearly flat: the
# cross-entropy, on which the paper's attacks climb, then hardly tells the nearest class from the
# others. The margin does. "auto" climbs on both, then toward each of the nearest classes, and
# searches without gradients at the end; every stage has the samples that still stand.

attacks = {
    "PGD, cross-entropy": NTKAttack(None, method="pgd"),
    "PGD, margin": NTKAttack(None, method="pgd", loss="margin"),
    "worst case": NTKAttack(None, method="auto", random_state=0),
}
display = RobustAccuracyDisplay.from_estimator(
    machine, X, y, epsilons=np.linspace(0, options.eps, 5), attack=attacks, name="three attacks"
)
for name, line in display.lines_.items():
    print(f"eps = {options.eps:g}, {name}: {line.get_ydata()[-1]:.3f} withstand")
plt.savefig(options.output, dpi=150)

worst = attacks["worst case"].set_params(estimator=machine)
report = worst.run(X, y, epsilons=[options.eps]).report
print("which stage was the first to succeed:")
for stage, count in report.n_broken.items():
    print(f"  {stage:<20} {count[0]:>4}")

# %%
# A planted example
# -----------------
#
# An attack that fails may have failed for reasons of its own. So give it a model of which the
# answer is known (Zimmermann et al. 2022): here each sample has, near the edge of its ball, a point
# around which the model says something else. An evaluation that does not find it is broken.


def planted_model(point, radius=0.05):
    """Two classes, the second one within `radius` of a point only."""

    def outputs(X):
        return radius - np.linalg.norm(X - point, axis=1)

    def vjp(X, cotangents):
        away = X - point
        return -cotangents[:, None] * away / np.linalg.norm(away, axis=1, keepdims=True)

    return FunctionClassifier(outputs, vjp, classes=["clean", "planted"], n_features=len(point))


rng = np.random.default_rng(0)
found = 0
for x in X[:10]:
    point = np.clip(x + 0.9 * options.eps * rng.choice([-1, 1], len(x)), 0, 1)
    attack = NTKAttack(planted_model(point), method="auto", n_queries=100, random_state=0)
    found += attack.run(x[None], ["clean"], epsilons=[options.eps]).success.sum()
print(f"planted: found {found} of {len(X[:10])}")

# %%
# Gradients that deceive
# ----------------------
#
# Rounding the outputs of the machine hardly changes its predictions, and makes its gradient zero
# everywhere, so that an attack that follows it finds nothing. The worst case reports this. It also
# reports gradients that point elsewhere: its search without gradients finds what they missed.


def no_gradient(X, cotangents):
    return np.zeros_like(X)


def wrong_gradient(X, cotangents):
    return -machine.input_vjp(X, cotangents)


def rounded(X):
    return np.round(machine.decision_function(X), 1)


victims = {
    "zero gradient": FunctionClassifier(
        rounded, no_gradient, classes=machine.classes_, n_features=X.shape[1]
    ),
    "wrong gradient": FunctionClassifier(
        machine.decision_function,
        wrong_gradient,
        classes=machine.classes_,
        n_features=X.shape[1],
    ),
}
right = machine.predict(X) == y
for name, victim in victims.items():
    pgd = NTKAttack(victim, method="pgd").run(X, y, epsilons=[options.eps])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # they are printed from the report
        worst = NTKAttack(victim, method="auto", random_state=0)
        result = worst.run(X, y, epsilons=[options.eps])
    print(
        f"\n{name}: PGD leaves {pgd.robust_accuracy[0]:.3f}, "
        f"the worst case {result.robust_accuracy[0]:.3f}"
    )
    for doubt in result.report.doubts:
        print(f"  doubt: {doubt}")

# %%
# No doubt was raised about the machine itself:

print(f"\ndoubts about the machine: {report.doubts or 'none'}")
print(f"saved {options.output}")
