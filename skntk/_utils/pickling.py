"""Pickles of objects that hold closures, lambdas, or functions that JAX has wrapped."""

from __future__ import annotations

import pickle
from typing import Any

import cloudpickle

__all__ = ["PickledByValue"]

#: Under which a state keeps the attributes that cloudpickle has turned into bytes.
_BYTES = "_bytes_by_value"


class PickledByValue:
    """Mixin of an object some of whose attributes plain pickle may not take.

    Networks hold initialisers and activations, optimisers are made of functions: none of them
    can be looked up by name. Such attributes are pickled by value, all in one, so that what they
    share stays shared.
    """

    #: Names of these attributes.
    _pickled_by_value: tuple[str, ...] = ()

    def __getstate__(self) -> Any:
        parent: Any = super()
        state = dict(parent.__getstate__())
        held = {name: state[name] for name in self._pickled_by_value if name in state}
        if _is_picklable(held):
            return state
        try:
            by_value = cloudpickle.dumps(held)
        except Exception as error:  # whatever their own code raises
            raise pickle.PicklingError(
                f"{type(self).__name__} holds something under {', '.join(held)} that cannot be "
                f"pickled, not even by value: {error}"
            ) from error
        return {name: v for name, v in state.items() if name not in held} | {_BYTES: by_value}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        if _BYTES in state:
            state |= pickle.loads(state.pop(_BYTES))
        parent: Any = super()
        if hasattr(parent, "__setstate__"):
            parent.__setstate__(state)
        else:
            self.__dict__.update(state)


def _is_picklable(value: Any) -> bool:
    try:
        pickle.dumps(value)
    except Exception:  # PicklingError, AttributeError, TypeError and what else objects raise
        return False
    return True
