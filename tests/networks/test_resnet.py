"""The residual network, with and without batch normalisation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("flax")
pytest.importorskip("optax")

from skntk import AdversarialTraining, FlaxClassifier, NTKAttack
from skntk.kernels import EmpiricalNTK
from skntk.networks import ResNet18

SHAPE = (8, 8, 1)
X = np.random.default_rng(0).random((12, 64))
y = np.arange(12) % 3
X[np.arange(12), y] = 2.0
MODULES = {norm: ResNet18(None, width=2, norm=norm, image_shape=SHAPE) for norm in ("batch", None)}


#: XLA takes long to compile either of them.
_WITH = ["batch", pytest.param(None, marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=_WITH, ids=["batch", "plain"])
def trained(request):
    options = {"batch_size": 6, "max_epochs": 8, "learning_rate": 0.02, "random_state": 0}
    return FlaxClassifier(MODULES[request.param], optimizer="adam", **options).fit(X, y)


def plain(clf, params, inputs):
    module = clf.module.clone(n_outputs=3)
    return module.apply({"params": params, **clf.constants_}, inputs, train=False)


def test_it_has_the_layers_of_the_paper():
    """11.17 million parameters for CIFAR-10, of which 4800 belong to the normalisation."""
    images = jax.ShapeDtypeStruct((1, 3072), np.float32)
    variables = jax.eval_shape(ResNet18().init, jax.random.key(0), images)
    sizes = [leaf.size for leaf in jax.tree.leaves(variables["params"])]
    assert sum(sizes) == 11_173_962
    kernels = [leaf for leaf in jax.tree.leaves(variables["params"]) if leaf.ndim == 4]
    assert len(kernels) == 20  # 17 of the main path and three projections


def test_it_learns_and_is_attacked(trained):
    loss = trained.history_["loss"]
    assert loss[-1] < 0.5 * loss[0]
    attacked = NTKAttack(trained, eps=0.2, clip_values=(0.0, 2.0)).generate(X, y)
    own = trained.attack(X, y, AdversarialTraining(0.2, clip_values=(0.0, 2.0)))

    def margin(inputs):
        outputs = trained.decision_function(inputs)
        others = np.where(np.eye(3)[y] == 1, -np.inf, outputs).max(axis=1)
        return (outputs[np.arange(12), y] - others).mean()

    assert max(margin(attacked), margin(own)) < margin(X)


def test_outputs_are_those_of_the_module_in_inference_mode(trained):
    with jax.enable_x64(True):
        outputs = plain(trained, trained.params_, jnp.asarray(X.reshape(12, *SHAPE)))
    np.testing.assert_allclose(trained.decision_function(X), outputs, rtol=1e-9)


def test_kernel_is_that_of_plain_jacobians(trained):
    with jax.enable_x64(True):
        params = jax.tree.map(jnp.asarray, trained.params_)
        images = jnp.asarray(X[:4])
        jacobian = jax.jit(jax.jacrev(lambda p: plain(trained, p, images).ravel()))(params)
    J = np.hstack([np.reshape(leaf, (12, -1)) for leaf in jax.tree.leaves(jacobian)])
    expected = J @ J.T
    scale = 1e-9 * np.abs(expected).max()
    np.testing.assert_allclose(trained.empirical_ntk(X[:4]), expected, rtol=1e-9, atol=scale)


def test_trained_weights_are_wrapped_bit_for_bit(trained):
    variables = {"params": trained.params_, **trained.constants_}
    module = trained.module.clone(n_outputs=3)
    clf = FlaxClassifier.from_params(module, variables, classes=[0, 1, 2], n_features=64)
    np.testing.assert_array_equal(clf.decision_function(X), trained.decision_function(X))
    images = FlaxClassifier.from_params(module, variables, classes=[0, 1, 2], input_shape=SHAPE)
    np.testing.assert_array_equal(images.decision_function(X), trained.decision_function(X))
    kernel = EmpiricalNTK(module, variables).full(X[:2])
    np.testing.assert_array_equal(kernel, trained.empirical_ntk(X[:2]))


def test_an_unknown_norm_is_refused():
    with pytest.raises(ValueError, match="norm='layer' must be 'batch' or None"):
        FlaxClassifier(ResNet18(3, norm="layer", image_shape=SHAPE)).fit(X, y)
