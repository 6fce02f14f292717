"""The worst case of "auto" beside AutoAttack's, on machines and networks fitted to real images.

A table, one row per model, norm and budget: accuracy clean, under the paper's FGSM and PGD-10,
under "auto", under the union of what AutoAttack runs (APGD on the cross-entropy, APGD toward each
class, FAB, Square with 5,000 queries; torchattacks through `skntk.interop.to_torch`), and the
seconds that "auto" and AutoAttack took. Each of AutoAttack's parts gets the samples that the parts
before left.

It needs PyTorch and torchattacks (`pip install -e ".[peers]"`), and takes minutes a row:

    python benchmarks/judged.py --mnist mnist.npz --cifar-pair pair.npz --cifar cifar10.npz
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skntk import (
    AdversarialTraining,
    FlaxClassifier,
    NTKAttack,
    NTKClassifier,
    RobustFeatureSelector,
    SpectralFeatureDecomposer,
)
from skntk.datasets import load_images
from skntk.interop import to_torch
from skntk.networks import MNISTConvNet

INF, L2 = np.inf, 2


class Model(NamedTuple):
    """A model, the file and classes that it is fitted to, and the budgets of its attacks."""

    source: str
    classes: list[int] | None
    n_train: int
    make: Callable[[], Any]
    budgets: list[tuple[float, float]]


def selector():
    """Thirty robust features of FC1."""
    decomposer = SpectralFeatureDecomposer("fc1", n_components=200)
    return RobustFeatureSelector(decomposer, eps=0.08, n_features_to_select=30)


def network(adversary=None):
    """The paper's network for MNIST, with or without adversarial training."""
    return FlaxClassifier(
        MNISTConvNet(10),
        optimizer="adam",
        learning_rate=1e-3,
        batch_size=100,
        max_epochs=5,
        adversary=adversary,
        random_state=0,
    )


MODELS = {
    "MNIST, FC2": Model(
        "mnist", None, 1000, lambda: NTKClassifier("fc2"), [(INF, 0.08), (INF, 0.1), (L2, 1.0)]
    ),
    "MNIST 0-3, FC2": Model(
        "mnist", [0, 1, 2, 3], 1000, lambda: NTKClassifier("fc2"), [(INF, 0.1), (L2, 1.0)]
    ),
    "MNIST 3 and 8, FC2": Model(
        "mnist", [3, 8], 1000, lambda: NTKClassifier("fc2"), [(INF, 0.1), (L2, 1.0)]
    ),
    "MNIST, FC2, t = 0.1": Model(
        "mnist", None, 1000, lambda: NTKClassifier("fc2", time=0.1), [(INF, 0.08)]
    ),
    "MNIST, 30 robust features": Model("mnist", None, 500, selector, [(INF, 0.08), (L2, 1.0)]),
    "MNIST, scaled, PCA, FC1": Model(
        "mnist",
        None,
        1000,
        lambda: make_pipeline(StandardScaler(), PCA(50), NTKClassifier("fc1")),
        [(INF, 0.05), (L2, 0.7)],
    ),
    "CIFAR pair, FC1": Model(
        "cifar_pair",
        None,
        2000,
        lambda: NTKClassifier("fc1"),
        [(INF, 1 / 255), (INF, 2 / 255), (L2, 0.1)],
    ),
    "CIFAR-10, FC2": Model(
        "cifar", None, 2000, lambda: NTKClassifier("fc2"), [(INF, 1 / 255), (L2, 0.1)]
    ),
    "MNIST, network": Model("mnist", None, 5000, network, [(INF, 0.1), (L2, 1.0)]),
    "MNIST, network, trained by PGD": Model(
        "mnist",
        None,
        5000,
        lambda: network(AdversarialTraining(0.2, method="pgd", max_iter=5)),
        [(INF, 0.2), (L2, 1.0)],
    ),
}


def autoattack(module: Any, n_classes: int, norm: float, eps: float) -> Iterator[Callable]:
    """Parts of AutoAttack; its targeted loss needs four classes."""
    import torchattacks

    params = {"norm": "Linf" if norm == INF else "L2", "eps": eps, "seed": 0}
    yield torchattacks.APGD(module, loss="ce", **params)
    if n_classes > 3:
        yield torchattacks.APGDT(module, n_classes=n_classes, **params)
    yield torchattacks.FAB(module, multi_targeted=n_classes > 2, n_classes=n_classes, **params)
    yield torchattacks.Square(module, n_queries=5000, **params)


