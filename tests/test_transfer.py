"""Networks and kernels side by side: cosines, matching times, transferred attacks."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("flax")
pytest.importorskip("optax")

import optax
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skntk import AdversarialTraining, FlaxClassifier, NTKAttack, NTKClassifier, NTKClassifierCV
from skntk.metrics import gradient_cosine_similarity, robust_accuracy_score
from skntk.networks import TwoLayerReLU
from skntk.transfer import _warn_of_divergence, follow_transfer

KEYS = {
    "epochs",
    "times",
    "cosine",
    "accuracy",
    "kernel_accuracy",
    "own_robust_accuracy",
    "transfer_robust_accuracy",
    "kernel_robust_accuracy",
}


def samples(n_classes, n=40, seed=0):
    """Clusters in [0, 1]^6 that a kernel separates."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).uniform(0.25, 0.75, size=(n_classes, 6))
    y = np.arange(n) % n_classes
    return np.clip(centres[y] + 0.08 * rng.normal(size=(n, 6)), 0, 1), y


def network(width=256, n_outputs=1, **parameters):
    defaults = {
        "loss": "squared_error",
        "learning_rate": 0.5,
        "batch_size": None,
        "centered": True,
        "random_state": 0,
    }
    return FlaxClassifier(TwoLayerReLU(width, n_outputs=n_outputs), **(defaults | parameters))


def plain_cosine(a, b, X, y):
    """Eq. 43, a sample at a time, from central differences of the cross-entropy."""

    def loss(model, x, label):
        f = model.decision_function(x[None])[0]
        if np.ndim(f) == 0:
            return -np.log(expit(f if label == 1 else -f))
        return -np.log(softmax(f)[label])

    def gradient(model, x, label):
        h = 1e-5 * np.eye(len(x))
        return np.array([loss(model, x + e, label) - loss(model, x - e, label) for e in h])

    cosines = []
    for x, label in zip(X, y, strict=True):
        u, v = gradient(a, x, label), gradient(b, x, label)
        cosines.append(u @ v / np.linalg.norm(u) / np.linalg.norm(v))
    return np.mean(cosines)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_cosine_is_the_plain_definition(n_classes):
    X, y = samples(n_classes)
    fitted = network(64, 1 if n_classes == 2 else n_classes, max_epochs=20).fit(X, y)
    kernel = NTKClassifier("two_layer", time=1.0, solver="eigh").fit(X, y)
    few = X[:6], y[:6]
    value = gradient_cosine_similarity(fitted, kernel, *few)
    assert isinstance(value, float)
    assert value == pytest.approx(plain_cosine(fitted, kernel, *few), abs=1e-5)
    assert value == pytest.approx(gradient_cosine_similarity(kernel, fitted, *few), abs=1e-12)
    for model in (fitted, kernel):
        assert gradient_cosine_similarity(model, model, X, y) == pytest.approx(1, abs=1e-12)


def test_cosine_uses_every_label_as_given():
    X, y = samples(3)
    fitted = network(64, 3, max_epochs=5).fit(X, np.array(["a", "b", "c"])[y])
    kernel = NTKClassifier("two_layer", time=1.0, solver="eigh").fit(
        X, np.array(["a", "b", "c"])[y]
    )
    right = gradient_cosine_similarity(fitted, kernel, X, np.array(["a", "b", "c"])[y])
    wrong = gradient_cosine_similarity(fitted, kernel, X, np.array(["b", "c", "a"])[y])
    assert right != wrong
    with pytest.raises(ValueError, match="never saw"):
        gradient_cosine_similarity(fitted, kernel, X, np.array(["x", "b", "c"])[y])


def test_cosine_of_more_samples_than_a_batch_is_their_mean():
    X, y = samples(2, n=600)
    fitted = network(16, max_epochs=3).fit(X, y)
    kernel = NTKClassifier("two_layer", time=1.0, solver="eigh").fit(X[:40], y[:40])
    whole = gradient_cosine_similarity(fitted, kernel, X, y)
    parts = [
        gradient_cosine_similarity(fitted, kernel, X[k : k + 100], y[k : k + 100])
        for k in range(0, 600, 100)
    ]
    assert whole == pytest.approx(np.mean(parts), abs=1e-12)


