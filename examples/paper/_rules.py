"""How a claim of the paper is judged by a number: the same rules for every figure."""

from typing import NamedTuple

import numpy as np
from scipy.stats import spearmanr

HOLDS = "holds"
FAILS = "does not hold"
UNDECIDED = "not decidable at this scale"

#: A feature is not robust if its accuracy under attack is below this: "gamma = 0 or very close".
NOT_ROBUST = 0.05


class Finding(NamedTuple):
    """What was found, the verdict, and the rule that gave it."""

    here: str
    verdict: str
    rule: str


def judge(margin, error=0.0, decidable=True):
    """Verdict on a claim that is true if `margin` is positive and known up to `error`."""
    if not decidable or not np.isfinite(margin) or abs(margin) <= error:
        return UNDECIDED
    return HOLDS if margin > 0 else FAILS


def above(what, value, bound, error=0.0, *, decidable=True, unless=""):
    """The claim that a value is above a bound."""
    return _compared(what, value, bound, error, "above", value - bound, decidable, unless)


def below(what, value, bound, error=0.0, *, decidable=True, unless=""):
    """The claim that a value is below a bound."""
    return _compared(what, value, bound, error, "below", bound - value, decidable, unless)


def _compared(what, value, bound, error, side, margin, decidable, unless):
    rule = f"{side} {bound:.3g}" + (f" by more than {error:.2g}" if error else "")
    if unless:
        rule += f"; not decidable {unless}"
    return Finding(f"{what}: {value:.3g}", judge(margin, error, decidable), rule)


def sampling_error(accuracies, n_samples):
    """Two standard errors of the difference of two accuracies on so many samples."""
    accuracies = np.asarray(accuracies)
    return 2 * float(np.sqrt((accuracies * (1 - accuracies)).sum() / n_samples))


def robustness_at_the_top(robustness):
    """Robust features have large eigenvalues: rank correlation of robustness with the index.

    `robustness` maps kernels to the robustness of their features, the largest eigenvalue first; the
    kernel with the weakest correlation decides.
    """
    correlations = [
        spearmanr(np.arange(len(each)), each).statistic if np.ptp(each) > 0 else np.nan
        for each in robustness.values()
    ]
    error = 2 / np.sqrt(min(map(len, robustness.values())) - 1)
    return below(
        "weakest rank correlation of robustness with the index", max(correlations), 0, error
    )


def useful_not_robust(usefulness, robustness, chance, n_samples):
    """Many features are useful and not robust: more of them than luck makes useful."""
    error = 2 * np.sqrt(chance * (1 - chance) / n_samples)
    found = (usefulness > chance + error) & (robustness < NOT_ROBUST)
    # By luck, a fortieth of useless features is above chance by two standard errors.
    return above(
        "share of features that are useful (by two standard errors), and below "
        f"{NOT_ROBUST:.0%} under attack",
        found.mean(),
        0.05,
        2 * np.sqrt(0.05 * 0.95 / len(found)),
    )


def useful_for_classes(found, n_wanted):
    """For each class there are features that are useful and not robust, in each half.

    `found` has their accuracy on the class, that under attack, and the number of images.
    """
    rule = (
        "on images that they were not chosen on, all above 50 % by two standard errors, and below "
        f"{2 * NOT_ROBUST:.0%} under attack; fails if one is missing, or below 50 % by as much"
    )
    here = ", ".join(f"{accuracy:.1%}" for accuracy, *_ in found) or "none found"
    if len(found) < n_wanted or max(robustness for _, robustness, _ in found) > 2 * NOT_ROBUST:
        return Finding(here, FAILS, rule)
    clear = [judge(accuracy - 0.5, sampling_error([0.5], n)) for accuracy, _, n in found]
    worst = next((verdict for verdict in (FAILS, UNDECIDED) if verdict in clear), HOLDS)
    return Finding(here, worst, rule)


def second_phase(moves):
    """First epoch after which a kernel moves less than a tenth of its largest move, for good.

    `moves` are the distances between consecutive kernels; None if the last move is as large.
    """
    moves = np.asarray(moves)
    fast = np.flatnonzero(moves >= moves.max() / 10)
    return None if fast[-1] == len(moves) - 1 else int(fast[-1]) + 1


def earlier_second_phase(standard, adversarial):
    """The kernel of adversarial training settles earlier than that of standard training."""
    starts = [second_phase(moves) for moves in (standard, adversarial)]
    named = ["none" if start is None else f"epoch {start}" for start in starts]
    latest = len(standard) + 1
    times = [latest if start is None else start for start in starts]
    return Finding(
        f"second phase from {named[0]} (standard), {named[1]} (adversarial)",
        judge(times[0] - times[1]),
        "the first epoch after which the kernel moves less than a tenth of its largest move; not "
        "decidable if neither settles, or both in one epoch",
    )


def no_trade(clean, robust, chance, n_samples):
    """No machine of the most robust features is both accurate and robust (several classes).

    The last machine is that of all features. A machine is accurate if it is at least half way from
    chance to the best one, and robust if it keeps half of the best one's accuracy under attack.
    """
    clean, robust = np.asarray(clean), np.asarray(robust)
    accurate = clean >= (chance + clean.max()) / 2
    best, half = float(robust[accurate].max()), clean.max() / 2
    return below(
        "highest robust accuracy of a machine whose clean accuracy is at least half way from "
        "chance to the best",
        best,
        half,
        sampling_error([best], n_samples),
        decidable=robust[-1] < half,
        unless="if the machine of all features is above that itself",
    )


def sweet_spot(robust, n_samples):
    """Some number of features is more robust than all of them (two classes)."""
    robust = np.asarray(robust)
    best = int(robust.argmax())
    error = sampling_error([robust[best], robust[-1]], n_samples)
    gain = float(robust[best] - robust[-1])
    return above("gain in robust accuracy over the machine of all features", gain, 0, error)
