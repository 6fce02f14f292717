"""DataFrames: arrays come back as what they came in as, so that feature names are checked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config

from .optional import import_for

__all__ = ["as_configured", "framed_like"]


def framed_like(X: Any, values: NDArray) -> Any:
    """Give `values` (n, d) as a frame with the columns of `X`, if that is one.

    Frames are those of pandas, with the index of `X` if it has as many rows, polars and Arrow.
    """
    if not hasattr(X, "columns"):
        return values
    values = np.asarray(values)
    frame: Any = type(X)
    library = frame.__module__.partition(".")[0]
    if library == "polars":
        return frame(values, schema=list(X.columns))
    if library == "pyarrow":
        return frame.from_arrays(list(values.T.copy()), names=X.column_names)
    index = X.index if len(X) == len(values) else None
    return frame(values, columns=X.columns, index=index)


def as_configured(X: Any, values: NDArray) -> Any:
    """Give `values` (n, d) as a frame where `X` is one and scikit-learn is told to give frames.

    That is ``sklearn.set_config(transform_output="pandas")``, or ``"polars"``, which chooses the
    library as well.
    """
    library = get_config()["transform_output"]
    if library == "default" or not hasattr(X, "columns"):
        return values
    names = X.column_names if hasattr(X, "column_names") else list(X.columns)
    module = import_for(f"transform_output={library!r}", library, extra="data")
    if library == "polars":
        return module.DataFrame(values, schema=names)
    return module.DataFrame(values, columns=names, index=getattr(X, "index", None))
