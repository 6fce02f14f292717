"""Parameters of kernels, as scikit-learn reads, sets, compares and shows them."""

from __future__ import annotations

import inspect
from typing import Any

import jax
import numpy as np
from sklearn.utils import estimator_html_repr
from sklearn.utils._repr_html.base import ReprHTMLMixin

__all__ = ["Parameters"]


class Parameters(ReprHTMLMixin):
    """Constructor arguments by name; those of a kernel within a kernel as ``left__depth``.

    Kernels are equal if they are of one class and their parameters are equal.
    """

    _html_repr = estimator_html_repr

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's parameters by name, as scikit-learn expects."""
        own = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}
        parts = {name: value for name, value in own.items() if isinstance(value, Parameters)}
        if not deep:
            return own
        return own | {
            f"{name}__{key}": value
            for name, part in parts.items()
            for key, value in part.get_params().items()
        }

    def set_params(self, **params: Any) -> Any:
        """Set constructor parameters by name and return the kernel itself."""
        known = self.get_params()
        for name in params:
            if name not in known and not self._reaches(name, params):
                raise ValueError(
                    f"{type(self).__name__} has no parameter {name!r}; it has {sorted(known)}."
                )
        # Kernels come before the parameters within them, whichever was named first.
        for name in sorted(params, key=lambda name: name.count("__")):
            owner, _, key = name.partition("__")
            if key:
                getattr(self, owner).set_params(**{key: params[name]})
            else:
                setattr(self, owner, params[name])
        return self

    def _reaches(self, name: str, params: dict[str, Any]) -> bool:
        """Whether a name addresses a parameter of a kernel that is set in the same call."""
        owner, _, key = name.partition("__")
        return bool(key) and isinstance(params.get(owner), Parameters)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        mine, others = self.get_params(deep=False), other.get_params(deep=False)  # type: ignore[attr-defined]
        return all(_equal(value, others[name]) for name, value in mine.items())

    def __hash__(self) -> int:
        return hash(type(self))  # the parameters may change

    def __repr__(self) -> str:
        arguments = (f"{name}={value!r}" for name, value in self.get_params(deep=False).items())
        return f"{type(self).__name__}({', '.join(arguments)})"


def _equal(a: Any, b: Any) -> bool:
    """Whether two parameters are equal, which may be trees of arrays."""
    if a is b:
        return True
    (mine, structure), (others, other) = jax.tree.flatten(a), jax.tree.flatten(b)
    return structure == other and all(map(_equal_leaves, mine, others))  # type: ignore[operator]


def _equal_leaves(a: Any, b: Any) -> bool:
    if hasattr(a, "__array__") or hasattr(b, "__array__"):
        return np.array_equal(a, b)
    return bool(a == b)
