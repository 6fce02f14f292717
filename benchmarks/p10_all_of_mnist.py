"""P10: all 60,000 images of MNIST on one machine, FC3, float32, solver="cg".

Rival: the exact solution, solver="cholesky", fitted only with --exact. Each fit runs once, in
its own process. Accuracy is on all test images; under FGSM (eps = 0.3), on the first 1,000.
Target: within 0.1 percentage points of the exact accuracy, under 15 minutes and 20 GB.
"""

from _data import DATA, MNIST, images
from _measure import MB, Case, Row, in_child, memory_of, ratio, run

from skntk import NTKAttack, NTKClassifier
from skntk.kernels import FullyConnectedNTK
from skntk.metrics import robust_accuracy_score

ROW = Row(
    "P10",
    'MNIST, 60000 training images, FC3, "cg"',
    "exact solution",
    "accuracy within 0.1 points, under 15 min, under 20 GB",
)


def fit_and_score(solver, alpha, n_train, n_test, n_attacked, data):
    """Time, memory, iterations and accuracies of a fit."""
    loaded = images(data, n_train, n_test, shape=MNIST)
    clf = NTKClassifier(FullyConnectedNTK(3), solver=solver, alpha=alpha, random_state=0)
    _, measured = memory_of(lambda: clf.fit(loaded.X_train, loaded.y_train))
    X, y = loaded.X_test[:n_attacked], loaded.y_test[:n_attacked]
    return measured | {
        "n_iter": clf.n_iter_,
        "clean": clf.score(loaded.X_test, loaded.y_test),
        "robust": robust_accuracy_score(clf, X, y, NTKAttack(None, eps=0.3)),
    }


def describe(name, fit):
    return (
        f"{name}: fit {fit['seconds']:.4g} s, peak memory {fit['peak'] / MB:.0f} MB, "
        f"{fit['n_iter']} iterations, test accuracy {fit['clean']:.2%}, "
        f"under FGSM {fit['robust']:.2%}"
    )


def cases(options):
    n_train = options.n_train or (500 if options.reduced else 60_000)
    n_test, n_attacked = (200, 50) if options.reduced else (10_000, 1_000)
    arguments = {"n_train": n_train, "n_test": n_test, "n_attacked": n_attacked}
    arguments |= {"alpha": options.alpha, "data": options.data}
    fits = {}
    for solver in ("cg", "cholesky") if options.exact else ("cg",):
        fits[solver] = in_child("p10_all_of_mnist", "fit_and_score", solver=solver, **arguments)
        print(describe(solver, fits[solver]), flush=True)
    cg, exact = fits["cg"], fits.get("cholesky")
    agreement = f"test accuracy {cg['clean']:.2%}, under FGSM {cg['robust']:.2%}"
    if exact:
        agreement += f"; exact {exact['clean']:.2%}, {exact['robust']:.2%}"
    yield Case(
        f"n = {n_train}",
        ratio(cg["seconds"], exact["seconds"]) if exact else None,
        cg["seconds"],
        exact["seconds"] if exact else None,
        agreement,
        peak=cg["peak"],
        notes=[f"{cg['n_iter']} iterations"],
    )


def main(argv=None):
    exact = {"action": "store_true", "help": "also fit the exact solution"}
    alpha = {"type": float, "default": 0.0, "help": "ridge of both fits"}
    run(ROW, cases, __doc__, argv, data=DATA, n_train={"type": int}, exact=exact, alpha=alpha)


if __name__ == "__main__":
    main()
