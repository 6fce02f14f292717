"""Several JAX devices share the pairs of a Gram matrix."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skntk.kernels import FullyConnectedNTK

PROGRAM = """
import json, jax, numpy as np
from skntk.kernels import FullyConnectedNTK
from skntk.kernels import _rotation_invariant as module

spread, seen = module._spread, set()

def watch(*arrays):
    arrays = spread(*arrays)
    seen.update(len(array.sharding.device_set) for array in arrays)
    return arrays

module._spread = watch
X = np.random.default_rng(0).random((90, 5))
kernel = FullyConnectedNTK(3)
result = {
    "devices": jax.device_count(),
    "sharded": sorted(seen),
    "gram": kernel(X).tolist(),
    "gradient": kernel.input_vjp(X[:4], X, np.ones((4, 90))).tolist(),
}
result["sharded"] = sorted(seen)
print(json.dumps(result))
"""


@pytest.fixture(scope="module")
def on_two_devices():
    flags = "--xla_force_host_platform_device_count=2"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", PROGRAM]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


def test_pairs_are_shared_among_devices(on_two_devices):
    assert on_two_devices["devices"] == 2
    assert on_two_devices["sharded"] == [2]


def test_results_are_those_of_one_device(on_two_devices):
    X = np.random.default_rng(0).random((90, 5))
    kernel = FullyConnectedNTK(3)
    assert_allclose(on_two_devices["gram"], kernel(X), rtol=1e-14)
    gradient = kernel.input_vjp(X[:4], X, np.ones((4, 90)))
    assert_allclose(on_two_devices["gradient"], gradient, rtol=1e-12)
