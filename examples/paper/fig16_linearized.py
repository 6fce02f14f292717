"""
========================================
Fig. 16: linearised adversarial training
========================================

At a given epoch the network is replaced by its first-order expansion around the weights of that
epoch, and adversarial training, attacks included, goes on with the expansion. The paper says that
training does not collapse, that it stagnates beside training without linearisation, and that the
gap between clean and robust accuracy is larger the earlier the network is linearised.

::

    python examples/paper/fig16_linearized.py --data cifar10.npz --scale paper --out figures
"""

# %%
# The paper linearises at epochs 0, 25 and 50 of 200, on CIFAR-10.

import matplotlib.pyplot as plt
import numpy as np
from _common import Report, load, read_options
from _networks import make_adversaries, make_network
from _rules import above, below, sampling_error

from skntk.inspection import TrainingCurveDisplay

options = read_options(
    "Linearised adversarial training.",
    small={
        **{"n_train": 120, "n_test": 60, "epochs": 6, "linearize_at": [0, 2]},
        **{"batch_size": 20, "learning_rate": 0.05, "momentum": 0.0, "pgd_steps": 3},
        "adversary": "pgd",
    },
    paper={
        **{"n_train": None, "n_test": None, "epochs": 200, "linearize_at": [0, 25, 50]},
        **{"batch_size": {"MNIST": 300, "CIFAR": 250}, "learning_rate": 0.01, "momentum": 0.0},
        **{"pgd_steps": 20, "adversary": "pgd"},
    },
)
late = [epoch for epoch in options.linearize_at if not 0 <= epoch < options.epochs]
if late:
    raise SystemExit(f"--linearize-at {late[0]} is none of the epochs 0 to {options.epochs - 1}")
data = load(options)
report = Report(options, data)
adversaries = make_adversaries(options)

# %%
# Train once for each epoch of linearisation, and once without.

moments = [*sorted(options.linearize_at), None]
figure, axes = plt.subplots(
    1, len(moments), figsize=(3.8 * len(moments), 3.6), layout="constrained", squeeze=False
)
clean, robust = {}, {}
for moment, ax in zip(moments, axes[0], strict=True):
    network = make_network(
        options,
        data,
        adversary=adversaries[options.adversary],
        validation_adversary=adversaries["pgd-20"],
        linearize_at=moment,
    )
    network.fit(data.X_train, data.y_train, data.X_test, data.y_test)
    name = "not linearised" if moment is None else f"linearised at {moment}"
    TrainingCurveDisplay.from_estimator(network, name=name, ax=ax)
    clean[moment] = network.history_["test_accuracy"]
    robust[moment] = network.history_["test_robust_accuracy"]
    print(f"{name}: clean {clean[moment][-1]:.3f}, PGD-20 {robust[moment][-1]:.3f}", flush=True)
report.draw("fig16")

# %%
# The claims.

m = len(data.X_test)
drops = {epoch: float(robust[epoch][epoch:].max() - robust[epoch][-1]) for epoch in moments[:-1]}
report.add(
    "16",
    "Adversarial training continues after linearisation, without a collapse",
    "no collapse",
    below("largest fall of robust accuracy from its best since then", max(drops.values()), 0.1),
)
first, latest = moments[0], moments[-2]
if first != latest:
    ends = [curve[epoch][-1] for epoch in (first, latest) for curve in (clean, robust)]
    gaps = [float(clean[epoch][-1] - robust[epoch][-1]) for epoch in (first, latest)]
    report.add(
        "16",
        "The earlier the linearisation, the larger the gap between clean and robust accuracy",
        "larger gap when earlier",
        above(
            f"gap linearised at {first} less that at {latest}",
            gaps[0] - gaps[1],
            0,
            sampling_error(ends, m),
        ),
    )
late_gain = {
    moment: float(np.subtract(*curve[[-1, len(curve) // 2]])) for moment, curve in robust.items()
}
report.add(
    "16",
    "Linearised training stagnates beside training that is not linearised",
    "seems to stagnate",
    above(
        "gain in robust accuracy in the later half: not linearised, less the mean of linearised",
        late_gain[None] - np.mean([late_gain[epoch] for epoch in moments[:-1]]),
        0,
        sampling_error([robust[None][-1]] * 2, m),
    ),
)
report.save()
