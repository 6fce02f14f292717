"""What a release says of itself agrees: version, changelog, citation."""

import re
from pathlib import Path

import skntk

ROOT = Path(__file__).parents[1]


def test_changelog_and_citation_have_the_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(\d[^]]*)\]", changelog, re.MULTILINE)
    assert released[0] == skntk.__version__
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {skntk.__version__}\n" in citation
