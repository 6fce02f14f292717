"""The code in the README runs as it stands, block after block."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.slow
def test_blocks_of_code_run():
    pytest.importorskip("flax")
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 2
    names = {}
    for block in blocks:
        exec(compile(block, README.name, "exec"), names)
    assert names["clf"].score(names["X_test"], names["y_test"]) > 0.9
    assert names["result"].robust_accuracy[-1] < 0.5
    network, y_test = names["network"], names["y_test"]
    assert network.score(names["X_test"], y_test) > 0.9
    assert network.score(names["transferred"], y_test) < 0.8


def test_links_lead_to_files():
    targets = re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8"))
    assert len(targets) > 5
    missing = [t for t in targets if "//" not in t and not (README.parent / t).exists()]
    assert not missing
