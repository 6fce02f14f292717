"""From a name or a path to rows of pixels, in four steps: read, arrange, choose, scale."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch, check_random_state

from .._utils.validation import check_integer, check_real
from ._choice import check_enough, hold_out, of_classes, stratified
from ._folders import read_folder
from ._forms import read_file
from ._labels import check_labels, name_labels
from ._layout import check_layout
from ._names import Arrays
from ._openml import NAMES, canonical_name, read_by_name
from ._pixels import check_pixel_range, scaled

__all__ = ["load_images"]


def load_images(
    source: str | os.PathLike = "digits",
    *,
    classes: Sequence[Any] | None = None,
    n_train: int | None = None,
    n_test: int | None = None,
    dtype: Any = np.float32,
    pixel_range: tuple[float, float] | None = None,
    channels_first: bool | None = None,
    test_size: float = 0.2,
    random_state: Any = 0,
) -> Bunch:
    """Load training and test images as rows of pixels in [0, 1].

    Parameters
    ----------
    source : {"digits", "mnist", "fashion_mnist", "cifar10"} or path, default="digits"
        scikit-learn's built-in 8x8 digits; a data set fetched from OpenML, under any common
        spelling of its name; or a file or folder (see Notes). ``"./mnist"`` is a folder.
    classes : sequence of labels or of their names, default=None
        Classes to keep. If None, all are kept.
    n_train, n_test : int, default=None
        Number of images to keep, of the classes that are kept. They are chosen at random in the
        proportions of the classes, with at least one training image of every class. If None, all
        images are kept, in their order. With the same `random_state`, a larger choice contains
        a smaller one.
    dtype : {np.float32, np.float64}, default=np.float32
        Type of the pixels.
    pixel_range : tuple of two floats, default=None
        Values of black and white, which become 0 and 1. If None, (0, 255) for integers and
        (0, 1) for floats and booleans, unless the values contradict that, which is an error.
    channels_first : bool, default=None
        Whether the stored images are (C, H, W) instead of (H, W, C). If None, their shape
        decides, with a warning if they are transposed, and an error if both are possible.
    test_size : float, default=0.2
        If the source has no test images: fraction of every class that is held out at random as
        test images.
    random_state : int, RandomState instance or None, default=0
        Determines the choice of images and of held-out images.

    Returns
    -------
    images : Bunch
        ``X_train`` (n, d), ``y_train`` (n,), ``X_test`` (m, d), ``y_test`` (m,),
        ``image_shape`` (H, W, C), and ``target_names``, a dict from the labels that were kept to
        their names. A row runs over height, then width, then channels.

    Raises
    ------
    ValueError
        If a file is damaged, of a format that is not read, or lacks an array; if the range of
        the pixels or the order of the axes is ambiguous; or if one of the classes has no image.
        The message names the file and the remedy.
    TypeError
        For a parameter or an array of the wrong type.
    MemoryError
        If the arrays would not fit in memory; raised before they are allocated.
    ImportError
        If the library that reads the format is not installed (``pip install 'skntk[data]'``).

    Notes
    -----
    Files are recognised by their content, whatever their names:

    - .npz, HDF5 and MATLAB files, by the names of their arrays: ``X_train``, ``y_train``,
      ``X_test``, ``y_test``, or ``x_train`` (Keras), ``train_images`` (MedMNIST), ``train/X``;
      or ``X`` and ``y``; and optionally ``target_names``
    - .npy images beside .npy labels (``labels.npy``, or the same name with ``y`` for ``X`` or
      ``labels`` for ``images``); CIFAR-10-C is split such that no image is on both sides
    - IDX images beside their labels, optionally compressed as .gz (MNIST as it is distributed)
    - the binary batches of CIFAR-10 and CIFAR-100 (fine labels)
    - CSV and parquet files with a column of labels, and columns of pixels or one of PNG files

    A folder contains such files, with ``train`` or ``data_batch`` and ``test`` or ``t10k`` in
    their names (or ``val`` if there is no test set); or a folder of pictures for every class; or
    folders ``train`` and ``test`` of these. Other files in it are ignored.

    Labels are not changed: SVHN stores the digit 0 as 10. Pickles are refused, with the code that
    converts them, since loading one can run arbitrary code.

    Examples
    --------
    >>> from skntk.datasets import load_images
    >>> digits = load_images("digits", classes=[3, 8], n_train=100)
    >>> digits.X_train.shape, digits.image_shape, digits.target_names
    ((100, 64), (8, 8, 1), {3: '3', 8: '8'})
    """
    limits = {"train": n_train, "test": n_test}
    _check_parameters(dtype, limits, channels_first, test_size)
    random = check_random_state(random_state)
    arrays = _read(source)
    if "X" in arrays:
        arrays = hold_out(arrays, test_size, random)
    images = {part: arrays[f"X_{part}"] for part in limits}
    labels = {part: check_labels(f"y_{part}", arrays[f"y_{part}"], images[part]) for part in limits}
    images = check_layout(images, channels_first)
    low, high = check_pixel_range(images, pixel_range)
    names = name_labels(labels["train"], arrays.get("target_names"))
    result = Bunch(image_shape=images["train"].shape[1:])
    for part, limit in limits.items():
        kept = of_classes(labels[part], classes, names, f"{part} image", source)
        if limit is not None:
            kept = kept[stratified(labels[part][kept], limit, random)]
        if part == "train":
            check_enough(limit, labels[part][kept], classes, names)
        X = scaled(images[part][kept], low, high)
        result[f"X_{part}"] = X.reshape(len(X), -1).astype(dtype)
        result[f"y_{part}"] = labels[part][kept]
    present = set(result.y_train.tolist())
    result.target_names = {label: name for label, name in names.items() if label in present}
    return result


def _check_parameters(
    dtype: Any, limits: dict[str, int | None], channels_first: Any, test_size: Any
) -> None:
    try:
        supported = np.dtype(dtype) in (np.float32, np.float64)
    except TypeError:
        supported = False
    if not supported:
        raise ValueError(f"dtype={dtype!r} is not supported; choose np.float32 or np.float64.")
    for part, limit in limits.items():
        if limit is not None:
            check_integer(f"n_{part}", limit, low=1)
    if channels_first is not None and not isinstance(channels_first, bool | np.bool_):
        raise TypeError(f"channels_first={channels_first!r} must be True, False or None.")
    if not check_real("test_size", test_size, low=0.0, strict=True) < 1:
        raise ValueError(f"test_size={test_size!r} is out of range; give a fraction below 1.")


def _read(source: str | os.PathLike) -> Arrays:
    """Read arrays, under their canonical names, from any kind of source."""
    if not isinstance(source, str | os.PathLike):
        raise TypeError(
            f"source must be a name or a path, got {type(source).__name__}; save arrays with "
            "np.savez(path, X_train=..., y_train=..., X_test=..., y_test=...)."
        )
    name = canonical_name(source)
    if name is not None:
        return read_by_name(name)
    path = Path(source).expanduser()
    if path.is_dir():
        return read_folder(path)
    if path.is_file():
        return read_file(path)
    raise ValueError(
        f"source={str(source)!r} is neither a file, nor a folder, nor one of "
        f"{', '.join(map(repr, NAMES))}."
    )