def withstanding(clf: Any, X: np.ndarray, y: np.ndarray, norm: float, eps: float) -> np.ndarray:
    """Indices of the samples that withstand all of AutoAttack."""
    import torch

    n_channels, side = (1, 28) if X.shape[1] == 784 else (3, 32)
    shape = (n_channels, side, side)
    module = to_torch(clf, input_shape=shape)
    labels = np.searchsorted(clf.classes_, y)
    standing = np.flatnonzero(clf.predict(X) == y)
    for attack in autoattack(module, len(clf.classes_), norm, eps):
        if len(standing):
            images = X[standing].reshape(-1, side, side, n_channels).transpose(0, 3, 1, 2)
            x = torch.from_numpy(np.ascontiguousarray(images))
            found = attack(x, torch.from_numpy(labels[standing])).detach().numpy()
            # Some of the attacks return points a rounding error outside their ball.
            rows = found.transpose(0, 2, 3, 1).reshape(len(found), -1)
            standing = standing[clf.predict(rows) == y[standing]]
    return standing


def row(clf: Any, X: np.ndarray, y: np.ndarray, norm: float, eps: float) -> dict[str, Any]:
    """Accuracies and seconds of one model under one budget."""

    def left(**settings: Any) -> float:
        attack = NTKAttack(clf, norm=norm, **settings)
        return float(attack.run(X, y, epsilons=[eps]).robust_accuracy[0])

    auto = {"method": "auto", "random_state": 0}
    # Compiled before it is timed: the judge runs in PyTorch, which compiles nothing.
    NTKAttack(clf, norm=norm, **auto).run(X, y, epsilons=[eps])
    start = time.perf_counter()
    ours = left(**auto)
    middle = time.perf_counter()
    theirs = len(withstanding(clf, X, y, norm, eps)) / len(X)
    end = time.perf_counter()
    return {
        "norm": "inf" if norm == INF else "2",
        "eps": round(eps, 5),
        "clean": float(clf.score(X, y)),
        "FGSM": left(method="fgsm"),
        "PGD-10": left(method="pgd", max_iter=10),
        "auto": ours,
        "AutoAttack": theirs,
        "auto (s)": round(middle - start, 1),
        "AutoAttack (s)": round(end - middle, 1),
    }


def data(path: str, classes: list[int] | None, n_train: int, n_test: int) -> tuple:
    """Training and test images in float32, of some classes only."""
    images = load_images(path, dtype=np.float32)
    parts: list[np.ndarray] = []
    for part, n in (("train", n_train), ("test", n_test)):
        X, y = images[f"X_{part}"], images[f"y_{part}"]
        kept = np.isin(y, np.unique(y) if classes is None else classes)
        parts += [X[kept][:n], y[kept][:n]]
    return tuple(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("mnist", "cifar-pair", "cifar"):
        parser.add_argument(f"--{name}", metavar="FILE.npz", help="rows on it are left out without")
    parser.add_argument("--n-test", type=int, default=100, help="images attacked")
    parser.add_argument("--models", nargs="*", choices=list(MODELS), help="default: all")
    parser.add_argument("--json", metavar="FILE", help="where the rows are also written")
    options = parser.parse_args()
    rows = []
    for name in options.models or MODELS:
        model = MODELS[name]
        path = getattr(options, model.source)
        if path is None:
            continue
        X, y, X_test, y_test = data(path, model.classes, model.n_train, options.n_test)
        clf = model.make().fit(X, y)
        for norm, eps in model.budgets:
            rows.append({"model": name} | row(clf, X_test, y_test, norm, eps))
            if len(rows) == 1:
                print("| " + " | ".join(rows[0]) + " |")
                print("|" + " --- |" * len(rows[0]))
            print("| " + " | ".join(map(str, rows[-1].values())) + " |", flush=True)
            if options.json:
                with open(options.json, "w", encoding="utf-8") as file:
                    json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
