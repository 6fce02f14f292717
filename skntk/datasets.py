"""Images for examples and experiments: scikit-learn's digits, OpenML, or a local file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import fetch_openml, load_digits
from sklearn.utils import Bunch

from ._validation import check_integer

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
        If the file lacks an array or nothing is left.

    Examples
    --------
    >>> from skntk.datasets import load_images
    >>> digits = load_images("digits", classes=[3, 8], n_train=100)
    >>> digits.X_train.shape, digits.image_shape
    ((100, 64), (8, 8, 1))
    """
    images = _load(source)
    for part, limit in (("train", n_train), ("test", n_test)):
        X, y = images[f"X_{part}"], images[f"y_{part}"]
        if classes is not None:
            kept = np.isin(y, list(classes))
            X, y = X[kept], y[kept]
        if limit is not None:
            check_integer(f"n_{part}", limit, low=1)
            X, y = X[:limit], y[:limit]
        if len(X) == 0:
            raise ValueError(
                f"No {part} image of classes={classes!r} in {str(source)!r}; it has "
                f"{np.unique(images[f'y_{part}']).tolist()!r}."
            )
        images[f"X_{part}"] = _as_pixels(X, dtype)
        images[f"y_{part}"] = y
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
    with np.load(source, allow_pickle=False) as stored:
        missing = [name for name in _ARRAYS if name not in stored]
        if missing:
            raise ValueError(
                f"{str(source)!r} lacks {', '.join(missing)}; it needs {', '.join(_ARRAYS)}."
            )
        arrays = {name: stored[name] for name in _ARRAYS}
        names = stored["target_names"].tolist() if "target_names" in stored else None
    return _bunch(arrays, names)


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


def _as_pixels(X: NDArray, dtype: Any) -> NDArray:
    flat = X.reshape(len(X), -1)
    return (flat / 255).astype(dtype) if X.dtype == np.uint8 else flat.astype(dtype)
