"""Helpers that the tests of several rooms share."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np

from skntk.kernels import FullyConnectedNTK

ROOT = Path(__file__).parents[1]


def run_script(script, *options, cwd, **environment):
    """Run a script of the project, as text, with warnings as errors; `environment` is added."""
    return subprocess.run(
        [sys.executable, "-W", "error", ROOT / script, *options],
        cwd=cwd,
        env=os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def gaussian(*shape, seed=0):
    """Standard normal numbers, the same at every call."""
    return np.random.default_rng(seed).standard_normal(shape)


def central_differences(function, X, step=1e-3):
    """Gradient (m, d, ...), of fourth order, of a function from rows (m, d) to numbers (m, ...)."""

    def derivative(shift):
        near = function(X + shift) - function(X - shift)
        far = function(X + 2 * shift) - function(X - 2 * shift)
        return (8 * near - far) / (12 * step)

    return np.stack([derivative(shift) for shift in step * np.eye(X.shape[1])], axis=1)


class Compilations:
    """Counts the compilations of XLA within a with statement."""

    def __enter__(self):
        self.count = 0
        jax.monitoring.register_event_duration_secs_listener(self._listen)
        return self

    def _listen(self, event, duration, **kwargs):
        self.count += event == "/jax/core/compile/backend_compile_duration"

    def __exit__(self, *error):
        jax.monitoring.unregister_event_duration_listener(self._listen)


class SmallBlocks(FullyConnectedNTK):
    """A kernel with blocks so small that a few samples give several of them."""

    block_size = 16


class ProcessNumbers(SmallBlocks):
    """A kernel whose values are the ids of the processes that compute them."""

    def _gram(self, X, Z):
        return np.full((len(X), len(X if Z is None else Z)), float(os.getpid()))
