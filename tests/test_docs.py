"""The site's reference lists every public name."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = [
    "kernels",
    "networks",
    "metrics",
    "inspection",
    "interop",
    "datasets",
    "transfer",
    "attacks",
]


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_every_public_name_is_in_the_reference(room):
    reference = (ROOT / "docs" / "api" / "index.rst").read_text(encoding="utf-8")
    listed = set(re.findall(r"^   ([\w.]+)$", reference, re.MULTILINE))
    pytest.importorskip("flax") if room == "networks" else None
    module = importlib.import_module(f"skntk.{room}".rstrip("."))
    missing = {name for name in module.__all__ if not {name, f"{room}.{name}"} & listed}
    assert not missing


def test_every_example_is_in_the_gallery_and_in_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in sorted((ROOT / "examples").glob("*.py")):
        assert f"examples/{path.name}" in readme, path.name
