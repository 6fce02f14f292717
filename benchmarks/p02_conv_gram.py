"""P2: Gram matrices of convolutional networks, 256 images of 32 x 32 x 3, float32.

Rival: the kernel of neural_tangents, jitted, on the same JAX.
Target: 3 times as fast for one convolution, 4 times for two.
"""

from functools import partial

import jax.numpy as jnp
from _data import CIFAR, DATA, images
from _measure import Row, compare, largest_difference, run
from _rivals import convolutional

from skntk.kernels import ConvolutionalNTK

ROW = Row("P2", "CONV1 / CONV2 Gram, 256 CIFAR images", "neural_tangents, jitted", "3x / 4x")


def cases(options):
    n = options.n_train or (32 if options.reduced else 256)
    X = images(options.data, n, 1, shape=CIFAR).X_train
    on_device = jnp.asarray(X).reshape(n, *CIFAR)
    for depth in (1, 2):
        yield compare(
            f"CONV{depth}",
            partial(ConvolutionalNTK(depth, image_shape=CIFAR), X),
            partial(convolutional(depth), on_device, None),
            options,
            largest_difference,
        )


def main(argv=None):
    run(ROW, cases, __doc__, argv, data=DATA, n_train={"type": int})


if __name__ == "__main__":
    main()
