"""P4: accuracy of the first 30 features, clean and under FGSM, n = 2000, 500 test images.

Rival: the method of the paper's released notebook, reimplemented and jitted. It takes one
feature at a time, differentiates through the kernel of neural_tangents with jax.grad, and
computes the kernel again for each prediction.
Target: 5 times as fast.
"""

import jax
import jax.numpy as jnp
import numpy as np
from _data import CIFAR, DATA, images
from _measure import Row, compare, run
from _rivals import fully_connected

from skntk import SpectralFeatureDecomposer
from skntk.kernels import FullyConnectedNTK

ROW = Row(
    "P4",
    "clean and FGSM accuracy of 30 features, n = 2000, 500 test images",
    "one feature at a time, autodiff",
    "5x",
)
EPS = 8 / 255


def scores_one_by_one(kernel_fn, decomposer, X_test, signs):
    """Program that returns accuracies (2, p), clean and under FGSM; `signs` holds labels -1, 1."""

    @jax.jit
    def outputs(x, X, coefficients):
        return kernel_fn(x, X) @ coefficients

    @jax.jit
    @jax.grad
    def gradient(x, X, coefficients):
        return jnp.sum(jax.nn.softplus(-2 * signs * outputs(x, X, coefficients)))

    X = jnp.asarray(decomposer.X_fit_)
    x = jnp.asarray(X_test)
    coefficients = jnp.asarray(decomposer.eigenvectors_ * decomposer.feature_coef_[:, 0])

    def scores():
        accuracies = []
        for c in coefficients.T:
            attacked = jnp.clip(x + EPS * jnp.sign(gradient(x, X, c)), 0, 1)
            answers = [outputs(points, X, c) > 0 for points in (x, attacked)]
            accuracies.append([jnp.mean(answer == (signs > 0)) for answer in answers])
        return jnp.array(accuracies).T

    return scores


def cases(options):
    n, m, p = (200, 50, 5) if options.reduced else (2000, 500, 30)
    data = images(options.data, n, m, shape=CIFAR, n_classes=2)
    decomposer = SpectralFeatureDecomposer(FullyConnectedNTK(options.depth), n_components=p)
    decomposer.fit(data.X_train, data.y_train)
    signs = np.where(data.y_test == decomposer.classes_[1], 1, -1).astype(np.float32)

    def ours():
        scores = decomposer.score_features(data.X_test, data.y_test, eps=EPS)
        return np.array([scores.usefulness, scores.robustness])

    def difference(ours, rival):
        return f"accuracies differ by at most {np.abs(ours - rival).max():.3f}"

    rival = scores_one_by_one(fully_connected(options.depth), decomposer, data.X_test, signs)
    yield compare(f"{p} features of FC{options.depth}", ours, rival, options, difference)


def main(argv=None):
    depth = {"type": int, "default": 1, "help": "of the network"}
    run(ROW, cases, __doc__, argv, data=DATA, depth=depth)


if __name__ == "__main__":
    main()
