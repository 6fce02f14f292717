"""neural-tangents 0.6.5 can be imported, and its results are right, on the installed JAX."""

import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from skntk.kernels import _neural_tangents

nt = _neural_tangents.load()
stax = nt.stax

W_STD, B_STD = 2**0.5, 0.1


def dense(width):
    return stax.Dense(width, W_STD, B_STD)


def conv(channels):
    return stax.Conv(channels, (3, 3), padding="SAME", W_std=W_STD, b_std=B_STD)


# Networks of one hidden layer, for which the closed form below holds.
SHALLOW = {
    "fully connected": ((5,), stax.serial(dense(64), stax.Relu(), dense(1))),
    "convolutional": ((4, 4, 2), stax.serial(conv(8), stax.Relu(), stax.Flatten(), dense(1))),
    "pooling": (
        (4, 4, 2),
        stax.serial(
            conv(8), stax.Relu(), stax.AvgPool((2, 2), (2, 2)), stax.GlobalAvgPool(), dense(1)
        ),
    ),
}
# Layers of every kind that has a derivative rule, and more than one output.
DEEP = {
    "deep": (
        (4, 4, 2),
        stax.serial(
            conv(3), stax.LayerNorm(), stax.Erf(), stax.AvgPool((2, 2)), stax.Flatten(), dense(2)
        ),
    )
}


@pytest.fixture(autouse=True)
def x64():
    """Compute in float64, so that results can be held to rounding error."""
    with jax.enable_x64(True):
        yield


def inputs(shape):
    generator = np.random.default_rng(0)
    return tuple(jnp.array(generator.normal(size=(n, *shape))) for n in (4, 3))


def assert_close(actual, desired):
    np.testing.assert_allclose(actual, desired, rtol=1e-8, atol=1e-8)


def relu_ntk(x, z):
    """Closed-form NTK of Dense, Relu, Dense between the vectors of two stacks of them."""

    def covariance(a, b):
        return W_STD**2 * jnp.einsum("...i,...i", a, b) / x.shape[-1] + B_STD**2

    xz, scale = covariance(x, z), jnp.sqrt(covariance(x, x) * covariance(z, z))
    angle = jnp.arccos(jnp.clip(xz / scale, -1, 1))  # rounding leaves 1 at x = z
    nngp = (scale * jnp.sin(angle) + (jnp.pi - angle) * xz) / (2 * jnp.pi)
    return W_STD**2 * (nngp + xz * (jnp.pi - angle) / (2 * jnp.pi)) + B_STD**2


def patches(images):
    """Inputs (n, pixels, inputs) of a 3x3 convolution, seen as a dense layer of each pixel."""
    n, height, width, _ = images.shape
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return jnp.concatenate(shifted, axis=-1).reshape(n, height * width, -1)


CLOSED_FORMS = {
    "fully connected": lambda x, z: relu_ntk(x[:, None], z[None]),
    "convolutional": lambda x, z: relu_ntk(patches(x)[:, None], patches(z)[None]).mean(-1),
    "pooling": lambda x, z: relu_ntk(patches(x)[:, None, :, None], patches(z)[None, :, None]).mean(
        (-1, -2)
    ),
}


@pytest.mark.parametrize("name", SHALLOW)
def test_analytic_kernel_and_its_gradient(name):
    shape, (_, _, kernel_fn) = SHALLOW[name]
    x, z = inputs(shape)
    weights = jnp.array(np.random.default_rng(1).normal(size=(4, 3)))

    def value_and_gradients(kernel):
        def total(x, z):
            values = kernel(x, z)
            return jnp.sum(weights * values), values

        return jax.jit(jax.value_and_grad(total, argnums=(0, 1), has_aux=True))(x, z)

    computed = value_and_gradients(lambda x, z: kernel_fn(x, z, "ntk"))
    expected = value_and_gradients(CLOSED_FORMS[name])
    jax.tree.map(assert_close, computed, expected)


@pytest.mark.parametrize("device_count", [0, -1])
def test_batch(device_count):
    shape, (_, _, kernel_fn) = SHALLOW["convolutional"]
    x, _ = inputs(shape)
    batched = nt.batch(kernel_fn, batch_size=2, device_count=device_count)
    kernel = kernel_fn(x, None, ("nngp", "ntk"))
    for actual, desired in zip(batched(x, None, ("nngp", "ntk")), kernel, strict=True):
        assert_close(actual, desired)


