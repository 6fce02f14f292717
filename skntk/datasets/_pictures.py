"""Pictures as arrays, read by Pillow: all of one size, and all grey or all in colour."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._utils.optional import import_for
from ._names import Entry, FileError, check_size

__all__ = ["read_classes", "stack_pictures"]

_GREY, _DEEP_GREY = ("1", "L"), ("I;16", "I")


def read_classes(folder: Path, classes: dict[str, list[Path]]) -> dict[str, NDArray]:
    """Read the pictures of every class; its label is its position among the classes."""
    paths = [path for files in classes.values() for path in files]
    counts = [len(files) for files in classes.values()]
    names = [repr(str(path)) for path in paths]
    return {
        "X": stack_pictures(names, paths),
        "y": np.repeat(np.arange(len(classes)), counts),
        "target_names": np.array(list(classes)),
    }


def stack_pictures(names: Sequence[str], sources: Sequence[Path | io.BytesIO]) -> NDArray:
    """Pixels (n, H, W) of grey pictures, or (n, H, W, 3) if any of them is in colour.

    Headers are read first, so that nothing is decoded that would not fit in memory.

    Raises
    ------
    FileError
        If a picture is damaged, of another size, or transparent.
    """
    headers = [_read(name, source, _header) for name, source in zip(names, sources, strict=True)]
    if not headers:
        raise FileError("There is no picture to read.")
    size, _ = headers[0]
    for name, (other, _) in zip(names, headers, strict=True):
        if other != size:
            raise FileError(
                f"{name} is {other[0]} x {other[1]} pixels, and {names[0]} {size[0]} x {size[1]}; "
                "resize all to one size: PIL.Image.open(path).resize((width, height))."
            )
    mode = _common_mode({mode for _, mode in headers})
    shape = (len(names), size[1], size[0], *([3] if mode == "RGB" else []))
    dtype = np.dtype(np.uint16 if mode == "I;16" else np.uint8)
    entry = Entry(shape, dtype, lambda: np.empty(shape, dtype))
    check_size(Path(names[0].strip("'")), entry)
    stack = entry.read()
    for row, name, source in zip(stack, names, sources, strict=True):
        row[...] = _read(name, source, lambda image: _pixels(image, mode))
    return stack


def _header(image: Any) -> tuple[tuple[int, int], str]:
    # Phones put a second, smaller picture into theirs, in the form MPO.
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        raise FileError(f"it holds {image.n_frames} pictures; save each in a file of its own")
    if image.mode == "F":
        raise FileError("its pixels are floats; save them all as .npy instead: np.asarray(image)")
    return image.size, image.mode


def _common_mode(modes: set[str]) -> str:
    if modes <= {*_GREY}:
        return "L"
    return "I;16" if modes <= {*_DEEP_GREY} else "RGB"


def _pixels(image: Any, mode: str) -> NDArray:
    if image.has_transparency_data and _alpha(image).min() < 255:
        raise FileError("it is transparent in places; put it on a background of one colour")
    if mode == "RGB" and image.mode in _DEEP_GREY:
        raise FileError("it has 16 bits a pixel, and others have 8; convert it")
    if mode != "I;16":
        return np.asarray(image.convert(mode))
    pixels = np.asarray(image)
    if pixels.min() < 0 or pixels.max() >= 2**16:
        raise FileError("it has 32 bits a pixel and uses more than 16; save them all as .npy")
    return pixels


def _alpha(image: Any) -> NDArray:
    return np.asarray(image.convert("RGBA").getchannel("A"))


def _read(name: str, source: Any, what: Any) -> Any:
    """Apply a function to an opened picture."""
    pillow = import_for("Reading pictures", "PIL.Image", extra="data")
    if isinstance(source, io.BytesIO):
        source.seek(0)
    try:
        with pillow.open(source) as image:
            return what(image)
    except FileError as error:
        raise FileError(f"{name} cannot be read: {error}.") from None
    # Pillow raises OSError, SyntaxError, ValueError, its own bomb error, ... for damaged files.
    except Exception as error:
        raise FileError(
            f"{name} is damaged, or not a picture ({error}); replace it or remove it."
        ) from error
