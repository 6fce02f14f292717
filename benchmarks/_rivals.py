"""Kernels of neural_tangents that several benchmarks compare with."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from _measure import Case, compare, largest_difference, timed

from skntk import load_neural_tangents
from skntk.kernels import EmpiricalNTK

_LAYER = {"W_std": 2**0.5, "b_std": 0.1}


def fully_connected(depth: int) -> Callable:
    """Jitted kernel (x, z) of the fully connected network."""
    stax = load_neural_tangents().stax
    hidden = [stax.Dense(1, **_LAYER), stax.Relu()] * depth
    return _jitted(stax.serial(*hidden, stax.Dense(1, **_LAYER)))


def convolutional(depth: int) -> Callable:
    """Jitted kernel (x, z) of the convolutional network, for images (n, H, W, C)."""
    stax = load_neural_tangents().stax
    hidden = [stax.Conv(1, (3, 3), padding="SAME", **_LAYER), stax.Relu()] * depth
    return _jitted(stax.serial(*hidden, stax.Flatten(), stax.Dense(1, **_LAYER)))


def _jitted(network: Any) -> Callable:
    return jax.jit(functools.partial(network[2], get="ntk"))


def compare_empirical(module: Any, n_features: int, n_images: int, options: Any) -> Case:
    """Compare EmpiricalNTK with the Jacobian contraction, at the latter's fastest batch size."""
    x = np.random.default_rng(0).uniform(size=(n_images, n_features)).astype(np.float32)
    params = module.init(jax.random.key(0), x[:1])["params"]
    ours = EmpiricalNTK(module, params)
    rivals = _empirical_rivals(module, params, jnp.asarray(x))
    first = {name: timed(rival)[0] for name, rival in rivals.items()}
    seconds = {name: timed(rival)[0] for name, rival in rivals.items()}
    best = min(seconds, key=seconds.__getitem__)

    def difference(kernel: np.ndarray, blocks: jax.Array) -> str:
        return largest_difference(kernel, np.moveaxis(blocks, 2, 1).reshape(kernel.shape))

    name = f"{n_images} images x {module.n_outputs} outputs"
    case = compare(name, lambda: ours.full(x), rivals[best], options, difference)
    tried = ", ".join(f"{name}: {value:.3g} s" for name, value in seconds.items())
    case.first_rival = max(0.0, first[best] - case.rival)
    case.notes.append(f"rival's batch size {best}, of {tried}")
    return case


def _empirical_rivals(module: Any, params: Any, x: jax.Array) -> dict[str, Callable]:
    """Programs that compute the kernel (n, n, k, k), by batch size."""
    nt = load_neural_tangents()
    kernel_fn = nt.empirical_ntk_fn(
        lambda params, x: module.apply({"params": params}, x),
        trace_axes=(),
        vmap_axes=0,  # samples do not interact, which neural_tangents exploits
        implementation=nt.NtkImplementation.JACOBIAN_CONTRACTION,
    )
    rivals = {}
    for size in (size for size in (25, 50) if len(x) % size == 0 and size < len(x)):
        batched = nt.batch(kernel_fn, batch_size=size, device_count=0)  # jits its function
        rivals[str(size)] = functools.partial(batched, x, None, params)
    if len(x) <= 50:
        rivals["all"] = functools.partial(jax.jit(kernel_fn), x, None, params)
    return rivals
