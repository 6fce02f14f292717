"""P1: Gram matrices of fully connected networks, n = 8000, d = 784, float32, depth 1, 3, 5.

Rival: the kernel of neural_tangents, jitted, on the same JAX.
Target: 2, 5 and 8 times as fast.
"""

from functools import partial

import jax.numpy as jnp
from _data import DATA, MNIST, images
from _measure import Row, compare, largest_difference, run
from _rivals import fully_connected

from skntk.kernels import FullyConnectedNTK

ROW = Row(
    "P1", "FC Gram, n = 8000, d = 784, depth 1 / 3 / 5", "neural_tangents, jitted", "2x / 5x / 8x"
)


def cases(options):
    n = options.n_train or (500 if options.reduced else 8000)
    X = images(options.data, n, 1, shape=MNIST).X_train
    on_device = jnp.asarray(X)
    for depth in (1, 3, 5):
        yield compare(
            f"depth {depth}",
            partial(FullyConnectedNTK(depth), X),
            partial(fully_connected(depth), on_device, None),
            options,
            largest_difference,
        )


def main(argv=None):
    run(ROW, cases, __doc__, argv, data=DATA, n_train={"type": int})


if __name__ == "__main__":
    main()
