"""The rules that judge the paper's claims, on made-up numbers; and the table of claims."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

PAPER = Path(__file__).parents[1] / "examples" / "paper"


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(PAPER)
    import _rules
    import claims

    yield _rules, claims
    for name in ("_rules", "claims"):
        sys.modules.pop(name)


@pytest.fixture
def rules(scripts):
    return scripts[0]


def test_judge(rules):
    assert rules.judge(0.2, 0.1) == "holds"
    assert rules.judge(-0.2, 0.1) == "does not hold"
    for margin, error, decidable in ((0.05, 0.1, True), (0.2, 0.1, False), (np.nan, 0, True)):
        assert rules.judge(margin, error, decidable) == "not decidable at this scale"


def test_above_and_below_say_what_they_compare(rules):
    finding = rules.above("cosine", 0.9, 0.7, 0.1, unless="today")
    assert finding.here == "cosine: 0.9" and finding.verdict == rules.HOLDS
    assert finding.rule == "above 0.7 by more than 0.1; not decidable today"
    assert rules.below("cosine", 0.9, 0.7).verdict == rules.FAILS
    assert rules.below("cosine", 0.5, 0.7).verdict == rules.HOLDS


def test_sampling_error(rules):
    assert rules.sampling_error([0.5], 100) == pytest.approx(0.1)
    assert rules.sampling_error([0.5, 0.5], 100) == pytest.approx(0.1 * np.sqrt(2))


def test_robustness_at_the_top(rules):
    falling, rising = np.linspace(1, 0, 50), np.linspace(0, 1, 50)
    assert rules.robustness_at_the_top({"a": falling}).verdict == rules.HOLDS
    assert rules.robustness_at_the_top({"a": falling, "b": rising}).verdict == rules.FAILS
    constant = {"a": np.zeros(50)}
    assert rules.robustness_at_the_top(constant).verdict == rules.UNDECIDED


def test_useful_not_robust(rules):
    useful, fragile = np.full(100, 0.8), np.zeros(100)
    assert rules.useful_not_robust(useful, fragile, 0.5, 400).verdict == rules.HOLDS
    assert rules.useful_not_robust(useful, useful, 0.5, 400).verdict == rules.FAILS
    assert rules.useful_not_robust(fragile, fragile, 0.5, 400).verdict == rules.FAILS


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ([(0.7, 0.0, 400)] * 4, "holds"),
        ([(0.7, 0.0, 400)] * 3, "does not hold"),
        ([(0.7, 0.0, 400)] * 3 + [(0.7, 0.4, 400)], "does not hold"),
        ([(0.7, 0.0, 400)] * 3 + [(0.4, 0.0, 400)], "does not hold"),
        ([(0.7, 0.0, 400)] * 3 + [(0.52, 0.0, 400)], "not decidable at this scale"),
        ([], "does not hold"),
    ],
)
def test_useful_for_classes(rules, found, verdict):
    assert rules.useful_for_classes(found, n_wanted=4).verdict == verdict


def test_second_phase(rules):
    assert rules.second_phase([1, 0.5, 0.09, 0.05]) == 2
    assert rules.second_phase([1, 0.05, 0.2, 0.05]) == 3
    assert rules.second_phase([1, 0.05, 0.2]) is None
    early, late, never = [1, 0.01, 0.01, 0.01], [1, 0.5, 0.5, 0.01], [1, 1, 1, 1]
    assert rules.earlier_second_phase(late, early).verdict == rules.HOLDS
    assert rules.earlier_second_phase(never, early).verdict == rules.HOLDS
    assert rules.earlier_second_phase(early, late).verdict == rules.FAILS
    assert rules.earlier_second_phase(never, never).verdict == rules.UNDECIDED


def test_no_trade(rules):
    clean = [0.2, 0.6, 0.9]
    assert rules.no_trade(clean, [0.2, 0.1, 0.0], 0.1, 400).verdict == rules.HOLDS
    assert rules.no_trade(clean, [0.2, 0.58, 0.0], 0.1, 400).verdict == rules.FAILS
    # A machine that is not accurate does not count, and a full machine that is robust decides
    # nothing.
    assert rules.no_trade([0.2, 0.6, 0.9], [0.9, 0.1, 0.0], 0.1, 400).verdict == rules.HOLDS
    assert rules.no_trade(clean, [0.2, 0.6, 0.8], 0.1, 400).verdict == rules.UNDECIDED


def test_sweet_spot(rules):
    assert rules.sweet_spot([0.3, 0.6, 0.0], 400).verdict == rules.HOLDS
    assert rules.sweet_spot([0.3, 0.31, 0.3], 400).verdict == rules.UNDECIDED
    # All features are then the best machine: nothing is gained.
    assert rules.sweet_spot([0.3, 0.4, 0.6], 400).verdict == rules.UNDECIDED


def test_tables_of_claims_and_runs(scripts, tmp_path):
    _, claims = scripts
    claim = {
        "claim": "It is_so",
        "paper": "so",
        "here": "x: 1",
        "verdict": "holds",
        "rule": "above 0",
    }
    shared = {"data": "digits", "n_classes": 10, "eps": 0.1, "differs": "n_test 5 (paper all)"}
    for name, figures, variant in (("a", ["12", "7b"], ""), ("b", ["2", "7a"], "seed 1")):
        content = {"claims": [claim | {"figure": f} for f in figures], "seconds": 3.4} | shared
        content["variant"] = variant
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    rows, runs = claims.read([tmp_path])
    assert [row[0] for row in rows] == ["2", "7a", "7b", "12"]
    differs = "10 classes, eps 0.1; n_test 5 (paper all)"
    assert runs == [["2, 7a", "digits, seed 1", differs, "3"], ["7b, 12", "digits", differs, "3"]]
    lines = claims.table(claims.CLAIMS, rows).splitlines()
    assert lines[0] == ".. list-table::"
    first = lines.index("   * - 2")
    assert lines[first + 1 : first + 6] == [
        "     - digits, seed 1",
        "     - It is\\_so",
        "     - so",
        "     - x: 1",
        "     - **holds** (above 0)",
    ]