def test_a_sample_without_a_gradient_counts_as_zero():
    X, y = samples(2)
    flat = network(8, max_epochs=0).fit(X, y)  # centred and untrained: 0 everywhere
    kernel = NTKClassifier("two_layer", solver="eigh", time=1.0).fit(X, y)
    assert gradient_cosine_similarity(flat, kernel, X, y) == 0.0


def test_cosine_of_models_fitted_on_frames():
    X, y = samples(2)
    frame = pd.DataFrame(X, columns=list("abcdef"))
    values = []
    for data in (frame, X):
        early, late = (network(16, max_epochs=k).fit(data, y) for k in (2, 9))
        values.append(gradient_cosine_similarity(early, late, data, y))
    on_frames, on_arrays = values
    assert on_frames == pytest.approx(on_arrays, abs=1e-12)
    assert on_frames < 1 - 1e-6


@pytest.mark.parametrize("n_classes", [2, 3])
def test_follow_transfer_keys_shapes_and_what_they_hold(n_classes):
    (X, y), (X_test, y_test) = samples(n_classes), samples(n_classes, n=30, seed=1)
    net = network(64, 1 if n_classes == 2 else n_classes)
    kernel = NTKClassifier("two_layer", solver="eigh")
    curve = follow_transfer(net, kernel, X, y, X_test, y_test, epochs=[2, 7], eps=0.1)
    assert set(curve) == KEYS | {"network", "kernel"}
    for key in KEYS:
        assert isinstance(curve[key], np.ndarray) and curve[key].shape == (2,), key
    assert curve.epochs.tolist() == [2, 7]
    assert not hasattr(net, "params_") and not hasattr(kernel, "dual_coef_")

    straight = network(64, 1 if n_classes == 2 else n_classes, max_epochs=7).fit(X, y)
    np.testing.assert_array_equal(curve.network.params_["W"], straight.params_["W"])
    at_end = NTKClassifier("two_layer", solver="eigh", time=curve.times[-1]).fit(X, y)
    np.testing.assert_allclose(
        curve.kernel.decision_function(X_test), at_end.decision_function(X_test), rtol=1e-8
    )
    own, its = (NTKAttack(model, eps=0.1) for model in (straight, at_end))
    expected = {
        "accuracy": straight.score(X_test, y_test),
        "kernel_accuracy": at_end.score(X_test, y_test),
        "own_robust_accuracy": robust_accuracy_score(straight, X_test, y_test, own),
        "transfer_robust_accuracy": robust_accuracy_score(straight, X_test, y_test, its),
        "kernel_robust_accuracy": robust_accuracy_score(at_end, X_test, y_test, its),
        "cosine": gradient_cosine_similarity(straight, at_end, X_test, y_test),
    }
    for key, value in expected.items():
        assert curve[key][-1] == pytest.approx(value, abs=1e-8), key


@pytest.mark.parametrize(("batch_size", "steps"), [(None, 1), (10, 4), (40, 1), (100, 1)])
def test_times_are_those_of_the_steps_taken(batch_size, steps):
    X, y = samples(2)
    curve = follow_transfer(
        network(8, batch_size=batch_size, learning_rate=0.02),
        NTKClassifier("two_layer", solver="eigh"),
        X, y, X, y,
        epochs=[1, 3],
    )  # fmt: skip
    np.testing.assert_allclose(curve.times, 0.02 * steps * np.array([1, 3]) / 40, rtol=1e-14)


def test_several_seeds():
    (X, y), (X_test, y_test) = samples(2), samples(2, n=30, seed=1)
    kernel = NTKClassifier("two_layer", solver="eigh")
    common = {"epochs": [2, 7], "eps": 0.1}
    curve = follow_transfer(network(16), kernel, X, y, X_test, y_test, seeds=[3, 5], **common)
    alone = [
        follow_transfer(network(16, random_state=seed), kernel, X, y, X_test, y_test, **common)
        for seed in (3, 5)
    ]
    assert set(curve) == KEYS | {"network", "kernel", "runs"}
    for key in KEYS:
        single = [run[key] for run in alone]
        np.testing.assert_array_equal([run[key] for run in curve.runs], single)
        np.testing.assert_allclose(curve[key], np.mean(single, axis=0), rtol=1e-14)
    assert curve.epochs.tolist() == [2, 7] and (curve.times == alone[0].times).all()
    assert curve.network.random_state == 3 and curve.runs[1].network.random_state == 5
    assert (curve.runs[0].cosine != curve.runs[1].cosine).any()