def test_gradient_descent_mse():
    shape, (_, _, kernel_fn) = SHALLOW["fully connected"]
    x, z = inputs(shape)
    y = x[:, :1] ** 2
    train, test = (np.asarray(relu_ntk(a[:, None], x[None])) for a in (x, z))
    at_infinity = test @ np.linalg.solve(train + 1e-3 * np.eye(4), y)

    arguments = {"diag_reg": 1e-3, "diag_reg_absolute_scale": True}
    predict = nt.predict.gradient_descent_mse(jnp.array(train), y, **arguments)
    assert_close(predict(None, 0.0, 0.0, jnp.array(test))[1], at_infinity)
    ensemble = nt.predict.gradient_descent_mse_ensemble(kernel_fn, x, y, **arguments)
    assert_close(ensemble(x_test=z, get="ntk"), at_infinity)
    assert_close(jax.jit(lambda z: ensemble(x_test=z, get="ntk"))(z), at_infinity)

    eigenvalues, basis = np.linalg.eigh(train)
    decay = 1 - np.exp(-eigenvalues * 3.0 / len(y))
    at_three = test @ basis @ np.diag(decay / eigenvalues) @ basis.T @ y
    predict = nt.predict.gradient_descent_mse(jnp.array(train), y)
    assert_close(predict(3.0, 0.0, 0.0, jnp.array(test))[1], at_three)
    ensemble = nt.predict.gradient_descent_mse_ensemble(kernel_fn, x, y)
    assert_close(ensemble(t=3.0, x_test=z, get="ntk"), at_three)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_max_learning_rate(momentum):
    x, _ = inputs((5,))
    train = np.asarray(relu_ntk(x[:, None], x[None]))
    rate = nt.predict.max_learning_rate(jnp.array(train), momentum=momentum, eps=0.0)
    assert_close(rate, 2 * (1 + momentum) * len(x) / np.linalg.eigvalsh(train)[-1])
    of_outputs = jnp.einsum("ab,ij->abij", train, np.eye(2))  # (n, n, outputs, outputs)
    assert_close(nt.predict.max_learning_rate(of_outputs, momentum=momentum, eps=0.0), 2 * rate)


@pytest.mark.parametrize("time", [None, 3.0])
@pytest.mark.parametrize("transform", [jax.vmap, lambda f: jax.jit(jax.vmap(f))])
def test_predictions_of_many_kernels_at_once(transform, time):
    x, z = inputs((5,))
    y = x[:, :1] ** 2
    train, test = (relu_ntk(a[:, None], x[None]) for a in (x, z))

    def outputs(scale):
        predict = nt.predict.gradient_descent_mse(scale * train, y, diag_reg=1e-3)
        return predict(time, 0.0, 0.0, scale * test)

    scales = jnp.array([1.0, 2.0, 5.0])
    expected = [np.stack(leaves) for leaves in zip(*map(outputs, scales), strict=True)]
    for actual, desired in zip(transform(outputs)(scales), expected, strict=True):
        assert_close(actual, desired)


def test_mean_and_covariance_of_many_training_sets_at_once():
    shape, (_, _, kernel_fn) = SHALLOW["fully connected"]
    x, z = inputs(shape)

    def moments(scale):
        predict = nt.predict.gradient_descent_mse_ensemble(
            kernel_fn, scale * x, x[:, :1], diag_reg=1e-3
        )
        return predict(jnp.array([1.0, 5.0]), z, "ntk", compute_cov=True)

    scales = jnp.array([1.0, 2.0])
    expected = jax.tree.map(lambda *leaves: np.stack(leaves), *map(moments, scales))
    jax.tree.map(assert_close, jax.vmap(moments)(scales), expected)


def test_decomposition_is_computed_once_though_first_asked_for_in_a_trace():
    x, _ = inputs((5,))
    y = x[:, :1] ** 2
    predict = nt.predict.gradient_descent_mse(relu_ntk(x[:, None], x[None]), y)
    traced = jax.jit(lambda time: predict(time, 0.0))(2.0)
    assert_close(predict(2.0, 0.0), traced)  # what was kept is no tracer


@pytest.mark.parametrize("name", SHALLOW | DEEP)
def test_empirical_ntk(name):
    shape, (init_fn, apply_fn, _) = (SHALLOW | DEEP)[name]
    x, z = inputs(shape)
    _, params = init_fn(jax.random.key(0), x.shape)
    jacobian = jax.jit(jax.jacobian(apply_fn))
    jacobians = [
        np.concatenate([j.reshape(*j.shape[:2], -1) for j in jax.tree.leaves(leaves)], axis=-1)
        for leaves in (jacobian(params, x), jacobian(params, z))
    ]
    expected = np.einsum("aip,bjp->abij", *jacobians)
    for implementation in (1, 2, 3):
        ntk_fn = nt.empirical_ntk_fn(apply_fn, trace_axes=(), implementation=implementation)
        assert_close(jax.jit(ntk_fn)(x, z, params), expected)


