"""P8: distances, polar curves and top-20 concentration of 20 kernels of 1000 x 1000, float64.

Rival: the method of the paper's released measurement script, reimplemented: three n^3 matrix
products for the distance of each pair, and all eigenvalues of each kernel by eigh.
Target: 100 times as fast.
"""

from itertools import combinations

import numpy as np
from _measure import Row, compare, run

from skntk import KernelDynamicsTracker

ROW = Row(
    "P8",
    "distances, polar curves, concentration of 20 kernels of 1000 x 1000",
    "three products per pair, a full eigh per kernel",
    "100x",
)
N_OUTPUTS, TOP = 10, 20


def make_kernels(n_kernels, n_samples):
    """Kernels J J^T of a drifting network with 10 outputs: J = features x outputs + noise."""
    random = np.random.default_rng(0)
    n = n_samples * N_OUTPUTS
    decay = 1 / np.arange(1, n_samples + 1)
    start, drift = (random.normal(size=(n_samples, n_samples)) * decay for _ in range(2))
    noise, change = (0.01 * random.normal(size=(n, n)) for _ in range(2))
    for t in np.linspace(0, 1, n_kernels):
        jacobian = np.kron(start + t * drift, np.eye(N_OUTPUTS)) + noise + t * change
        yield jacobian @ jacobian.T


def through_tracker(kernels, n_samples):
    """Distances, radii, angles and concentrations, as the tracker computes them."""
    tracker = KernelDynamicsTracker(np.zeros((n_samples, 1)), top=(TOP,))
    for step, kernel in enumerate(kernels):
        tracker._recorded.add(step, kernel, "")  # what `record` does once it has the kernel
    curves = tracker.polar_radius_, tracker.polar_angle_, tracker.concentration_[TOP]
    return tracker.distances_, *curves


def by_products(kernels):
    """The same, by the method of the released script."""
    distances = np.zeros((len(kernels), len(kernels)))
    for i, j in combinations(range(len(kernels)), 2):
        a, b = kernels[i], kernels[j]
        cosine = np.trace(a @ b) / np.sqrt(np.trace(a @ a) * np.trace(b @ b))
        distances[i, j] = distances[j, i] = 1 - cosine
    moved = np.array([np.linalg.norm(kernel - kernels[0]) for kernel in kernels])
    angles = np.arccos(np.clip(1 - distances[0], -1, 1))
    eigenvalues = np.array([np.linalg.eigh(kernel)[0] for kernel in kernels])
    squares = np.square(eigenvalues[:, ::-1])
    return distances, moved / moved[-1], angles, squares[:, :TOP].sum(1) / squares.sum(1)


def agreement(ours, rival):
    names = ("distances", "radii", "angles", "concentrations")
    parts = zip(names, ours, rival, strict=True)
    return ", ".join(f"{name} {np.abs(a - b).max():.0e}" for name, a, b in parts) + " apart"


def cases(options):
    n_kernels, n_samples = (5, 20) if options.reduced else (20, 100)
    kernels = list(make_kernels(n_kernels, n_samples))
    yield compare(
        f"{n_kernels} kernels of {n_samples * N_OUTPUTS} rows",
        lambda: through_tracker(kernels, n_samples),
        lambda: by_products(kernels),
        options,
        agreement,
    )


def main(argv=None):
    run(ROW, cases, __doc__, argv)


if __name__ == "__main__":
    main()
