"""AutoAttack as a judge of the worst case, on machines fitted to digits.

Run by `tox -e peers`, which installs PyTorch and torchattacks. `tests/attacks/test_recorded.py`
holds what it found.
"""

import numpy as np
import pytest
from machines import MACHINES, SAMPLES, fitted

from skntk import NTKAttack
from skntk.interop import to_torch

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
torch = pytest.importorskip("torch")
torchattacks = pytest.importorskip("torchattacks")

#: Percentage points that the worst case may leave above the judge's union.
SLACK = 0.002


def attacks(module, n_classes, norm, eps):
    """Parts of AutoAttack; its targeted loss needs four classes."""
    params = {"norm": "Linf" if norm == np.inf else "L2", "eps": eps, "seed": 0}
    yield torchattacks.APGD(module, loss="ce", **params)
    if n_classes > 3:
        yield torchattacks.APGDT(module, n_classes=n_classes, **params)
    yield torchattacks.FAB(module, multi_targeted=n_classes > 2, n_classes=n_classes, **params)
    yield torchattacks.Square(module, n_queries=5000, **params)


def left_by_autoattack(clf, X, y, norm, eps):
    """Fraction of samples that withstand every part."""
    side = int(np.sqrt(X.shape[1]))
    module = to_torch(clf, input_shape=(1, side, side))
    labels = np.searchsorted(clf.classes_, y)
    standing = np.flatnonzero(clf.predict(X) == y)
    for attack in attacks(module, len(clf.classes_), norm, eps):
        if len(standing):
            x = torch.from_numpy(X[standing].reshape(-1, 1, side, side))
            found = attack(x, torch.from_numpy(labels[standing])).reshape(len(standing), -1)
            standing = standing[clf.predict(found.detach().numpy()) == y[standing]]
    return len(standing) / len(X)


@pytest.mark.parametrize("name", MACHINES)
def test_no_more_withstand_than_autoattack_leaves(name):
    clf, X, y = fitted(name)
    for norm, eps in MACHINES[name].budgets:
        attack = NTKAttack(clf, method="auto", norm=norm, random_state=0)
        ours = attack.run(X[:SAMPLES], y[:SAMPLES], epsilons=[eps]).robust_accuracy[0]
        theirs = left_by_autoattack(clf, X[:SAMPLES], y[:SAMPLES], norm, eps)
        print(f"RECORD {name!r}, {norm}, {eps}, ours {ours:.4f}, AutoAttack {theirs:.4f}")
        assert ours <= theirs + SLACK
