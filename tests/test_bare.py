"""What needs JAX alone runs without Flax, and what needs Flax says so.

These tests run with and without Flax; `tox -e bare` runs them, and all others that need none,
where it is not installed.
"""

import sys

import jax.numpy as jnp
import numpy as np
import pytest

import skntk
from skntk import AdversarialTraining, KernelDynamicsTracker, NTKClassifier
from skntk._utils.optional import is_installed
from skntk.kernels import EmpiricalNTK

X = np.random.default_rng(0).uniform(size=(6, 3))
y = np.arange(6) % 2
PARAMS = {"a": np.random.default_rng(1).standard_normal((3, 8)), "b": np.ones((8, 2))}


def network(params, x):
    return jnp.tanh(x @ params["a"]) @ params["b"]


def by_hand(points):
    """Jacobian of `network` with respect to its parameters, (n, 2, 40)."""
    hidden = np.tanh(points @ PARAMS["a"])
    slopes = (1 - hidden**2)[:, None, :] * PARAMS["b"].T
    of_a = np.einsum("ni,nkj->nkij", points, slopes).reshape(len(points), 2, -1)
    of_b = np.einsum("nj,kl->nkjl", hidden, np.eye(2)).reshape(len(points), 2, -1)
    return np.concatenate([of_a, of_b], axis=2)


def test_a_kernel_of_a_plain_function():
    kernel = EmpiricalNTK(network, PARAMS)
    J = by_hand(X).reshape(12, -1)
    np.testing.assert_allclose(kernel.full(X), J @ J.T, rtol=1e-12)
    trace = np.einsum("nkp,mkp->nm", by_hand(X), by_hand(X)) / 2
    np.testing.assert_allclose(kernel(X), trace, rtol=1e-12)
    clf = NTKClassifier(kernel, alpha=0.1).fit(X, y)
    assert clf.input_vjp(X, np.ones(6)).shape == X.shape


@pytest.mark.parametrize("adversary", [None, AdversarialTraining(0.1, max_iter=2)])
def test_records_of_a_plain_function(adversary, tmp_path):
    tracker = KernelDynamicsTracker(X, y, top=2, adversary=adversary, directory=tmp_path)
    for step in range(3):
        scaled = {name: (1 + step) * value for name, value in PARAMS.items()}
        tracker.record(network, scaled, step)
    if adversary is None:
        J = by_hand(X).reshape(12, -1)
        np.testing.assert_allclose(tracker.kernel(0), J @ J.T, rtol=1e-12)
    loaded = KernelDynamicsTracker.load(tmp_path)
    np.testing.assert_array_equal(loaded.polar_angle_, tracker.polar_angle_)
    assert loaded.polar_angle_[1] > 0


def test_star_imports_take_what_there_is():
    names, networks = {}, {}
    exec("from skntk import *", names)
    exec("from skntk.networks import *", networks)
    assert names.keys() >= {*skntk.__all__, "NTKClassifier"}
    assert ("FlaxClassifier" in names) == is_installed("optax")
    assert ("TwoLayerReLU" in networks) == is_installed("flax")


@pytest.mark.parametrize("use", ["FlaxClassifier", "skntk.networks.TwoLayerReLU", "EmpiricalNTK"])
def test_what_needs_flax_says_so(use, monkeypatch):
    loaded = [name for name in sys.modules if name.partition(".")[0] in ("flax", "optax")]
    ours = [name for name in sys.modules if name.startswith(("skntk.finite", "skntk.networks"))]
    for name in [*loaded, *ours]:
        if name not in ("skntk.finite", "skntk.networks"):
            monkeypatch.delitem(sys.modules, name)
    for library in ("flax", "optax"):
        monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ImportError, match=r"needs (flax|optax), .*pip install 'skntk\[flax\]'"):
        if use == "EmpiricalNTK":
            EmpiricalNTK(lambda rngs: rngs)(X)
        elif use == "FlaxClassifier":
            skntk.finite.__getattr__(use)
        else:
            skntk.networks.__getattr__("TwoLayerReLU")