def test_fastest_empirical_ntk_is_found():
    shape, (init_fn, apply_fn, _) = SHALLOW["fully connected"]
    x, z = inputs(shape)
    _, params = init_fn(jax.random.key(0), x.shape)
    fastest, default = (
        nt.empirical_ntk_fn(apply_fn, implementation=implementation)(x, z, params)
        for implementation in (nt.NtkImplementation.AUTO, nt.NtkImplementation.JACOBIAN_CONTRACTION)
    )
    assert_close(fastest, default)


def run(code, *options):
    """Run a program in a separate interpreter, and fail unless it reaches its end."""
    program = textwrap.dedent(code) + "\nprint('reached the end')"
    command = [sys.executable, *options, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "reached the end\n"


def test_import_leaves_jax_alone_and_does_without_tensorflow():
    run(
        """
        import sys

        # neural-tangents imports these too, which legitimately sets attributes of their packages.
        import jax, jax.example_libraries.stax, jax.experimental.ode, jax.scipy.special
        import jax.extend.linear_util
        from skntk.kernels import _neural_tangents

        assert "neural_tangents" not in sys.modules

        def public_namespaces():
            names = [name for name in sys.modules if (name + ".").startswith("jax.")]
            public = [name for name in names if not name.startswith("jax._src")]
            return {name: dict(vars(sys.modules[name])) for name in public}

        jax_before = {name: sys.modules[name] for name in sys.modules if name.startswith("jax")}
        before, finders = public_namespaces(), list(sys.meta_path)
        assert {"jax", "jax.core", "jax.extend.core", "jax.interpreters.ad"} <= before.keys()
        nt = _neural_tangents.load()
        assert sys.meta_path == finders
        after = public_namespaces()
        assert after.keys() == before.keys()
        for name, namespace in before.items():
            assert after[name].keys() == namespace.keys(), name
            assert all(after[name][key] is value for key, value in namespace.items()), name
        assert all(sys.modules[name] is module for name, module in jax_before.items())
        assert "jax.experimental.jax2tf" not in sys.modules

        assert {"tensorflow", "tf2jax", "neural_tangents.experimental"}.isdisjoint(sys.modules)
        assert not hasattr(nt, "experimental")
        assert nt is _neural_tangents.load()
        import neural_tangents
        from neural_tangents import stax
        assert neural_tangents is nt and stax is nt.stax
        """,
        "-W",
        "error",
    )


def test_missing_packages_are_told_and_can_be_installed_later():
    run(
        """
        import sys
        from skntk.kernels import _neural_tangents

        class Blocker:
            def find_spec(self, fullname, path=None, target=None):
                if fullname == self.blocked:
                    raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)

        blocker = Blocker()
        sys.meta_path.insert(0, blocker)
        finders = list(sys.meta_path)
        for blocker.blocked in "neural_tangents", "frozendict", "jax.example_libraries.stax":
            sys.modules.pop(blocker.blocked, None)
            try:
                _neural_tangents.load()
            except ImportError as error:
                assert error.name == blocker.blocked
                hint = "pip install --no-deps neural-tangents==0.6.5 && pip install frozendict"
                assert (hint in str(error)) == ("jax" not in blocker.blocked)
                assert ("TensorFlow" in str(error)) == (hint in str(error))
            else:
                raise AssertionError(f"imported without {blocker.blocked}")
            assert sys.meta_path == finders
            assert {"neural_tangents", "neural_tangents.experimental"}.isdisjoint(sys.modules)
        blocker.blocked = None
        assert _neural_tangents.load().stax.Relu
        """
    )


def test_import_after_a_failed_plain_import():
    run(
        """
        import sys

        sys.modules["jax.experimental.jax2tf"] = None  # in case it could succeed
        try:
            import neural_tangents
        except ImportError:
            pass
        else:
            raise AssertionError("imported without jax2tf")
        from skntk.kernels import _neural_tangents
        assert _neural_tangents.load().stax.Relu
        """
    )


def test_what_was_imported_before_is_returned():
    run(
        """
        import sys, types

        before = sys.modules["neural_tangents"] = types.ModuleType("neural_tangents")
        from skntk.kernels import _neural_tangents
        assert _neural_tangents.load() is before
        """
    )


def test_threads_get_the_same_module():
    run(
        """
        from concurrent.futures import ThreadPoolExecutor
        from skntk.kernels import _neural_tangents

        with ThreadPoolExecutor(8) as pool:
            modules = list(pool.map(lambda _: _neural_tangents.load(), range(8)))
        assert all(module is modules[0] for module in modules)
        assert modules[0].stax.Relu
        """
    )
