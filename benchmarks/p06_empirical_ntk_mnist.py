"""P6: empirical NTK of the paper's MNIST network, 100 images x 10 outputs, float32.

Rival: Jacobian contraction of neural_tangents, jitted, at its best batch size.
Target: 10 times as fast.
"""

from _measure import Row, run
from _rivals import compare_empirical

from skntk.networks import MNISTConvNet

ROW = Row(
    "P6",
    "empirical NTK, MNIST network, 100 images x 10 outputs",
    "Jacobian contraction of neural_tangents, jitted, best batch size",
    "10x",
)


def cases(options):
    yield compare_empirical(MNISTConvNet(), 784, 10 if options.reduced else 100, options)


def main(argv=None):
    run(ROW, cases, __doc__, argv)


if __name__ == "__main__":
    main()
