"""P9: 20 flow times, 20 ridges or 20 numbers of features on one training set, FC3, float64.

Rival: 20 fits, each with the automatic choice of solver and no cache.
Target: 10 times as fast, including the single fit.
"""

import numpy as np
from _data import DATA, MNIST, images
from _measure import Row, compare, largest_difference, run

from skntk import NTKClassifier, NTKClassifierCV, RobustFeatureSelector, SpectralFeatureDecomposer
from skntk.kernels import FullyConnectedNTK

ROW = Row("P9", "20 times / ridges / feature counts", "20 fits", "10x")
KERNEL = FullyConnectedNTK(3)


def times(X, y, n_answers, options):
    grid = np.geomspace(1e-2, 1e3, n_answers)

    def ours():
        clf = NTKClassifier(KERNEL, time=grid[0]).fit(X, y)
        return [clf.at_time(time).dual_coef_ for time in grid]

    def rival():
        return [NTKClassifier(KERNEL, time=time).fit(X, y).dual_coef_ for time in grid]

    return compare(f"{n_answers} times", ours, rival, options, largest_difference)


def ridges(X, y, n_answers, options):
    grid = np.geomspace(1e-3, 1e1, n_answers)

    def ours():  # also computes the leave-one-out score of each ridge
        return NTKClassifierCV(KERNEL, alphas=grid).fit(X, y)

    def rival():
        return [NTKClassifier(KERNEL, alpha=alpha).fit(X, y) for alpha in grid]

    def agreement(chosen, fits):
        same = next(fit for fit in fits if fit.alpha == chosen.alpha_)
        return largest_difference(chosen.dual_coef_, same.dual_coef_)

    return compare(f"{n_answers} ridges", ours, rival, options, agreement)


def feature_counts(X, y, n_answers, options):
    n_features = n_answers * 5
    grid = np.linspace(1, n_features, n_answers, dtype=int).tolist()

    def select(count):
        decomposer = SpectralFeatureDecomposer(KERNEL, n_components=n_features, random_state=0)
        return RobustFeatureSelector(decomposer, n_features_to_select=count, memory=None).fit(X, y)

    def ours():
        selector = select(grid[0])
        return [selector.with_n_features(count).dual_coef_ for count in grid]

    def rival():
        return [select(count).dual_coef_ for count in grid]

    return compare(f"{n_answers} feature counts", ours, rival, options, largest_difference)


def cases(options):
    n = options.n_train or (200 if options.reduced else 2000)
    n_answers = 4 if options.reduced else 20
    data = images(options.data, n, 1, shape=MNIST, dtype=np.float64)
    for measure in (times, ridges, feature_counts):
        yield measure(data.X_train, data.y_train, n_answers, options)


def main(argv=None):
    run(ROW, cases, __doc__, argv, data=DATA, n_train={"type": int})


if __name__ == "__main__":
    main()