def test_a_scale_of_time():
    X, y = samples(2)
    given = network(8), NTKClassifier("two_layer", solver="eigh"), X, y, X, y
    plain, twice = (follow_transfer(*given, epochs=[3], time_scale=scale) for scale in (1, 2.0))
    assert twice.times == pytest.approx(2 * plain.times)
    at_twice = NTKClassifier("two_layer", solver="eigh", time=2 * plain.times[0]).fit(X, y)
    np.testing.assert_allclose(
        twice.kernel.decision_function(X), at_twice.decision_function(X), rtol=1e-8
    )


@pytest.mark.parametrize(
    ("option", "error", "match"),
    [
        ({"seeds": 3}, TypeError, r"seeds=3.*range\(3\)"),
        ({"seeds": []}, ValueError, r"seeds=\[\]"),
        ({"seeds": [1, 1]}, ValueError, r"seeds=\[1, 1\]"),
        ({"seeds": [0.5]}, TypeError, "seeds"),
        ({"time_scale": -1.0}, ValueError, "time_scale"),
    ],
)
def test_wrong_seeds_and_scales(option, error, match):
    X, y = samples(2)
    with pytest.raises(error, match=match):
        follow_transfer(network(8), NTKClassifier("two_layer"), X, y, X, y, epochs=[1], **option)


def test_in_the_linear_regime_cosine_is_high_and_grows_with_width():
    (X, y), (X_test, y_test) = samples(2), samples(2, n=30, seed=1)
    mean = X.mean(axis=0)
    last = []
    for width in (64, 512, 4096):
        cosines = []
        for seed in range(2):
            curve = follow_transfer(
                # Weights move little from 0.5; from 0.01 they would leave the linear regime.
                FlaxClassifier(
                    TwoLayerReLU(width, init_std=0.5),
                    loss="squared_error",
                    learning_rate=2.0,
                    batch_size=None,
                    centered=True,
                    random_state=seed,
                ),
                NTKClassifier("two_layer", solver="eigh"),
                X - mean, y, X_test - mean, y_test,
                epochs=[20], eps=0.05, clip_values=(-mean, 1 - mean),
            )  # fmt: skip
            cosines.append(curve.cosine[-1])
        last.append(np.mean(cosines))
        # The same function in the limit, at the same time.
        if width == 4096:
            net = curve.network.decision_function(X_test - mean)
            ker = curve.kernel.decision_function(X_test - mean)
            assert np.linalg.norm(net - ker) < 0.03 * np.linalg.norm(ker)
    assert last[0] < last[1] < last[2]
    assert last[2] > 0.9


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"loss": "cross_entropy"}, "loss"),
        ({"optimizer": "adam"}, "optimizer"),
        ({"learning_rate": optax.constant_schedule(0.1)}, "learning_rate"),
        ({"adversary": AdversarialTraining(0.1)}, r"adversary=Adv.*adversary=None"),
        ({"linearize_at": 0}, "linearize_at=0 .*linearize_at=None"),
    ],
)
def test_training_without_a_matching_time_is_refused(parameters, match):
    X, y = samples(2)
    with pytest.raises(ValueError, match=match):
        follow_transfer(
            network(8, **parameters), NTKClassifier("two_layer"), X, y, X, y, epochs=[1]
        )


@pytest.mark.parametrize("epochs", [[], [2, 2], [3, 1], [0, 1], [-1]])
def test_checkpoints_must_increase(epochs):
    X, y = samples(2)
    with pytest.raises(ValueError, match="epochs"):
        follow_transfer(network(8), NTKClassifier("two_layer"), X, y, X, y, epochs=epochs)


