"""Tables with a column of labels, and a column for each pixel or one of PNG or JPEG files."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils.optional import import_for
from ._names import Arrays, Entry, FileError, canonical_array, check_size
from ._pictures import stack_pictures

__all__ = ["read_csv", "read_parquet"]

_ROWS = 10_000
#: Columns that number rows, as pandas writes its index.
_INDEX = re.compile(r"unnamed: \d+|index|id|image_?id|__index_level_\d+__", re.IGNORECASE)


def read_csv(path: Path) -> Arrays:
    """Read a CSV file with a header; all columns but the labels are pixels, in C order."""
    pandas = import_for("Reading CSV", "pandas", extra="data")
    blocks: list[NDArray] = []
    labels: list[NDArray] = []
    n_bytes = 0
    with pandas.read_csv(path, chunksize=_ROWS) as frames:
        for frame in frames:
            label = _label_column(path, [*frame.columns])
            if frame.empty:
                raise FileError(f"{str(path)!r} has a header and no rows.")
            pixels = frame.drop(columns=label)
            _check_pixels(path, pixels)
            # Counted twice: in blocks, and concatenated.
            n_bytes += 2 * pixels.to_numpy().nbytes
            check_size(path, Entry((n_bytes,), np.dtype(np.uint8), lambda: np.empty(0)))
            blocks.append(pixels.to_numpy())
            labels.append(_labels(path, label, frame[label].tolist()))
    return {"X": np.concatenate(blocks), "y": np.concatenate(labels)}


def _label_column(path: Path, names: Sequence[str]) -> str:
    found = [name for name in names if canonical_array(name) == "y"]
    if len(found) == 1:
        return found[0]
    if all(re.fullmatch(r"-?\d+(\.\d*)?(e[-+]?\d+)?", name) for name in names):
        raise FileError(
            f"{str(path)!r} has no header that names the column of labels; if it is the first, add "
            "one: pandas.read_csv(path, header=None).rename(columns={0: 'label'})"
            ".to_csv('images.csv', index=False)."
        )
    shown = ", ".join(map(repr, names[:8])) + (", ..." if len(names) > 8 else "")
    raise FileError(
        f"{str(path)!r} has {len(found) or 'no'} columns of labels among its {len(names)}: "
        f"{shown}; name one column 'label'."
    )


def _labels(path: Path, column: str, values: list[Any]) -> NDArray:
    """Labels as an array, in which a missing one would be the text 'nan'."""
    missing = sum(value is None or value != value for value in values)
    if missing:
        raise FileError(
            f"{str(path)!r} has no label in {missing} rows of {column!r}; leave them out: "
            f"frame.dropna(subset=[{column!r}])."
        )
    return np.asarray(values)


def _check_pixels(path: Path, pixels: Any) -> None:
    wrong = [
        name
        for name in pixels.columns
        if pixels[name].dtype.kind not in "biuf" or _INDEX.fullmatch(str(name))
    ]
    if wrong:
        raise FileError(
            f"{str(path)!r} has columns that are neither pixels nor labels: "
            f"{', '.join(map(repr, wrong[:5]))}; leave them out."
        )


def read_parquet(path: Path) -> Arrays:
    """Read a parquet file, such as Hugging Face's: labels, and pictures as bytes or pixels."""
    parquet = import_for("Reading parquet", "pyarrow.parquet", extra="data")
    with parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
        n_bytes = sum(
            file.metadata.row_group(k).total_byte_size for k in range(file.num_row_groups)
        )
        check_size(path, Entry((n_bytes,), np.dtype(np.uint8), lambda: np.empty(0)))
        label = _label_column(path, schema.names)
        table = file.read()
    pictures = [name for name in schema.names if canonical_array(name) == "X"]
    arrays = {"y": _labels(path, label, table[label].to_pylist())}
    if len(pictures) == 1:
        arrays["X"] = _decode(path, table[pictures[0]].to_pylist())
    else:
        pixels = table.drop_columns([label]).to_pandas()
        _check_pixels(path, pixels)
        arrays["X"] = pixels.to_numpy()
    names = _huggingface_names(schema.metadata, label)
    return arrays if names is None else arrays | {"target_names": np.array(names)}


def _decode(path: Path, cells: list[Any]) -> NDArray:
    """Decode pictures that are stored as bytes, or as Hugging Face's pairs of bytes and path."""
    contents: list[Any] = [cell.get("bytes") if isinstance(cell, dict) else cell for cell in cells]
    if not all(isinstance(content, bytes) for content in contents):
        raise FileError(
            f"{str(path)!r} has a column of images that are not PNG or JPEG bytes; store such "
            "bytes, or one column for each pixel."
        )
    names = [f"image {k} of {str(path)!r}" for k in range(len(contents))]
    return stack_pictures(names, [io.BytesIO(content) for content in contents])


def _huggingface_names(metadata: Any, label: str) -> list[str] | None:
    stored = json.loads((metadata or {}).get(b"huggingface", "{}"))
    feature = stored.get("info", {}).get("features", {}).get(label, {})
    return feature.get("names")
