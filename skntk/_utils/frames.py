"""DataFrames: arrays come back as what they came in as, so that feature names are checked."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

__all__ = ["framed_like"]


def framed_like(X: Any, values: NDArray) -> Any:
    """Give `values` (n, d) as a frame with the columns of `X`, if that is one.

    Frames are those of pandas, polars and Arrow.
    """
    if not hasattr(X, "columns"):
        return values
    frame: Any = type(X)
    library = frame.__module__.partition(".")[0]
    if library == "polars":
        return frame(values, schema=list(X.columns))
    if library == "pyarrow":
        return frame.from_arrays(list(values.T.copy()), names=X.column_names)
    return frame(values, columns=X.columns)
