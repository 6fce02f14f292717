"""Adversarial examples of one model shown to another: at the end, or through training (App. C)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score
from sklearn.utils import Bunch, _safe_indexing

from ._utils.frames import framed_like
from ._utils.progress import track
from ._utils.validation import check_integer, check_real
from ._utils.warnings import warn_user
from .attacks import NTKAttack
from .attacks._black_box import as_black_box
from .attacks._differentiable import as_differentiable
from .attacks._free_attack import attack_on, check_free_attack
from .metrics import gradient_cosine_similarity, robust_accuracy_score
from .metrics._robustness import predict_labels

__all__ = ["follow_transfer", "transfer_matrix"]

#: Outputs of the network on a part of the samples, whose kernel is decomposed before training.
_N_OUTPUTS = 512


def follow_transfer(
    network: Any,
    kernel: Any,
    X: ArrayLike,
    y: ArrayLike,
    X_test: ArrayLike,
    y_test: ArrayLike,
    *,
    epochs: Sequence[int],
    eps: Any = 8 / 255,
    norm: float = np.inf,
    clip_values: Any = (0.0, 1.0),
    seeds: Sequence[int] | None = None,
    time_scale: float = 1.0,
    verbose: int = 0,
) -> Bunch:
    r"""Train a network and compare it with the kernel at checkpoints (Eq. 43).

    A step of gradient descent of learning rate :math:`\eta` on the mean squared error
    advances gradient-flow time by :math:`\eta / n`, so the kernel is taken at
    :math:`t = \eta\,\text{steps} / n`. Steps follow the flow only below
    :math:`\eta = 2 n / \lambda_{max}`, with the largest eigenvalue of the network's kernel at
    initialisation; beyond, training diverges along its eigenvector, or leaves the linear regime.

    Parameters
    ----------
    network : FlaxClassifier
        Network to train; it is cloned. It must use plain gradient descent on
        "squared_error"; ``centered=True`` trains without the initial output f_0, and
        ``centered="measurement"`` subtracts it afterwards, as in the paper.
    kernel : NTKClassifier
        Kernel to compare with; it is cloned.
    X, y : array-like of shape (n, d) and (n,)
        Training samples.
    X_test, y_test : array-like of shape (m, d) and (m,)
        Samples on which both are compared and attacked.
    epochs : sequence of int
        Epochs at which both are compared, in increasing order.
    eps : float or array-like of shape (d,), default=8/255
        Radius of the FGSM attack, as in `NTKAttack`.
    norm : {inf, 2}, default=inf
        Its norm.
    clip_values : tuple or None, default=(0.0, 1.0)
        Its box.
    seeds : sequence of int, default=None
        The network is trained once with each as its `random_state`, and the curves are means;
        the paper has three. If None, it is trained once with the `random_state` it has.
    time_scale : float, default=1.0
        Factor on the kernel's times, for an alignment by hand, as the paper's at epoch 1000.
    verbose : int, default=0
        Show a progress bar if positive.

    Returns
    -------
    curve : Bunch
        ``epochs`` and ``times`` (T,); ``cosine``, the mean cosine of the loss gradients;
        ``accuracy`` and ``kernel_accuracy``, clean; ``own_robust_accuracy``, of the network
        on FGSM examples made from it; ``transfer_robust_accuracy``, of the network on those
        made from the kernel; ``kernel_robust_accuracy``, of the kernel on its own; ``network`` and
        ``kernel``, fitted, at the last checkpoint. With `seeds`, also ``runs``, such a Bunch for
        each seed, of which the curves are the means and ``network`` is the first.

    Raises
    ------
    ValueError
        If the network's training has no matching time, or `epochs` does not increase.

    Warns
    -----
    ConvergenceWarning
        If the learning rate exceeds the bound above, estimated on some hundred samples.
    """
    _check(network, kernel, epochs)
    _check_seeds(seeds)
    check_real("time_scale", time_scale, low=0.0)
    _warn_of_divergence(network, X, y)
    n = len(np.asarray(y))
    steps = 1 if network.batch_size is None else -(-n // min(network.batch_size, n))
    pace = network.learning_rate * steps * time_scale / n
    at_end = clone(kernel).fit(X, y)
    randoms = [network.random_state] if seeds is None else seeds
    runs = [
        _follow(
            clone(network).set_params(warm_start=True, random_state=random),
            at_end,
            (X, y),
            (X_test, y_test),
            epochs=epochs,
            pace=pace,
            attack=NTKAttack(None, eps=eps, norm=norm, clip_values=clip_values),
            verbose=verbose,
        )
        for random in randoms
    ]
    return runs[0] if seeds is None else _mean_of(runs)


def _follow(
    network: Any,
    at_end: Any,
    train: tuple[Any, Any],
    test: tuple[Any, Any],
    *,
    epochs: Sequence[int],
    pace: float,
    attack: NTKAttack,
    verbose: int,
) -> Bunch:
    """Train one network and compare it with the kernel, which passes time `pace` an epoch."""
    curve: dict[str, list[float]] = {}
    done = 0
    for epoch in track(list(epochs), "Training", enabled=verbose > 0):
        network.set_params(max_epochs=int(epoch) - done).fit(*train)
        done = int(epoch)
        time = pace * done
        kernel = at_end.at_time(time)
        attacks = [attack_on(attack, victim) for victim in (network, kernel)]
        own, transferred = (robust_accuracy_score(network, *test, each) for each in attacks)
        values = {
            "epochs": done,
            "times": time,
            "cosine": gradient_cosine_similarity(network, kernel, *test),
            "accuracy": network.score(*test),
            "kernel_accuracy": kernel.score(*test),
            "own_robust_accuracy": own,
            "transfer_robust_accuracy": transferred,
            "kernel_robust_accuracy": robust_accuracy_score(kernel, *test, attacks[1]),
        }
        for name, value in values.items():
            curve.setdefault(name, []).append(value)
    arrays = {name: np.asarray(values) for name, values in curve.items()}
    return Bunch(**arrays, network=network, kernel=kernel)


def _mean_of(runs: list[Bunch]) -> Bunch:
    """Means of the curves of several runs; epochs and times, which are the same, stay exact."""
    curves = {
        name: np.mean([run[name] for run in runs], axis=0)
        for name in runs[0]
        if name not in ("epochs", "times", "network", "kernel")
    }
    return Bunch(**{**runs[0], **curves}, runs=runs)


def transfer_matrix(
    sources: Any, victims: Any, X: ArrayLike, y: ArrayLike, *, attack: NTKAttack
) -> Bunch:
    """Accuracy of every victim on the adversarial examples of every source.

    Kernel machines, networks and whatever else has a gradient are sources alike; a victim need
    only predict.

    Parameters
    ----------
    sources : mapping from str to estimator, or list of estimators or of (str, estimator)
        Fitted classifiers, from each of which the examples are made once.
    victims : mapping from str to estimator, or list of estimators or of (str, estimator)
        Fitted classifiers that are asked to classify them.
    X : array-like of shape (n, d)
        Clean samples.
    y : array-like of shape (n,)
        True labels.
    attack : NTKAttack
        With None as its estimator, and not targeted.

    Returns
    -------
    matrix : Bunch
        ``accuracy`` (S, V), of each victim on the examples of each source; ``clean_accuracy``
        (V,), on `X` itself; ``names``, the names of the sources and those of the victims, two
        lists. Without names given they are the types' names, numbered where several are the
        same; one estimator in both lists has one name.

    Raises
    ------
    ValueError
        If there are no sources or victims, two have one name, or the attack has an estimator.
    TypeError
        If `attack` is no attack, or a source has no gradient that it needs.

    See Also
    --------
    skntk.metrics.robust_accuracy_score : One number of one victim.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from skntk import NTKAttack, NTKClassifier
    >>> from skntk.transfer import transfer_matrix
    >>> X, y = load_digits(return_X_y=True)
    >>> X, train, test = X / 16, slice(0, 300), slice(300, 400)
    >>> kernels = {name: NTKClassifier(name).fit(X[train], y[train]) for name in ("fc1", "fc3")}
    >>> forest = RandomForestClassifier(random_state=0).fit(X[train], y[train])
    >>> victims = kernels | {"forest": forest}
    >>> attack = NTKAttack(None, eps=0.2)
    >>> matrix = transfer_matrix(kernels, victims, X[test], y[test], attack=attack)
    >>> matrix.accuracy.shape
    (2, 3)
    >>> bool((matrix.accuracy < matrix.clean_accuracy).all())
    True
    """
    check_free_attack(attack)
    named = {"sources": _named("sources", sources), "victims": _named("victims", victims)}
    names = _names([*named["sources"], *named["victims"]])
    count = len(named["sources"])
    names = [names[:count], names[count:]]
    for part, given in zip(named, names, strict=True):
        if len(set(given)) < len(given):
            raise ValueError(f"{part} has the names {given}; give each a name of its own.")
    for _, source in named["sources"]:
        (as_black_box if attack.method == "square" else as_differentiable)(source)
    labels = np.asarray(y)

    def accuracies(inputs: Any) -> list[float]:
        return [
            float(accuracy_score(labels, predict_labels(victim, inputs)))
            for _, victim in named["victims"]
        ]

    clean = accuracies(X)
    accuracy = [
        accuracies(framed_like(X, attack_on(attack, source).generate(X, y)))
        for _, source in named["sources"]
    ]
    return Bunch(accuracy=np.array(accuracy), clean_accuracy=np.array(clean), names=names)


def _named(part: str, estimators: Any) -> list[tuple[str | None, Any]]:
    """Estimators with their names, None where none is given."""
    if isinstance(estimators, Mapping):
        estimators = list(estimators.items())
    if not isinstance(estimators, list | tuple):
        raise TypeError(
            f"{part}={estimators!r:.80} must be a list or a mapping of estimators; for a single "
            f"one give [{part[:-1]}]."
        )
    if not estimators:
        raise ValueError(f"{part} is empty; give at least one estimator.")
    pairs = [each if isinstance(each, tuple) else (None, each) for each in estimators]
    for pair in pairs:
        if len(pair) != 2 or not isinstance(pair[0], str | None):
            raise TypeError(f"{part} holds {pair!r:.80}; give estimators or (name, estimator).")
    return pairs


def _names(pairs: list[tuple[str | None, Any]]) -> list[str]:
    """Names given, and otherwise the types', numbered where several estimators share one."""
    unnamed = {id(estimator): estimator for name, estimator in pairs if name is None}
    types = {key: type(estimator).__name__ for key, estimator in unnamed.items()}
    numbers: dict[str, int] = {}
    made = {}
    for key, kind in types.items():
        numbers[kind] = numbers.get(kind, 0) + 1
        several = list(types.values()).count(kind) > 1
        made[key] = f"{kind} {numbers[kind]}" if several else kind
    return [made[id(estimator)] if name is None else name for name, estimator in pairs]


