"""PyTorch modules as classifiers, and classifiers as PyTorch modules."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skntk import NTKAttack, NTKClassifier
from skntk.interop import from_torch, to_torch

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(0)
X = RNG.random((20, 12))
LABELS = np.arange(20) % 3


def image_module(dtype, n_outputs=3):
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(3, 4, 2), torch.nn.Tanh(), torch.nn.Flatten()
    return torch.nn.Sequential(*layers, torch.nn.Linear(4, n_outputs)).to(dtype).eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_outputs", [1, 2, 3])
def test_outputs_and_gradients_are_those_of_the_module(dtype, n_outputs):
    """Images (3, 2, 2) for the module are rows (2, 2, 3) here."""
    module = image_module(dtype, n_outputs)
    classes = [0, 1] if n_outputs < 3 else [0, 1, 2]
    clf = from_torch(module, classes=classes, input_shape=(3, 2, 2))
    images = torch.from_numpy(X.reshape(-1, 2, 2, 3).transpose(0, 3, 1, 2).copy()).to(dtype)
    images.requires_grad_()
    outputs = module(images)
    if n_outputs == 2:
        outputs = outputs[:, 1:] - outputs[:, :1]
    weights = torch.randn(outputs.shape, dtype=dtype)
    [gradient] = torch.autograd.grad(outputs, images, weights)
    expected = gradient.permute(0, 2, 3, 1).reshape(len(X), -1)
    rtol = 1e-12 if dtype == torch.float64 else 1e-4
    found = clf.decision_function(X).reshape(outputs.shape)
    assert_allclose(found, outputs.detach(), rtol=rtol, atol=1e-6)
    cotangents = weights.numpy().astype(float)
    cotangents = cotangents[:, 0] if n_outputs < 3 else cotangents
    assert_allclose(clf.input_vjp(X, cotangents), expected, rtol=rtol, atol=1e-6)


def test_a_module_is_attacked_and_pickled():
    clf = from_torch(image_module(torch.float32), classes=[0, 1, 2], input_shape=(3, 2, 2))
    y = clf.predict(X)
    result = NTKAttack(clf, method="auto", n_queries=20, random_state=0).run(X, y, epsilons=[0.3])
    assert result.success.any()
    again = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(again.decision_function(X), clf.decision_function(X))


def test_a_module_in_training_mode_is_refused():
    module = torch.nn.Sequential(torch.nn.Linear(12, 3), torch.nn.Dropout()).train()
    with pytest.raises(ValueError, match=r"training mode.*module\.eval\(\)"):
        from_torch(module, classes=[0, 1, 2], input_shape=(12,))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("shape", [None, (3, 2, 2)])
@pytest.mark.parametrize("scaled", [False, True])
def test_an_estimator_as_a_module(scaled, shape, n_classes, dtype):
    y = LABELS % n_classes
    machine = NTKClassifier("fc1", alpha=0.1)
    clf = make_pipeline(StandardScaler(), machine) if scaled else machine
    clf.fit(X.astype(dtype), y)
    module = to_torch(clf, input_shape=shape)
    rows = X.astype(dtype)
    if shape is None:
        inputs = torch.from_numpy(rows).requires_grad_()
    else:
        images = rows.reshape(-1, 2, 2, 3).transpose(0, 3, 1, 2)
        inputs = torch.from_numpy(images.copy()).requires_grad_()
    logits = module(inputs)
    assert logits.shape == (20, n_classes)
    assert logits.dtype == inputs.dtype
    assert_allclose(module(inputs.detach()).numpy(), logits.detach().numpy(), rtol=1e-4, atol=1e-6)
    outputs = clf.decision_function(rows)
    if n_classes == 2:
        outputs = np.stack([-outputs / 2, outputs / 2], axis=1)
    assert_allclose(logits.detach(), outputs, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(clf.classes_[logits.argmax(axis=1)], clf.predict(rows))
    if dtype == np.float64:
        assert torch.autograd.gradcheck(module, inputs, eps=1e-6, atol=1e-6)


def test_it_can_be_differentiated_once():
    clf = NTKClassifier("fc1", alpha=0.1).fit(X, LABELS)
    inputs = torch.from_numpy(X).requires_grad_()
    loss = (to_torch(clf)(inputs) ** 2).sum()
    [gradient] = torch.autograd.grad(loss, inputs, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_inputs_of_another_shape_are_refused():
    module = to_torch(NTKClassifier("fc1").fit(X, LABELS), input_shape=(3, 2, 2))
    with pytest.raises(ValueError, match=r"shape \(20, 12\), and input_shape=\(3, 2, 2\)"):
        module(torch.from_numpy(X))
