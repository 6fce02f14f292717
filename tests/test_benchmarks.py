"""Every target has a benchmark that can be called; none is run here."""

import argparse
import importlib
import json
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("flax")
pytest.importorskip("optax")


FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("p[0-9]*.py"))


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))


@pytest.fixture
def measure():
    return importlib.import_module("_measure")


@pytest.fixture
def table():
    return importlib.import_module("run")


def test_every_row_has_a_script(table):
    rows = [importlib.import_module(script).ROW.id for script in SCRIPTS]
    assert rows == [f"P{k}" for k in range(1, 14)]
    assert list(table.SCRIPTS) == rows


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_says_what_is_compared(script, capsys):
    module = importlib.import_module(script)
    with pytest.raises(SystemExit, match="0"):
        module.main(["--help"])
    text = capsys.readouterr().out
    assert text.count(f"{module.ROW.id}: ") == 1
    for word in ("Rival:", "Target:", "--reduced", "--json", "--repeats"):
        assert word in text


def test_medians_and_ratio_leave_out_the_first_call(measure):
    turns = measure.Turns([3.0, 1.0, 2.0], [10.0, 50.0, 8.0], 9.0, 10.5, (None, None))
    case = measure.case_of("a case", turns, "equal")
    assert (case.ours, case.rival, case.ratio) == (2.0, 10.0, 5.0)
    assert (case.first_ours, case.first_rival) == (7.0, 0.5)
    assert case.peak > 0
    quick_at_first = measure.Turns([2.0], [2.0], 1.0, 1.0, (None, None))
    assert measure.case_of("a case", quick_at_first, "equal").first_ours == 0


def test_programs_take_turns_and_change_places(measure):
    calls = []
    turns = measure.in_turn(lambda: calls.append("ours"), lambda: calls.append("rival"), 3)
    assert calls == ["ours", "rival", "ours", "rival", "rival", "ours", "ours", "rival"]
    assert (len(turns.ours), len(turns.rival)) == (3, 3)


def test_the_slower_program_is_the_slower(measure):
    options = argparse.Namespace(repeats=3)
    case = measure.compare(
        "a case", lambda: [2], lambda: time.sleep(0.01) or [1], options, measure.largest_difference
    )
    assert case.ratio > 1
    assert case.rival >= 0.01
    assert case.agreement == "1.0e+00 relative difference"


def test_memory_that_a_program_takes(measure):
    n_bytes = 200 * 2**20
    ones, memory = measure.memory_of(lambda: np.ones(n_bytes // 8))
    assert ones.nbytes == n_bytes
    # Another test may have had more before: then the peak says nothing of this one.
    assert memory["peak"] >= n_bytes
    assert 0 <= memory["growth"] <= memory["peak"]


def test_report(measure, table, tmp_path, capsys):
    row = measure.Row("P0", "nothing", "nobody", "2x")
    turns = measure.Turns([0.5], [1.0], 0.5, 1.0, (None, None))
    cases = [measure.case_of(name, turns, f"agreement of {name}") for name in ("first", "second")]
    cases.append(measure.Case("third", None, 7, None, "none", unit="MB", notes=["a note"]))
    file = tmp_path / "report.json"
    seen = []

    def measured(options):
        seen.append((options.reduced, options.repeats, options.n_train))
        return cases

    arguments = ["--json", str(file), "--reduced", "--n-train", "3"]
    measure.run(row, measured, "Doc.", arguments, n_train={"type": int})
    assert seen == [(True, 2, 3)]
    printed = capsys.readouterr().out
    for text in ("ratio       2", "skntk 0.5 s, rival 1 s", "agreement of second", "a note"):
        assert text in printed
    report = json.loads(file.read_text())
    assert [case["ratio"] for case in report["cases"]] == [2, 2, None]
    cells = table.line(report)
    assert len(cells) == len(table.HEADINGS)
    assert cells[4:6] == ["2 / 2 / -", "0.5, 1 s / 0.5, 1 s / 7, - MB"]
    assert cells[7] == "agreement of first / agreement of second / none"


def test_table_refuses_rows_that_there_are_not(table, capsys):
    with pytest.raises(SystemExit, match="2"):
        table.main(["P1", "p14"])
    assert "no such row: P14" in capsys.readouterr().err


def test_what_the_table_passes_on(table):
    options = argparse.Namespace(
        reduced=False, repeats=None, exact=True, mnist="m.npz", cifar_pair=None
    )
    assert table.command("P10", options, "r.json")[1:] == [
        *["--json", "r.json", "--data", "m.npz", "--exact"]
    ]
    assert table.command("P4", options, "r.json")[1:] == ["--json", "r.json"]
    assert table.command("P6", options, "r.json")[1:] == ["--json", "r.json"]
    for row, name in table.IMAGES.items():
        assert hasattr(options, name)
        assert "data=DATA" in table.SCRIPTS[row].read_text()
