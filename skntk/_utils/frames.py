"""DataFrames: arrays come back as what they came in as, so that feature names are checked."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

__all__ = ["framed_like"]


def framed_like(X: Any, values: NDArray) -> Any:
    """Give `values` (n, d) as a DataFrame with the columns of `X`, if that is one."""
    if not hasattr(X, "columns"):
        return values
    frame: Any = type(X)
    if frame.__module__.partition(".")[0] == "polars":
        return frame(values, schema=list(X.columns))
    return frame(values, columns=X.columns)
