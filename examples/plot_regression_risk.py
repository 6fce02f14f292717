"""
======================================
When to stop training, under attack
======================================

An infinitely wide network is trained on scikit-learn's diabetes data, a regression, and attacked at
many times of its training. One eigendecomposition serves all of them. While the error on clean
samples falls and hardly rises again, the error under attack falls first and then rises far above
where it began: a U, so that stopping early makes the network more robust.

The spread of the infinite ensemble is printed beside the errors: how far networks that differ in
their initial weights alone are apart at the test samples.

The options have defaults::

    python examples/plot_regression_risk.py --kernel fc1 --eps 0.02
"""

# %%
# The data, each feature brought to [0, 1] so that one budget means the same for all of them.

import argparse

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skntk import NTKAttack, NTKRegressor
from skntk.inspection import RiskOverTimeDisplay
from skntk.metrics import robust_r2_score

parser = argparse.ArgumentParser(description="Follow a regressor's risk under attack.")
parser.add_argument("--n-train", type=int, default=300)
parser.add_argument("--n-test", type=int, default=142)
parser.add_argument("--kernel", default="fc2", help="fc1..fc5 or two_layer")
parser.add_argument("--eps", type=float, default=0.05, help="largest change of a feature in [0, 1]")
parser.add_argument("--seed", type=int, default=0, help="of the split into train and test")
parser.add_argument("--output", default="regression_risk.png", help="where to save the picture")
options = parser.parse_args()

X_train, X_test, y_train, y_test = train_test_split(
    *load_diabetes(return_X_y=True),
    train_size=options.n_train,
    test_size=options.n_test,
    random_state=options.seed,
)
scaler = MinMaxScaler().fit(X_train)
X_train, X_test = scaler.transform(X_train), np.clip(scaler.transform(X_test), 0, 1)
unit = StandardScaler().fit(y_train[:, None])
y_train, y_test = (unit.transform(y[:, None])[:, 0] for y in (y_train, y_test))

# %%
# The targets have variance 1, so that 1 is about the error of predicting their mean. PGD raises the
# squared error of each test sample; the network is attacked anew at every time.

network = NTKRegressor(options.kernel, solver="eigh").fit(X_train, y_train)
attack = NTKAttack(None, eps=options.eps, method="pgd")
display = RiskOverTimeDisplay.from_estimator(
    network, X_test, y_test, attack, name=f"{options.kernel}, eps = {options.eps:g}"
)
plt.savefig(options.output, dpi=150)

times, clean = display.curves["clean"]
_, adversarial = display.curves["adversarial"]
print(f"{'time':>10} {'clean':>8} {'attacked':>9} {'spread':>8}")
for time, *risks in zip(times, clean, adversarial, strict=True):
    _, std = network.at_time(time).predict(X_test, return_std=True)
    print(f"{time:>10.3g} {risks[0]:>8.3f} {risks[1]:>9.3f} {std.mean():>8.3f}")
_, std = network.predict(X_test, return_std=True)
limits = display.limits
print(f"{'inf':>10} {limits['clean']:>8.3f} {limits['adversarial']:>9.3f} {std.mean():>8.3f}")

# %%
# The curve is a U if its smallest value lies inside, below both ends: then stopping early makes the
# network more robust than training it to the end, and than not training it.

lowest = adversarial.min()
inside = lowest < min(adversarial[0], limits["adversarial"])
best = display.best_times_
shape = "is a U" if inside else "is no U"
print(
    f"\nthe risk under attack {shape}: {adversarial[0]:.3f} at first, {lowest:.3f} at time "
    f"{best['adversarial']:.3g}, {limits['adversarial']:.3f} at the end"
)
print(f"the clean risk is smallest at time {best['clean']:.3g}")
for name, time in [("stopped there", best["adversarial"]), ("trained to the end", np.inf)]:
    machine = network.at_time(time)
    robust = robust_r2_score(machine, X_test, y_test, attack)
    print(f"{name}: R^2 {machine.score(X_test, y_test):.3f} clean, {robust:.3f} attacked")
print(f"saved {options.output}")