def _check(network: Any, kernel: Any, epochs: Sequence[int]) -> None:
    if not hasattr(kernel, "at_time"):
        raise TypeError(
            f"kernel is a {type(kernel).__name__}, which has no at_time(time) to follow the "
            "network by; give an NTKClassifier, of a Pipeline its last step."
        )
    for epoch in epochs:
        check_integer("epochs", epoch, low=1)
    if len(epochs) == 0 or (np.diff(epochs) <= 0).any():
        raise ValueError(f"epochs={list(epochs)!r} must be integers in increasing order.")
    if network.loss != "squared_error" or network.optimizer != "sgd":
        raise ValueError(
            f"loss={network.loss!r} with optimizer={network.optimizer!r} has no matching "
            "gradient-flow time; use loss='squared_error' and optimizer='sgd'."
        )
    for name in ("adversary", "linearize_at"):
        if getattr(network, name) is not None:
            raise ValueError(
                f"{name}={getattr(network, name)!r} changes the training, which then has no "
                f"matching gradient-flow time; follow a network with {name}=None."
            )
    if callable(network.learning_rate):
        raise ValueError("learning_rate must be a number for the times to match, not a schedule.")


def _check_seeds(seeds: Any) -> None:
    if seeds is None:
        return
    if not isinstance(seeds, Iterable):
        raise TypeError(f"seeds={seeds!r} must be a sequence of integers; give range({seeds!r}).")
    for seed in seeds:
        check_integer("seeds", seed, low=0)
    if not len({*seeds}) == len(list(seeds)) > 0:
        raise ValueError(f"seeds={list(seeds)!r} must be at least one, each another.")


def _warn_of_divergence(network: Any, X: ArrayLike, y: ArrayLike) -> None:
    """Warn of a learning rate with which no step follows the flow."""
    start = clone(network).set_callbacks()
    start.set_params(max_epochs=0, early_stopping=False, checkpoint=None, resume=False)
    start.fit(X, y)
    n = len(np.asarray(y))
    # As many outputs as an eigendecomposition takes a moment for. Samples of all parts of the data
    # give an eigenvalue that grows with their number.
    size = min(n, max(1, _N_OUTPUTS // len(start.classes_)))
    rows = np.linspace(0, n - 1, size).round().astype(int)
    kernel = start.empirical_ntk(_safe_indexing(X, rows))
    largest = float(np.linalg.eigvalsh(kernel)[-1])
    if network.learning_rate * largest > 2 * size:
        warn_user(
            ConvergenceWarning(
                f"learning_rate={network.learning_rate!r} is above 2 n / lambda_max, about "
                f"{2 * size / largest:.2g} for this network and X, beyond which gradient descent "
                "on the squared error does not follow the gradient flow: it diverges, or leaves "
                "the linear regime. Lower it, or centre or scale X."
            )
        )
