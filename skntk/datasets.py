"""Images for examples and experiments: scikit-learn's digits, OpenML, or a local file."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import fetch_openml, load_digits
from sklearn.utils import Bunch

from ._utils.validation import check_integer

__all__ = ["load_images"]

_ARRAYS = ("X_train", "y_train", "X_test", "y_test")

#: OpenML name, sample shape as stored, and number of training images, which come first.
_OPENML: dict[str, tuple[str, tuple[int, ...], int]] = {
    "mnist": ("mnist_784", (28, 28, 1), 60_000),
    "cifar10": ("CIFAR_10", (3, 32, 32), 50_000),
}


def load_images(
    source: str | os.PathLike = "digits",
    *,
    classes: Sequence[Any] | None = None,
    n_train: int | None = None,
    n_test: int | None = None,
    dtype: Any = np.float32,
) -> Bunch:
    """Training and test images as rows of pixels in [0, 1].

    Parameters
    ----------
    source : {"digits", "mnist", "cifar10"} or path, default="digits"
        scikit-learn's built-in 8x8 digits; a data set fetched from OpenML; or an .npz file
        with ``X_train``, ``y_train``, ``X_test``, ``y_test`` (images of shape (H, W) or
        (H, W, C), uint8 or in [0, 1]) and optionally ``target_names``.
    classes : sequence of labels, default=None
        Keep only these; None: all.
    n_train, n_test : int, default=None
        Keep the first so many, after the choice of classes; None: all.
    dtype : {np.float32, np.float64}, default=np.float32
        Type of the pixels.

    Returns
    -------
    images : Bunch
        ``X_train`` (n, d), ``y_train`` (n,), ``X_test`` (m, d), ``y_test`` (m,),
        ``image_shape`` (H, W, C), ``target_names`` (dict from label to name).

    Raises
    ------
    ValueError
        If the file is damaged, lacks an array or holds anything but images, or if there is
        no image of one of the classes.

    Examples
    --------
    >>> from skntk.datasets import load_images
    >>> digits = load_images("digits", classes=[3, 8], n_train=100)
    >>> digits.X_train.shape, digits.image_shape
    ((100, 64), (8, 8, 1))
    """
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise ValueError(f"dtype={dtype!r} is not supported; choose np.float32 or np.float64.")
    limits = {"train": n_train, "test": n_test}
    for part, limit in limits.items():
        if limit is not None:
            check_integer(f"n_{part}", limit, low=1)
    images = _load(source)
    for part, limit in limits.items():
        X, y = images[f"X_{part}"], images[f"y_{part}"]
        kept = _of_classes(y, classes, f"{part} image", source)[:limit]
        images[f"X_{part}"] = _as_pixels(X[kept], dtype)
        images[f"y_{part}"] = y[kept]
    return images


def _load(source: str | os.PathLike) -> Bunch:
    if source == "digits":
        return _load_digits()
    if isinstance(source, str) and source in _OPENML:
        return _fetch(source)
    if not Path(source).is_file():
        raise ValueError(
            f"source={str(source)!r} is neither a file nor one of 'digits', "
            f"{', '.join(map(repr, _OPENML))}; give the path of an .npz file."
        )
    return _load_file(source)


def _load_file(path: str | os.PathLike) -> Bunch:
    arrays = _read_npz(path)
    missing = [name for name in _ARRAYS if name not in arrays]
    if missing:
        raise ValueError(
            f"{str(path)!r} lacks {', '.join(missing)}; it needs {', '.join(_ARRAYS)}."
        )
    names = arrays.pop("target_names", None)
    for part in ("train", "test"):
        _check_images(f"X_{part}", arrays[f"X_{part}"], arrays["X_train"].shape[1:])
        n_images, labels = len(arrays[f"X_{part}"]), arrays[f"y_{part}"]
        if labels.shape != (n_images,):
            raise ValueError(
                f"y_{part} has shape {labels.shape} for {n_images} images in X_{part}; give one "
                "label an image."
            )
    return _bunch(arrays, None if names is None else names.tolist())


def _read_npz(path: str | os.PathLike) -> dict[str, NDArray]:
    # np.load would leave a file open in which it finds no archive.
    with open(path, "rb") as file:
        try:
            if not zipfile.is_zipfile(file):
                raise zipfile.BadZipFile
            file.seek(0)
            with np.load(file, allow_pickle=False) as stored:
                return {name: stored[name] for name in (*_ARRAYS, "target_names") if name in stored}
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise ValueError(
                f"{str(path)!r} is damaged or no .npz file; write it with np.savez."
            ) from error


def _check_images(name: str, X: NDArray, image_shape: tuple[int, ...]) -> None:
    """Raise unless `X` holds images of that shape, as bytes or fractions."""
    if X.ndim not in (3, 4):
        raise ValueError(
            f"{name} has shape {X.shape}; give images of shape (H, W) or (H, W, C), one a row."
        )
    if X.shape[1:] != image_shape:
        raise ValueError(f"{name} has images of shape {X.shape[1:]}, and X_train {image_shape}.")
    if X.dtype == np.uint8:
        return
    if X.dtype.kind not in "biuf" or not (X.min(initial=0) >= 0 and X.max(initial=0) <= 1):
        raise ValueError(
            f"{name} holds {X.dtype} values that are not all within [0, 1]; store bytes as uint8, "
            "or divide by the largest."
        )


def _load_digits() -> Bunch:
    digits = load_digits()
    images, labels = digits.images / 16, digits.target
    # The file is ordered by writer: the last third are writers the first have not seen.
    split = 1200
    return _bunch(
        {
            "X_train": images[:split],
            "y_train": labels[:split],
            "X_test": images[split:],
            "y_test": labels[split:],
        }
    )


def _fetch(name: str) -> Bunch:
    openml_name, shape, split = _OPENML[name]
    X, y = fetch_openml(openml_name, version=1, as_frame=False, return_X_y=True)
    X = X.reshape(-1, *shape).astype(np.uint8)
    if shape[0] == 3:  # CIFAR-10 is stored channel by channel
        X = X.transpose(0, 2, 3, 1)
    y = y.astype(int)
    return _bunch(
        {"X_train": X[:split], "y_train": y[:split], "X_test": X[split:], "y_test": y[split:]}
    )


def _bunch(arrays: dict[str, NDArray], names: list[str] | None = None) -> Bunch:
    shape = arrays["X_train"].shape[1:]
    labels = np.unique(arrays["y_train"]).tolist()
    names = names if names is not None and len(names) == len(labels) else list(map(str, labels))
    return Bunch(
        image_shape=shape if len(shape) == 3 else (*shape, 1),
        target_names=dict(zip(labels, names, strict=True)),
        **arrays,
    )


def _of_classes(y: NDArray, classes: Sequence[Any] | None, what: str, source: Any) -> NDArray:
    """Indices of the samples of some classes, each of which must be there."""
    present = np.unique(y).tolist()
    wanted = present if classes is None else list(classes)
    missing = [label for label in wanted if label not in present]
    if missing or not wanted:
        raise ValueError(f"No {what} of classes={missing} in {str(source)!r}; it has {present}.")
    return np.flatnonzero(np.isin(y, wanted))


def _as_pixels(X: NDArray, dtype: Any) -> NDArray:
    flat = X.reshape(len(X), -1)
    return (flat / 255).astype(dtype) if X.dtype == np.uint8 else flat.astype(dtype)
