"""The precision of JAX's computations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from skntk._utils.precision import own_precision, precision


def product(a):
    return a @ a


@pytest.mark.parametrize("context", [own_precision, lambda: precision(np.float32)])
def test_products_are_full_ones(context):
    """A GPU would multiply float32 in TF32, with a third of its digits."""
    a = np.eye(2, dtype=np.float32)
    with context():
        assert "HIGHEST" in str(jax.make_jaxpr(product)(a))
        assert "HIGHEST" in str(jax.make_jaxpr(jax.grad(lambda a: product(a).sum()))(a))
    assert "HIGHEST" not in str(jax.make_jaxpr(product)(a))


def test_the_users_own_choice_of_products_is_kept():
    a = np.eye(2, dtype=np.float32)
    with jax.default_matmul_precision("bfloat16"), own_precision():
        assert "HIGHEST" not in str(jax.make_jaxpr(product)(a))


def test_flags_are_as_before_afterwards():
    before = jax.config.jax_enable_x64, jax.config.jax_default_matmul_precision
    with pytest.raises(ValueError, match="inside"), precision(np.float64):
        assert jnp.ones(1).dtype == np.float64
        raise ValueError("inside")
    assert (jax.config.jax_enable_x64, jax.config.jax_default_matmul_precision) == before
