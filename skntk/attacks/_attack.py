"""Adversarial examples of any differentiable classifier, in closed form for kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import Bunch, check_array, check_random_state, gen_batches

from .._utils.progress import track
from .._utils.targets import classify, label_indices
from .._utils.validation import (
    check_array_or_real,
    check_boolean,
    check_integer,
    check_option,
    check_table,
)
from ._balls import make_ball
from ._box import check_clip_values
from ._differentiable import DifferentiableModel, as_differentiable
from ._losses import LOSSES
from ._search import BestIterate, Objective, ascend
from ._specification import AttackSpecification

__all__ = ["AttackResult", "NTKAttack"]

_DEFAULT_BATCH = 256


@dataclass(frozen=True)
class AttackResult:
    """Adversarial examples at each budget, and a report.

    Attributes
    ----------
    X_adv : ndarray of shape (E, n, d)
        Adversarial examples.
    success : ndarray of bool of shape (E, n)
        Whether each is misclassified (or, if targeted, classified as its target). What
        succeeds at one budget succeeds at every budget that contains it.
    epsilons : ndarray of shape (E,) or (E, d)
        The budgets; (E, d) if any was given as one value per feature.
    report : Bunch
        ``n_samples``; ``n_misclassified``, already without an attack; ``n_zero_gradient``,
        samples with no direction to go; ``n_not_finite``, samples with NaN outputs, which
        never count as a success; and for each budget ``n_flipped``, samples that were right
        and are not any more, and ``robust_accuracy``, the fraction still right.
    """

    X_adv: NDArray
    success: NDArray
    epsilons: NDArray
    report: Bunch

    @property
    def robust_accuracy(self) -> NDArray:
        """Fraction (E,) of the samples that are still right at each budget, from the report."""
        return self.report["robust_accuracy"]


class NTKAttack(BaseEstimator):
    r"""Gradient attack in closed form on kernels, white-box on anything differentiable.

    FGSM is one steepest step of size `eps` (Eq. 2, 8); PGD iterates smaller ones and
    projects. Both keep the iterate of largest loss, so that per sample PGD is at least as
    strong as FGSM and neither is weaker than no attack. A sample and a step cost about
    ``4 n d`` operations on a kernel machine of n training samples of d features,
    whatever the number of classes.

    Parameters
    ----------
    estimator : estimator or None
        Fitted, with ``decision_function`` and ``input_vjp``; or a Pipeline that ends in
        one after affine steps, or a fitted search over either. The perturbation is in the
        pipeline's own input space. None, for `make_robust_scorer` and
        `robust_accuracy_score`: whatever is being scored.
    eps : float or array-like of shape (d,), default=8/255
        Radius of the ball; one value per feature scales its axes, and a feature of 0 stays as it
        is. It is one budget: several are ``run(X, y, epsilons=[0.1, 0.2])``, whose
        `robust_accuracy` is drawn by `skntk.inspection.RobustAccuracyDisplay`.
    norm : {inf, 2}, default=inf
        Norm of the ball.
    method : {"fgsm", "pgd"}, default="fgsm"
        One step, or `max_iter`.
    loss : {"cross_entropy", "linear", "max_l1", "sum_delta"}, default="cross_entropy"
        What is maximised: cross-entropy of the outputs as logits (Eq. 17-21); "linear",
        the label-free push of the output toward the boundary (Eq. 23-31); "max_l1", the
        class whose gradient difference is largest in the dual norm (Eq. 33); "sum_delta",
        the sum of all differences (Eq. 35).
    eps_step : float or array-like of shape (d,), default=None
        Size of a PGD step; None is ``2.5 * eps / max_iter``.
    max_iter : int, default=10
        Number of PGD steps.
    num_random_init : int, default=0
        Further starts at random points of the ball.
    targeted : bool, default=False
        Move toward the labels given instead of away from them.
    clip_values : tuple of two floats or arrays of shape (d,), or None, default=(0.0, 1.0)
        Lowest and highest value of a feature. None: no box.
    batch_size : int, default=None
        Samples attacked at a time; None is 256. It does not change the result.
    random_state : int, RandomState instance or None, default=None
        For the random starts.
    verbose : int, default=0
        Show a progress bar if positive.

    References
    ----------
    Tsilivis and Kempe, "What Can the Neural Tangent Kernel Tell Us About Adversarial
    Robustness?", NeurIPS 2022, Sec. 3 and App. B.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skntk import NTKAttack, NTKClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X = X / 16
    >>> clf = NTKClassifier("fc1").fit(X[:500], y[:500])
    >>> X_adv = NTKAttack(clf, eps=0.2).generate(X[500:600], y[500:600])
    >>> clf.score(X_adv, y[500:600]) < 0.2
    True
    """

    def __init__(
        self,
        estimator: Any,
        *,
        eps: Any = 8 / 255,
        norm: float = np.inf,
        method: str = "fgsm",
        loss: str = "cross_entropy",
        eps_step: Any = None,
        max_iter: int = 10,
        num_random_init: int = 0,
        targeted: bool = False,
        clip_values: Any = (0.0, 1.0),
        batch_size: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.eps = eps
        self.norm = norm
        self.method = method
        self.loss = loss
        self.eps_step = eps_step
        self.max_iter = max_iter
        self.num_random_init = num_random_init
        self.targeted = targeted
        self.clip_values = clip_values
        self.batch_size = batch_size
        self.random_state = random_state
        self.verbose = verbose

    def generate(self, X: ArrayLike, y: ArrayLike | None = None) -> NDArray:
        """Adversarial examples within `eps` of each sample.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Clean samples, inside `clip_values`.
        y : array-like of shape (n,), default=None
            True labels (targets if `targeted`). None: the estimator's own predictions.

        Returns
        -------
        X_adv : ndarray of shape (n, d)
            float32 if `X` is, else float64; bit for bit `X` if ``eps=0``.

        Raises
        ------
        ValueError
            For wrong parameters, samples that are not finite or outside `clip_values`,
            or labels the estimator never saw.
        """
        return self.run(X, y, epsilons=[self.eps]).X_adv[0]

    @np.errstate(all="ignore")  # tiny numbers vanish, and what is not finite is counted
    def run(
        self, X: ArrayLike, y: ArrayLike | None = None, *, epsilons: Sequence[Any]
    ) -> AttackResult:
        """Attack at several budgets, carrying the best point of each to the next.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Clean samples, inside `clip_values`.
        y : array-like of shape (n,), default=None
            True labels (targets if `targeted`). None: the estimator's own predictions.
        epsilons : sequence of floats or of arrays of shape (d,)
            Budgets, in any order; `eps` is not used.

        Returns
        -------
        result : AttackResult
        """
        model, X, labels = self._validate(X, y)
        box = check_clip_values(self.clip_values, X)
        budgets = _check_budgets(epsilons, X.shape[1])
        model.check_moves(budgets)
        eps_step = self.eps_step
        if eps_step is not None:
            eps_step = check_array_or_real("eps_step", eps_step, X.shape[1], low=0.0)
        specification = self._specification(eps_step)
        noise = self._noise(X)
        X_adv = np.empty((len(budgets), *X.shape), X.dtype)
        success = np.empty((len(budgets), len(X)), bool)
        robust = np.empty_like(success)
        clean = np.empty((3, len(X)), bool)  # misclassified, without a gradient, not finite
        batches = list(gen_batches(len(X), self._batch_size()))
        for batch in track(batches, "Attacking", enabled=self.verbose > 0):
            batch_labels = None if labels is None else labels[batch]
            search = _BatchSearch(
                self, specification, model, X[batch], batch_labels, box, noise[:, batch]
            )
            clean[:, batch] = search.clean.success, ~search.has_gradient, ~search.clean.finite
            found: list[tuple[Any, BestIterate]] = []
            for k in np.argsort([np.mean(eps) for eps in budgets], kind="stable"):
                contained = [best for eps, best in found if np.all(eps <= budgets[k])]
                best = search.at(budgets[k], contained)
                found.append((budgets[k], best))
                X_adv[k, batch], success[k, batch] = best.points, best.success
                robust[k, batch] = best.robust
        report = Bunch(
            n_samples=len(X),
            n_misclassified=int(clean[0].sum()),
            n_zero_gradient=int(clean[1].sum()),
            n_not_finite=int(clean[2].sum()),
            n_flipped=(success & ~clean[0]).sum(axis=1),
            robust_accuracy=robust.mean(axis=1),
        )
        return AttackResult(X_adv, success, budgets, report)

    def _validate(
        self, X: ArrayLike, y: ArrayLike | None
    ) -> tuple[DifferentiableModel, NDArray, NDArray | None]:
        self._check_parameters()
        model = as_differentiable(self.estimator)
        X_raw: Any = X
        check_table(X)
        X = check_array(X, dtype=[np.float64, np.float32], order="C", input_name="X")
        # On what the user gave, so that scikit-learn can check feature names and width.
        self.estimator.decision_function((X_raw if hasattr(X_raw, "columns") else X)[:1])
        if y is None:
            if self.targeted:
                raise ValueError("targeted=True needs y, the class to move each sample toward.")
            return model, X, None
        labels = label_indices(y, model.classes_)
        if len(labels) != len(X):
            raise ValueError(f"X has {len(X)} samples and y has {len(labels)}; give one each.")
        return model, X, labels

    def _check_parameters(self) -> None:
        if self.estimator is None:
            raise ValueError(
                "estimator=None has nothing to attack; give a fitted estimator, or pass this "
                "attack to make_robust_scorer or robust_accuracy_score."
            )
        self._specification(None).check_options()
        check_option("loss", self.loss, tuple(LOSSES))
        check_boolean("targeted", self.targeted)
        check_integer("num_random_init", self.num_random_init, low=0)
        check_integer("verbose", self.verbose, low=0)
        self._batch_size()
        if self.targeted and LOSSES[self.loss].label_free:
            raise ValueError(
                f"loss={self.loss!r} uses no labels, so it cannot be targeted; use "
                "loss='cross_entropy'."
            )

    def _batch_size(self) -> int:
        if self.batch_size is None:
            return _DEFAULT_BATCH
        return check_integer("batch_size", self.batch_size, low=1)

    def _noise(self, X: NDArray) -> NDArray:
        """Noise of every random start, drawn for all samples: batches do not change it."""
        shape = (self.num_random_init, len(X), X.shape[1] + 1)
        return check_random_state(self.random_state).standard_normal(shape)

    def _specification(self, eps_step: Any) -> AttackSpecification:
        return AttackSpecification(
            self.eps, self.method, eps_step, self.max_iter, self.norm, self.clip_values
        )


class _BatchSearch:
    """The attack on one batch, at any number of budgets."""

    def __init__(
        self,
        attack: NTKAttack,
        specification: AttackSpecification,
        model: DifferentiableModel,
        X: NDArray,
        labels: NDArray | None,
        box: tuple | None,
        noise: NDArray,
    ):
        self.specification, self.model, self.X, self.box = specification, model, X, box
        self.noise = noise
        self.linearization = model.linearize(X)
        outputs, pullback = self.linearization
        own = classify(outputs)
        labels = own if labels is None else labels
        loss = LOSSES[attack.loss]
        objective = Objective(loss, own if loss.label_free else labels, attack.targeted)
        self.clean = BestIterate(X, outputs, objective, labels)
        dual_norm = make_ball(specification.norm, X, 1.0, None).dual_norm
        self.has_gradient = dual_norm(objective.gradient(outputs, pullback, dual_norm)) > 0

    def at(self, eps: Any, contained: list[BestIterate]) -> BestIterate:
        """Best points within `eps`, at least as good as those of budgets it contains."""
        best = self.clean.copy()
        if np.max(eps) > 0:
            for smaller in contained:
                best.update(smaller.points, smaller.outputs)
            self._search(eps, best)
        for smaller in contained:
            best.keep_successes(smaller)
        return best

    def _search(self, eps: Any, best: BestIterate) -> None:
        attack = replace(self.specification, eps=eps)
        ball = make_ball(attack.norm, self.X, eps, self.box)
        starts: list = [(self.X, self.linearization)]
        starts += [(ball.random(noise), None) for noise in self.noise]
        # All of FGSM before any of PGD, which therefore is never the weaker one.
        phases = [replace(attack, method="fgsm"), attack]
        for phase in phases[: 1 if attack.method == "fgsm" else 2]:
            steps = {"step_size": phase.step_size, "n_steps": phase.n_steps}
            for start, known in starts:
                ascend(self.model, ball, start, best, **steps, linearization=known)


def _check_budgets(epsilons: Any, n_features: int) -> NDArray:
    """Budgets (E,), or (E, d) if any of them has one value per feature."""
    is_number = isinstance(epsilons, np.ndarray) and epsilons.ndim == 0
    if is_number or isinstance(epsilons, str) or not hasattr(epsilons, "__len__"):
        raise TypeError(f"epsilons={epsilons!r} is not a sequence; give [{epsilons!r}].")
    budgets = [check_array_or_real("eps", eps, n_features, low=0.0) for eps in epsilons]
    if not budgets:
        raise ValueError("epsilons is empty; give at least one budget.")
    return np.stack(np.broadcast_arrays(*budgets))
