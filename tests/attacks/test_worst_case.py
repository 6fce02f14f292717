"""The worst case: stronger than its parts, and honest about models that deceive it."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from skntk import NTKAttack, NTKClassifier

N_TRAIN = 500


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X / 16, y


@pytest.fixture(scope="module")
def machine(digits):
    return NTKClassifier("fc1").fit(digits[0][:N_TRAIN], digits[1][:N_TRAIN])


def worst_case(model, X, y, **params):
    params = {"eps": 0.1, "n_queries": 200, "random_state": 0, **params}
    attack = NTKAttack(model, method="auto", **params)
    return attack.run(X, y, epsilons=[params["eps"]])


class Wrapped:
    """A model in front of a machine, to be made deceitful."""

    def __init__(self, machine):
        self.machine, self.classes_ = machine, machine.classes_

    def decision_function(self, X):
        return self.machine.decision_function(X)

    def input_vjp(self, X, cotangents):
        return self.machine.input_vjp(X, cotangents)


class NoGradient(Wrapped):
    def input_vjp(self, X, cotangents):
        return np.zeros_like(X)


class WrongGradient(Wrapped):
    def input_vjp(self, X, cotangents):
        return -super().input_vjp(X, cotangents)


class Random(Wrapped):
    def __init__(self, machine):
        super().__init__(machine)
        self.rng = np.random.default_rng(0)

    def decision_function(self, X):
        outputs = super().decision_function(X)
        return outputs + 0.1 * self.rng.standard_normal(outputs.shape)


class Probabilities(Wrapped):
    def decision_function(self, X):
        return self.machine.predict_proba(X)

    def input_vjp(self, X, cotangents):
        p = self.machine.predict_proba(X)
        return super().input_vjp(X, p * (cotangents - (p * cotangents).sum(axis=1, keepdims=True)))


@pytest.mark.filterwarnings("ignore::UserWarning")  # some deceive in more than one way
@pytest.mark.parametrize(
    "deceit, sentence",
    [
        (NoGradient, "gradient is exactly zero at 30 of 30"),
        (WrongGradient, "search without gradients broke .* lead astray"),
        (Random, "outputs are random"),
        (Probabilities, "outputs are probabilities"),
    ],
)
def test_deceitful_models_are_reported(digits, machine, deceit, sentence):
    X, y = digits[0][N_TRAIN:], digits[1][N_TRAIN:]
    right = np.flatnonzero(machine.predict(X) == y)[:30]
    with pytest.warns(UserWarning, match=sentence) as caught:
        result = worst_case(deceit(machine), X[right], y[right], eps=0.2, max_iter=20)
    assert any(__file__ == warning.filename for warning in caught)
    assert any(sentence.split(" .* ")[0] in doubt for doubt in result.report.doubts)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("norm", [np.inf, 2])
@pytest.mark.parametrize("n_classes", [2, 3, 10])
def test_honest_models_are_not_doubted(digits, n_classes, norm):
    X, y = (array[digits[1] < n_classes] for array in digits)
    clf = NTKClassifier("fc1").fit(X[:200], y[:200])
    eps = {2: 0.3, 3: 0.2, 10: 0.1}[n_classes] * (1 if norm == np.inf else 5)
    result = worst_case(clf, X[200:240], y[200:240], eps=eps, norm=norm)
    assert result.report.doubts == []
    assert 0 < result.robust_accuracy[0] < clf.score(X[200:240], y[200:240])


def test_every_stage_is_counted(digits, machine):
    X, y = digits[0][600:700], digits[1][600:700]
    report = worst_case(machine, X, y).report
    stages = ["fgsm", "apgd-margin", "apgd-cross_entropy", "apgd-targeted", "square"]
    assert list(report.n_broken) == stages
    assert sum(report.n_broken.values()) == report.n_flipped
    assert report.n_broken["fgsm"] > 0


def test_what_a_smaller_budget_broke_is_owed_to_the_stage_that_did(digits, machine):
    X, y = digits[0][600:650], digits[1][600:650]
    attack = NTKAttack(machine, method="auto", n_queries=20, random_state=0)
    report = attack.run(X, y, epsilons=[0.2, 0.05, 0.1]).report
    np.testing.assert_array_equal(sum(report.n_broken.values()), report.n_flipped)
    small, larger = (report.n_broken["fgsm"][i] for i in (1, 0))
    assert larger >= small > 0


def test_easy_samples_cost_one_step(machine, digits):
    """At a budget that FGSM always breaks, the clean outputs and one step are all."""

    class Counted(Wrapped):
        n_rows = 0

        def decision_function(self, X):
            type(self).n_rows += len(X)
            return super().decision_function(X)

    X, y = digits[0][600:620], digits[1][600:620]
    model = Counted(machine)
    result = worst_case(model, X, y, eps=0.5)
    assert result.report.n_broken["fgsm"] == result.report.n_flipped
    # The check of the first sample, the clean outputs twice, and FGSM.
    assert Counted.n_rows <= 1 + 3 * len(X)


class Needle:
    """Two classes; the second one only in a small ball around one point far from the samples.

    The output rises toward that point, slowly, as one minus a distance.
    """

    classes_ = np.array([0, 1])

    def __init__(self, point, radius):
        self.point, self.radius = point, radius

    def decision_function(self, X):
        return self.radius - np.linalg.norm(X - self.point, axis=1)

    def input_vjp(self, X, cotangents):
        away = X - self.point
        length = np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-300)
        return -cotangents[:, None] * away / length


@pytest.mark.parametrize("norm", [np.inf, 2])
def test_a_planted_example_is_always_found(norm):
    """Zimmermann et al. 2022: an adversarial example that is known to be there."""
    found = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        x = rng.uniform(0.3, 0.7, 20)
        direction = rng.standard_normal(20)
        eps = 0.1 if norm == np.inf else 0.5
        scale = np.abs(direction).max() if norm == np.inf else np.linalg.norm(direction)
        planted = x + 0.9 * eps * direction / scale
        model = Needle(planted, radius=0.02)
        found += int(worst_case(model, x[None], [0], eps=eps, norm=norm).success[0, 0])
    assert found == 100


def test_classes_are_approached_from_random_points(digits):
    """A sample from which no ascent gets to the examples that are there."""
    X, y = (array[digits[1] < 3] for array in digits)
    clf = NTKClassifier("fc5").fit(X[:200], y[:200])
    x, label = X[-7], y[-7]
    again = np.repeat(x[None], 20, axis=0)
    report = worst_case(clf, again, np.repeat(label, 20), eps=0.15, n_queries=1).report
    assert report.n_misclassified == 0
    assert report.n_broken["fgsm"] == 0
    assert report.n_broken["apgd-targeted"] >= 10  # from the sample itself: none


def test_a_target_is_reached_as_by_its_parts(digits, machine):
    X = digits[0][600:640]
    targets = (machine.predict(X) + 1) % 10
    worst = worst_case(machine, X, targets, targeted=True, eps=0.2)
    assert list(worst.report.n_broken) == [
        *("fgsm", "apgd-margin", "apgd-cross_entropy", "apgd-targeted", "square")
    ]
    assert worst.report.n_broken["apgd-targeted"] == 0
    np.testing.assert_array_equal(machine.predict(worst.X_adv[0]) == targets, worst.success[0])
    pgd = NTKAttack(machine, targeted=True, method="pgd", loss="margin", max_iter=40)
    assert worst.success.sum() >= pgd.run(X, targets, epsilons=[0.2]).success.sum()