def test_checkpoints_must_be_whole():
    X, y = samples(2)
    with pytest.raises(TypeError, match="epochs"):
        follow_transfer(network(8), NTKClassifier("two_layer"), X, y, X, y, epochs=[1.5])


@pytest.fixture(scope="module")
def trained():
    X, y = samples(3, n=90)
    net = FlaxClassifier(
        TwoLayerReLU(256, n_outputs=3, init_std=0.1),
        optimizer="adam",
        learning_rate=0.02,
        max_epochs=60,
        random_state=0,
    ).fit(X, y)
    kernel = NTKClassifier("two_layer", solver="eigh", time=1.0).fit(X, y)
    return net, kernel, *samples(3, n=60, seed=1)


def test_attacks_on_the_kernel_transfer_to_the_network_as_plain_arrays(trained):
    net, kernel, X, y = trained
    X_adv = NTKAttack(kernel, eps=0.1).generate(X, y)
    assert type(X_adv) is np.ndarray
    assert net.score(X, y) >= 0.9
    assert net.score(X_adv, y) < net.score(X, y) - 0.5


@pytest.mark.parametrize("norm", [np.inf, 2])
def test_white_box_is_at_least_as_strong_as_transfer(trained, norm):
    net, kernel, X, y = trained
    for eps in (0.03, 0.1, 0.2):
        options = {"eps": eps, "norm": norm, "method": "pgd", "max_iter": 20}
        own = robust_accuracy_score(net, X, y, NTKAttack(net, **options))
        transferred = robust_accuracy_score(net, X, y, NTKAttack(kernel, **options))
        assert own <= transferred + 1 / 60


def test_a_kernel_that_cannot_be_asked_at_a_time_is_refused_before_training():
    X, y = np.eye(4), np.arange(4) % 2
    network = FlaxClassifier(TwoLayerReLU(4), loss="squared_error", batch_size=None)
    for kernel in (make_pipeline(StandardScaler(), NTKClassifier()), NTKClassifierCV()):
        with pytest.raises(TypeError, match=f"{type(kernel).__name__}, which has no at_"):
            follow_transfer(network, kernel, X, y, X, y, epochs=[1], eps=0.1)


@pytest.mark.parametrize(("n_classes", "names"), [(2, None), (3, list("abcdef"))])
def test_a_learning_rate_beyond_the_bound_diverges_and_is_warned_of(n_classes, names):
    X, y = samples(n_classes)
    X = X if names is None else pd.DataFrame(X, columns=names)
    # Linearised, as which the bound is exact.
    net = network(32, 1 if n_classes == 2 else n_classes, linearize_at=0)
    K = clone(net).set_params(max_epochs=0).fit(X, y).empirical_ntk(X)
    bound = 2 * len(X) / np.linalg.eigvalsh(K)[-1]
    for factor, grows in ((0.95, False), (1.05, True)):
        net.set_params(learning_rate=float(factor * bound), max_epochs=25)
        losses = clone(net).fit(X, y).history_["loss"]
        assert (losses[-1] > losses[-2]) is np.bool_(grows)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            _warn_of_divergence(net, X, y)
        told = [w for w in caught if "2 n / lambda_max, about" in str(w.message)]
        assert len(told) == grows
        assert all(w.category is ConvergenceWarning and w.filename == __file__ for w in told)


def test_the_bound_is_estimated_on_part_of_the_samples():
    X, y = samples(2, n=600)
    net = network(32)
    K = clone(net).set_params(max_epochs=0).fit(X, y).empirical_ntk(X)
    bound = 1200 / np.linalg.eigvalsh(K)[-1]
    kernel = NTKClassifier("two_layer", solver="eigh").fit(X, y)
    net.set_params(learning_rate=float(1.1 * bound))
    with pytest.warns(ConvergenceWarning, match="2 n / lambda_max, about") as caught:
        follow_transfer(net, kernel, X, y, X[:9], y[:9], epochs=[1])
    told = float(re.search(r"about (\S+) for", str(caught[0].message))[1])
    assert told == pytest.approx(bound, rel=0.05)
