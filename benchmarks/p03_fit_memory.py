"""P3: peak memory of a fit, FC3, n = 10000, d = 784, float32.

Rival: the jitted Gram matrix of neural_tangents and a Cholesky solve in JAX, as nt.predict
does. Each fit runs in its own process, and the comparison is of peak memory beyond what the
process held just before the fit.
Target: a third of the memory, a ratio of 3.
"""

import jax
import jax.numpy as jnp
import numpy as np
from _data import DATA, MNIST, images
from _measure import MB, Case, Row, in_child, largest_difference, memory_of, ratio, run
from _rivals import fully_connected

from skntk import NTKClassifier
from skntk.kernels import FullyConnectedNTK

ROW = Row(
    "P3", "peak memory of fit, FC3, n = 10000", "neural_tangents Gram and solution", "a third (3x)"
)
RIDGE = 1e-2  # the rival has no refinement to recover what float32 loses


def fit_ours(n, data):
    """Memory of a fit, and outputs for 50 test images."""
    X, y, X_test = _load(n, data)
    clf = NTKClassifier(FullyConnectedNTK(3), alpha=RIDGE)
    clf.fit(X[:200], y[:200])  # compile first, here and below: compilation is not measured
    _, memory = memory_of(lambda: clf.fit(X, y))
    return memory | {"outputs": clf.decision_function(X_test).tolist()}


def fit_rival(n, data):
    """The same for the rival."""
    X, y, X_test = map(jnp.asarray, _load(n, data))
    kernel_fn = fully_connected(3)

    @jax.jit
    def fit(X, y):
        gram = kernel_fn(X, None) + RIDGE * jnp.eye(len(X))
        return jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(gram), jax.nn.one_hot(y, 10))

    fit(X[:200], y[:200])
    coefficients, memory = memory_of(lambda: fit(X, y))
    return memory | {"outputs": np.asarray(kernel_fn(X_test, X) @ coefficients).tolist()}


def _load(n, data):
    loaded = images(data, n, 50, shape=MNIST)
    return loaded.X_train, loaded.y_train, loaded.X_test


def cases(options):
    n = options.n_train or (1000 if options.reduced else 10_000)
    ours, rival = (
        in_child("p03_fit_memory", name, n=n, data=options.data)
        for name in ("fit_ours", "fit_rival")
    )
    yield Case(
        f"n = {n}",
        ratio(ours["growth"], rival["growth"]),
        ours["growth"] / MB,
        rival["growth"] / MB,
        largest_difference(ours["outputs"], rival["outputs"]),
        unit="MB",
        peak=ours["peak"],
        notes=[
            f"whole process: skntk {ours['peak'] / MB:.0f} MB, rival {rival['peak'] / MB:.0f} MB",
            f"seconds, once: skntk {ours['seconds']:.3g}, rival {rival['seconds']:.3g}",
            f"a Gram matrix: {n * n * 4 / MB:.0f} MB",
        ],
    )


def main(argv=None):
    run(ROW, cases, __doc__, argv, data=DATA, n_train={"type": int})


if __name__ == "__main__":
    main()
