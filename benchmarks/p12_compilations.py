"""P12: XLA compilations of a grid search on digits, 20 candidates x 5 folds.

Rival: the same search with fewer candidates and folds; JAX's caches are cleared before each.
Target: the number of compilations does not grow with candidates or folds.
"""

import time

import jax
import numpy as np
from _measure import Case, Row, peak_memory, ratio, run
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from skntk import NTKClassifier
from skntk.kernels import FullyConnectedNTK

ROW = Row(
    "P12",
    "XLA compilations of GridSearchCV, 20 candidates x 5 folds",
    "1 candidate x 2 folds",
    "no growth (1x)",
)


class Compilations:
    """Counts what XLA compiles within a with statement."""

    def __enter__(self):
        self.count = 0
        jax.monitoring.register_event_duration_secs_listener(self._listen)
        return self

    def _listen(self, event, duration, **kwargs):
        self.count += event == "/jax/core/compile/backend_compile_duration"

    def __exit__(self, *error):
        jax.monitoring.unregister_event_duration_listener(self._listen)


def count(X, y, n_ridges, n_biases, folds):
    """Number of compilations in a grid search, its seconds and its best score."""
    grid = {
        "alpha": np.geomspace(1e-3, 1e1, n_ridges),
        "kernel__bias_std": np.linspace(0.05, 0.5, n_biases),
    }
    jax.clear_caches()
    start = time.perf_counter()
    with Compilations() as caught:
        search = GridSearchCV(NTKClassifier(FullyConnectedNTK(2)), grid, cv=folds).fit(X, y)
    return caught.count, time.perf_counter() - start, search.best_score_


def cases(options):
    X, y = load_digits(return_X_y=True)
    X, y = (X[:200], y[:200]) if options.reduced else (X, y)
    searches = {"1 x 2": (1, 1, 2), "1 x 5": (1, 1, 5), "20 x 2": (4, 5, 2), "20 x 5": (4, 5, 5)}
    found = {name: count(X / 16, y, *sizes) for name, sizes in searches.items()}
    (fewest, *_), (most, seconds, score) = found["1 x 2"], found["20 x 5"]
    yield Case(
        "candidates x folds",
        ratio(most, fewest),
        most,
        fewest,
        ", ".join(f"{name}: {number}" for name, (number, *_) in found.items()),
        unit="compilations",
        peak=peak_memory(),
        notes=[f"20 x 5 took {seconds:.3g} s; best score {score:.3f}"],
    )


def main(argv=None):
    run(ROW, cases, __doc__, argv)


if __name__ == "__main__":
    main()
