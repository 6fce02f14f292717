"""Values in messages: whole where they are short, and never all entries of an array."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["shown"]

#: Numbers of an array that are shown.
_N_NUMBERS = 8


def shown(value: Any, width: int = 120) -> str:
    """Representation of a value, on one line.

    Of larger arrays it gives the shape, of what holds them too, and of anything else that is
    longer than `width` the name of its class.

    Examples
    --------
    >>> import numpy as np
    >>> shown((0.0, np.ones(784)))
    '(0.0, array of shape (784,))'
    """
    if isinstance(value, np.ndarray) and value.size > _N_NUMBERS:
        return f"array of shape {value.shape}"
    if type(value) in (tuple, list) and any(isinstance(part, np.ndarray) for part in value):
        first = ", ".join(shown(part, width) for part in value[:3])
        rest = f", and {len(value) - 3} more" if len(value) > 3 else ""
        return f"({first}{rest})"
    text = repr(value)
    return text if len(text) <= width else f"{type(value).__name__}(...)"
