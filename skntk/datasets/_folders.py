"""Folders of files named for training and test, or of one folder of pictures for every class."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ._binary import idx_entry
from ._forms import PICTURES, damage_named, read_single, recognise
from ._names import (
    Arrays,
    Entry,
    FileError,
    canonical_array,
    complete,
    names_part,
    part_of,
    read_entries,
)
from ._numpy import npy_entry
from ._pictures import read_classes

__all__ = ["read_folder"]


def read_folder(folder: Path) -> Arrays:
    """Read training and test images, or a single set of images, from a folder."""
    children = [child for child in sorted(folder.iterdir()) if not child.name.startswith(".")]
    _check_links(folder, children)
    parts: dict[str | None, list[Path]] = {}
    for child in children:
        if child.is_dir():
            parts.setdefault(part_of(child.name), []).append(child)
    if "train" in parts and {"test", "val"} & parts.keys():
        chosen = ["train", "test" if "test" in parts else "val"]
        return complete(folder, _read_parts({part: _single(parts[part]) for part in chosen}))
    if classes := _classes(folder):
        return read_classes(folder, classes)
    return complete(folder, _read_files(folder, [c for c in children if c.is_file()]))


def _single(folders: list[Path]) -> Path:
    if len(folders) > 1:
        names = " and ".join(repr(folder.name) for folder in folders)
        raise FileError(
            f"{str(folders[0].parent)!r} has several folders of one part, {names}; move the "
            "others away."
        )
    return folders[0]


def _check_links(folder: Path, children: list[Path]) -> None:
    """Raise for links out of the folder, which an unpacked archive may contain."""
    root = folder.resolve()
    for child in children:
        if child.is_symlink() and not child.resolve().is_relative_to(root):
            raise FileError(
                f"{str(child)!r} is a symbolic link out of its folder, which is not followed; "
                "replace it by a copy of its target."
            )


def _classes(folder: Path) -> dict[str, list[Path]]:
    """Pictures of every subfolder that contains any, sorted by name."""
    classes = {}
    for child in sorted(folder.iterdir()):
        if child.is_dir() and not child.name.startswith("."):
            files = sorted(p for p in child.iterdir() if p.suffix.lower() in PICTURES)
            _check_links(folder, files)
            if files:
                classes[child.name] = files
    return classes


def _read_parts(parts: dict[str, Path]) -> Arrays:
    """Read folders ``train`` and ``test``, whose classes are the same."""
    classes = {part: _classes(path) for part, path in parts.items()}
    names = sorted({name for own in classes.values() for name in own})
    arrays: Arrays = {}
    for part, path in parts.items():
        if not classes[part]:
            raise FileError(
                f"{str(path)!r} has no folders of pictures; give it one for every class."
            )
        all_classes = {name: classes[part].get(name, []) for name in names}
        arrays |= names_part(read_classes(path, all_classes), part)
    return arrays


def _read_files(folder: Path, files: list[Path]) -> Arrays:
    """Read arrays from files, and concatenate those of numbered files."""
    files = [file for file in files if file.with_name(file.name + ".gz") != file]
    unpacked = {file.name for file in files}
    files = [file for file in files if file.name.removesuffix(".gz") not in unpacked - {file.name}]
    forms = {file: recognise(file) for file in files}
    single = {file: form for file, form in forms.items() if form in ("npy", "IDX")}
    entries = {name: _entry(file, form) for file, form in single.items() for name in [_name(file)]}
    named = {name: entry for name, entry in entries.items() if canonical_array(name)}
    arrays = read_entries(folder, named) if named else {}
    read: dict[Path, Arrays] = {}
    for file in _batches(folder, [file for file in files if file not in single]):
        read[file] = names_part(read_single(file), part_of(_stem(file)))
    arrays = _joined(folder, arrays, read)
    if not arrays:
        _refuse(folder, forms)
    return arrays


def _name(file: Path) -> str:
    """Name of the array in a file; MNIST's files have names like ``train-images-idx3-ubyte``."""
    return re.sub(r"[-.]idx\d-ubyte$", "", _stem(file))


def _stem(file: Path) -> str:
    return file.name.removesuffix(".gz").rpartition(".")[0] or file.name.removesuffix(".gz")


def _entry(file: Path, form: str) -> Entry:
    with damage_named(file, form):
        return npy_entry(file) if form == "npy" else idx_entry(file)


def _batches(folder: Path, files: list[Path]) -> list[Path]:
    """Files of each part; a part may have several files if their names differ only in numbers."""
    chosen: list[Path] = []
    by_part: dict[str, list[Path]] = {}
    for file in files:
        part = part_of(_stem(file))
        if part is not None and file.suffix not in (".txt", ".html", ".md", ".json"):
            by_part.setdefault(part, []).append(file)
    for part, own in by_part.items():
        if len({re.sub(r"\d+", "#", file.name) for file in own}) > 1:
            raise FileError(
                f"{str(folder)!r} has several files of its {part} images: "
                f"{', '.join(file.name for file in own[:5])}; pass one of them, or move the "
                "others away."
            )
        _check_shards(folder, own)
        chosen += sorted(own, key=lambda file: [int(n) for n in re.findall(r"\d+", file.name)])
    return chosen


def _check_shards(folder: Path, files: list[Path]) -> None:
    """Raise if some of the files with names like ``train-00000-of-00003`` are missing."""
    numbers = re.search(r"\d+-of-(\d+)", files[0].name)
    if numbers and len(files) != int(numbers[1]):
        raise FileError(
            f"{str(folder)!r} has {len(files)} of the {int(numbers[1])} files like "
            f"{files[0].name!r}; fetch the others."
        )


def _joined(folder: Path, arrays: Arrays, batches: dict[Path, Arrays]) -> Arrays:
    """Put the arrays of batches together, and those of files of their own beside them."""
    pieces: dict[str, list[NDArray]] = {}
    for file, batch in batches.items():
        for name, array in batch.items():
            if name in arrays and name != "target_names":
                raise FileError(
                    f"{str(folder)!r} has {name} in a file of its own and in {file.name!r}; move "
                    "one of them away."
                )
            before = pieces.setdefault(name, [])
            if before and before[0].shape[1:] != array.shape[1:]:
                raise FileError(
                    f"{name} in {str(file)!r} has shape {array.shape}, and in the files before "
                    f"{before[0].shape}; bring all to one size."
                )
            before.append(array)
    joined = {
        name: own[-1] if name == "target_names" else np.concatenate(own)
        for name, own in pieces.items()
    }
    return arrays | joined


def _refuse(folder: Path, forms: dict[Path, str]) -> None:
    """Raise an error that lists the files found; for a pickle or archive, say how to convert it."""
    for file, form in forms.items():
        if form in ("pickle", "PyTorch", "tar", "archive", "Arrow"):
            read_single(file)
    listed = [f"{file.name} ({form})" for file, form in forms.items()]
    listed += [f"{path.name}/" for path in sorted(folder.iterdir()) if path.is_dir()]
    found = ", ".join(listed[:8])
    raise FileError(
        f"{str(folder)!r} has neither files named for training and test ('train', 'test') nor a "
        f"folder of pictures for every class; it holds {found or 'no files'}. Give one of "
        "these, or name them."
    )
