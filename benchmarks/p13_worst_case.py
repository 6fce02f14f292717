"""P13: worst-case robust accuracy of 200 test images, FC2, n = 1000, d = 784, eps = 0.08.

Rival: AutoAttack (APGD on the cross-entropy, APGD toward nine classes, FAB, Square with 5,000
queries), as torchattacks has it, on `skntk.interop.to_torch` of the same machine. It needs
PyTorch and torchattacks (`tox -e peers`); without them, or at reduced sizes, the rival is our own
PGD with 40 steps.
Target: five times as fast, and no more than 0.2 points above it.
"""

import numpy as np
from _data import DATA, MNIST, images
from _measure import Row, compare, run

from skntk import NTKAttack, NTKClassifier
from skntk._utils.optional import is_installed

ROW = Row(
    "P13",
    'worst case ("auto") of 200 images, FC2, n = 1000',
    "AutoAttack through to_torch",
    "5x",
)
EPS = 0.08


def autoattack(clf, X, y):
    """Program that returns the adversarial examples of torchattacks' AutoAttack."""
    import torch
    import torchattacks

    from skntk.interop import to_torch

    side = int(np.sqrt(X.shape[1]))
    module = to_torch(clf, input_shape=(1, side, side))
    x = torch.from_numpy(X.reshape(-1, 1, side, side))
    labels = torch.from_numpy(np.searchsorted(clf.classes_, y))

    def attack():
        judge = torchattacks.AutoAttack(module, eps=EPS, n_classes=len(clf.classes_), seed=0)
        return judge(x, labels).detach().reshape(len(X), -1).numpy()

    return attack


def cases(options):
    n, m = (200, 20) if options.reduced else (1000, 200)
    data = images(options.data, n, m, shape=MNIST)
    clf = NTKClassifier("fc2").fit(data.X_train, data.y_train)
    queries = {"n_queries": 20, "max_iter": 5} if options.reduced else {}
    attack = NTKAttack(clf, eps=EPS, method="auto", random_state=0, **queries)
    if not options.reduced and is_installed("torch", "torchattacks"):
        name, rival = "AutoAttack", autoattack(clf, data.X_test, data.y_test)
    else:
        name = "PGD-40"
        pgd = NTKAttack(clf, eps=EPS, method="pgd", max_iter=40, loss="margin")

        def rival():
            return pgd.generate(data.X_test, data.y_test)

    def accuracies(ours, theirs):
        of_ours, of_rival = (clf.score(x, data.y_test) for x in (ours, theirs))
        return f"robust accuracy {of_ours:.3f}, {name} {of_rival:.3f}"

    yield compare(
        f"{m} images, n = {n}",
        lambda: attack.generate(data.X_test, data.y_test),
        rival,
        options,
        accuracies,
    )


def main(argv=None):
    run(ROW, cases, __doc__, argv, data=DATA)


if __name__ == "__main__":
    main()
