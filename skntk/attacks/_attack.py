"""Adversarial examples of any differentiable estimator, in closed form for kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state, gen_batches

from .._utils.frames import as_configured
from .._utils.progress import track
from .._utils.validation import (
    check_array_or_real,
    check_boolean,
    check_integer,
    check_norm,
    check_option,
)
from .._utils.warnings import warn_user
from .._utils.workers import in_order
from ._batch import attack_batch
from ._box import check_clip_values
from ._inputs import check_budgets, validate_inputs
from ._losses import LOSSES
from ._result import AttackResult, Record
from ._specification import AttackSpecification, Options
from ._stages import METHODS

__all__ = ["AttackResult", "NTKAttack"]

_DEFAULT_BATCH = 256


class NTKAttack(BaseEstimator):
    r"""Gradient attack in closed form on kernels, white-box on anything differentiable.

    FGSM is one steepest step of size `eps` (Eq. 2, 8); PGD iterates smaller ones and
    projects; APGD [2]_ has momentum and chooses the length of its steps. They keep the iterate of
    largest loss, so that per sample PGD and APGD are at least as strong as FGSM and none is
    weaker than no attack. A sample and a step cost about ``4 n d`` operations on a kernel machine
    of n training samples of d features, whatever the number of classes.

    The paper's attacks are FGSM and PGD. How robust a model is, is a question for "auto", which
    reports the worst case of several attacks, as AutoAttack [2]_ does.

    On a regressor every method raises the squared error :math:`|f(x') - y|^2`. Its gradient has the
    sign of f - y; where the two are equal (half of their digits agree), as everywhere if y is None,
    both directions are tried: the output with the steepest gradient is raised, and lowered. No
    prediction is right or wrong there, so that no example is a success, `success` is None, and the
    result has `squared_error` in its place. `skntk.metrics.robust_r2_score` scores it.

    Parameters
    ----------
    estimator : estimator or None
        Fitted, with ``decision_function`` and ``input_vjp``; or a Pipeline that ends in
        one after affine steps, a fitted search over either, or one of scikit-learn's linear
        classifiers and ensembles that `DifferentiableClassifier` lists. The perturbation is in
        the pipeline's own input space. A regressor has ``predict`` and ``input_vjp``, and may be
        in a `TransformedTargetRegressor` whose transformer is affine. Any classifier, regressor
        or pipeline for "square". None, for `make_robust_scorer`, `robust_accuracy_score` and
        `robust_r2_score`: whatever is being scored.
    eps : float or array-like of shape (d,), default=8/255
        Radius of the ball; one value per feature scales its axes, and a feature of 0 stays as it
        is. It is one budget: several are ``run(X, y, epsilons=[0.1, 0.2])``, whose
        `robust_accuracy` is drawn by `skntk.inspection.RobustAccuracyDisplay`.
    norm : {inf, 2} or {"linf", "l2"}, default=inf
        Norm of the ball.
    method : {"fgsm", "pgd", "apgd", "square", "auto"}, default="fgsm"
        "fgsm" takes one step, "pgd" and "apgd" `max_iter`. "square" [3]_ needs no gradient: it
        changes random squares of an image, or stretches of the features if their number is no
        image's. "auto" is the worst case of FGSM and APGD on the margin, from the sample and from a
        random point, APGD on the cross-entropy and APGD toward each of the nine nearest other
        classes, both from a random point, and Square, each on the samples that still stand. It goes
        on with no sample once it is misclassified, nor with an ascent once no small step raises a
        margin that is far from success, and warns of what makes its answer doubtful. On a regressor
        it is the worst case of FGSM, APGD from the sample and from a random point, APGD that
        crosses the target to its other side, and Square.
    loss : str, default="cross_entropy"
        "cross_entropy", "linear", "max_l1", "max_l1_offset", "sum_delta", "margin" or "dlr".
        What is maximised: cross-entropy of the outputs as logits (Eq. 17-21); "linear",
        the label-free push of the output toward the boundary (Eq. 23-31); "max_l1", the
        class whose gradient difference is largest in the dual norm (Eq. 33, as printed);
        "max_l1_offset", the same with the difference of the outputs added, which Eq. 33 drops
        although it is the same for all classes on training points only; "sum_delta",
        the sum of all differences (Eq. 35); "margin", the largest other output less that of the
        label; "dlr", the margin over the spread of the three largest outputs [2]_, with two
        classes the margin. "auto" has losses of its own. These are losses of classifiers; on a
        regressor, the default stands for the squared error and any other is refused.
    eps_step : float or array-like of shape (d,), default=None
        Size of a PGD step, ``2.5 * eps / max_iter`` if None; of the first steps of APGD,
        ``2 * eps`` if None.
    max_iter : int, default=None
        Number of steps of PGD, 10 if None, or of every APGD, 100 if None.
    n_queries : int, default=1000
        Number of outputs that "square" asks for a sample.
    num_random_init : int, default=0
        Further starts at random points of the ball.
    targeted : bool, default=False
        Move toward the labels, or targets, given instead of away from them.
    clip_values : tuple of two floats or arrays of shape (d,), or None, default=(0.0, 1.0)
        Lowest and highest value of a feature. None: no box.
    batch_size : int, default=None
        Samples attacked at a time; None is 256. Results do not depend on it, up to rounding.
    n_jobs : int, default=None
        Number of joblib workers that share the batches, on any backend of
        ``joblib.parallel_config``. None is 1, unless that sets another number. Results do not
        depend on it, up to rounding.
    random_state : int, RandomState instance or None, default=None
        For the random starts, and the squares.
    verbose : int, default=0
        Show a progress bar if positive.

    References
    ----------
    .. [1] Tsilivis and Kempe, "What Can the Neural Tangent Kernel Tell Us About Adversarial
       Robustness?", NeurIPS 2022, Sec. 3 and App. B.
    .. [2] Croce and Hein, "Reliable Evaluation of Adversarial Robustness with an Ensemble of
       Diverse Parameter-Free Attacks", ICML 2020.
    .. [3] Andriushchenko, Croce, Flammarion and Hein, "Square Attack: a Query-Efficient Black-Box
       Adversarial Attack via Random Search", ECCV 2020.

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

    How many of 50 samples withstand an attack of 0.1, and which attack broke the others:

    >>> attack = NTKAttack(clf, method="auto", n_queries=50, random_state=0)
    >>> result = attack.run(X[500:550], y[500:550], epsilons=[0.1])
    >>> print(result.robust_accuracy, result.report.n_broken["fgsm"])
    [0.54] [21]

    A regressor, whose error at a training sample is 0 without an attack:

    >>> from skntk import NTKRegressor
    >>> reg = NTKRegressor("fc1").fit(X[:200], y[:200])
    >>> result = NTKAttack(reg, method="pgd").run(X[:5], y[:5], epsilons=[0.0, 0.1])
    >>> print(result.report.mean_squared_error.round(1))
    [0.  6.9]
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
        max_iter: int | None = None,
        n_queries: int = 1000,
        num_random_init: int = 0,
        targeted: bool = False,
        clip_values: Any = (0.0, 1.0),
        batch_size: int | None = None,
        n_jobs: int | None = None,
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
        self.n_queries = n_queries
        self.num_random_init = num_random_init
        self.targeted = targeted
        self.clip_values = clip_values
        self.batch_size = batch_size
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def generate(self, X: ArrayLike, y: ArrayLike | None = None) -> Any:
        """Adversarial examples within `eps` of each sample.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Clean samples, inside `clip_values`.
        y : array-like of shape (n,), or of shape (n, k) for a regressor, default=None
            True labels or values (targets if `targeted`). None: the estimator's own predictions.

        Returns
        -------
        X_adv : ndarray or DataFrame of shape (n, d)
            float32 if `X` is, else float64; bit for bit `X` if ``eps=0``. A DataFrame with the
            columns of `X` if `X` is one and scikit-learn is told to give such, by
            ``sklearn.set_config(transform_output="pandas")`` or "polars".

        Raises
        ------
        ValueError
            For wrong parameters, samples that are not finite or outside `clip_values`,
            labels the estimator never saw, targets unlike a regressor's outputs, columns of text,
            or an estimator of precomputed kernels.
        """
        return as_configured(X, self.run(X, y).X_adv[0])

    def run(
        self, X: ArrayLike, y: ArrayLike | None = None, *, epsilons: Sequence[Any] | None = None
    ) -> AttackResult:
        """Attack at several budgets, carrying the best point of each to the next.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Clean samples, inside `clip_values`.
        y : array-like of shape (n,), or of shape (n, k) for a regressor, default=None
            True labels or values (targets if `targeted`). None: the estimator's own predictions.
        epsilons : sequence of floats or of arrays of shape (d,), default=None
            Budgets, in any order, in place of `eps`. None: `eps` alone.

        Returns
        -------
        result : AttackResult

        Warns
        -----
        UserWarning
            For each of the doubts that "auto" has about the model.
        """
        result = self._run(X, y, [self.eps] if epsilons is None else epsilons)
        for doubt in result.report["doubts"]:
            warn_user(UserWarning(doubt))
        return result

    @np.errstate(all="ignore")  # tiny numbers vanish, and what is not finite is counted
    def _run(self, X: ArrayLike, y: ArrayLike | None, epsilons: Sequence[Any]) -> AttackResult:
        self._check_parameters()
        model, X, labels = validate_inputs(self, X, y)
        box = check_clip_values(self.clip_values, X)
        budgets = check_budgets(epsilons, X.shape[1])
        model.check_moves(budgets)
        eps_step = self.eps_step
        if eps_step is not None:
            eps_step = check_array_or_real("eps_step", eps_step, X.shape[1], low=0.0)
        options = self._options(eps_step)
        noise, seeds = self._randomness(X)
        record = Record(X, budgets)
        batches = list(gen_batches(len(X), self._batch_size()))
        tasks = (
            (
                *(options, model, X[batch], None if labels is None else labels[batch]),
                *(box, noise[:, batch], seeds[batch], budgets),
            )
            for batch in batches
        )
        outcomes = in_order(attack_batch, tasks, self.n_jobs)
        for batch in track(batches, "Attacking", enabled=self.verbose > 0):
            record.take(batch, next(outcomes))
        result = record.result(self.method, is_regression=model.classes_ is None)
        if options.is_worst_case:
            result.report["doubts"] = record.doubts(model, result.report)
        return result

    def _check_parameters(self) -> None:
        if self.estimator is None:
            raise ValueError(
                "estimator=None has nothing to attack; give a fitted estimator, or pass this "
                "attack to make_robust_scorer or robust_accuracy_score."
            )
        check_option("method", self.method, tuple(METHODS))
        check_option("loss", self.loss, tuple(LOSSES))
        if self.max_iter is not None:
            check_integer("max_iter", self.max_iter, low=1)
        check_integer("n_queries", self.n_queries, low=1)
        check_norm(self.norm)
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

    def _randomness(self, X: NDArray) -> tuple[NDArray, NDArray]:
        """Noise (r, n, d + 1) of the random starts, and seeds (n,) of the random searches.

        Both are drawn for all samples together, so that batches do not change them.
        """
        rng = check_random_state(self.random_state)
        # One of the stages of the worst case starts at random.
        n_starts = self.num_random_init + int(self.method == "auto")
        noise = rng.standard_normal((n_starts, len(X), X.shape[1] + 1))
        return noise, rng.randint(2**31 - 1, size=len(X))

    def _options(self, eps_step: Any) -> Options:
        max_iter = self.max_iter
        if max_iter is None:
            max_iter = 10 if self.method == "pgd" else 100
        specification = AttackSpecification(
            self.eps, self.method, eps_step, max_iter, check_norm(self.norm), self.clip_values
        )
        return Options(
            specification, self.loss, self.targeted, self.n_queries, self.num_random_init
        )
