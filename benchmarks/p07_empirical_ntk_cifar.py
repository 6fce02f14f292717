"""P7: empirical NTK of the paper's CIFAR network, 50 images x 10 outputs, float32.

Rival: Jacobian contraction of neural_tangents, jitted, at its best batch size.
Target: twice as fast.
"""

from _measure import Row, run
from _rivals import compare_empirical

from skntk.networks import CIFARConvNet

ROW = Row(
    "P7",
    "empirical NTK, CIFAR network, 50 images x 10 outputs",
    "Jacobian contraction of neural_tangents, jitted, best batch size",
    "2x",
)


def cases(options):
    yield compare_empirical(CIFARConvNet(), 3072, 5 if options.reduced else 50, options)


def main(argv=None):
    run(ROW, cases, __doc__, argv)


if __name__ == "__main__":
    main()
