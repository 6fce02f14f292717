"""The scripts of the paper's figures run on digits and write figures and claims."""

import json
import re
from pathlib import Path

import matplotlib.image
import pytest
from helpers import run_script

pytest.importorskip("flax")
pytest.importorskip("optax")

VERDICTS = {"holds", "does not hold", "not decidable at this scale"}
TINY = ["--n-train", "60", "--n-test", "40"]
TRAINED = [*TINY, "--epochs", "2", "--pgd-steps", "2"]
VARIANT = ["--network", "dense", "--schedule", "cosine", "--seed", "1"]


def run(script, *options, cwd):
    # Compilation takes most of the time of so short a run.
    quick = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    script = f"examples/paper/{script}.py"
    return run_script(script, "--out", "written", *options, cwd=cwd, **quick)


@pytest.mark.parametrize(
    ("script", "options", "figures", "pictures"),
    [
        (
            "fig01_02_04_features",
            [*TINY, "--kernels", "fc1", "fc2", "--planes", "fc2", "--n-scored", "60"],
            {"1", "2", "4"},
            ["fig01", "fig02_left", "fig02_right"],
        ),
        (
            "fig03_07_transfer",
            [*TINY, "--widths", "16", "32", "--epochs", "40", "--checkpoints", "3"],
            {"7a", "7b"},
            ["fig07a", "fig07b"],
        ),
        (
            "fig03_07_transfer",
            [*TINY, "--widths", "16", "--epochs", "40", "--classes", "3", "8", "--seeds", "0", "1"],
            {"3", "7b"},
            ["fig03", "fig07b"],
        ),
        (
            "fig08_09_planes",
            [*TINY, "--kernels", "fc1", "fc5", "--n-features", "20"],
            {"8"},
            ["fig08"],
        ),
        ("fig10_11_selection", TINY, {"10"}, ["fig10"]),
        ("fig10_11_selection", [*TINY, "--classes", "3", "8"], {"11"}, ["fig11"]),
        pytest.param(
            "fig05_06_13_14_15_dynamics",
            [*TRAINED, "--kernel-samples", "6", "--top", "2", "5"],
            {"5", "6", "13", "14", "15"},
            ["fig05_13", "fig06_distances", "fig06_14_polar", "fig15"],
            marks=pytest.mark.slow,
        ),
        (
            "fig05_06_13_14_15_dynamics",
            [*TRAINED, "--kernel-samples", "6", "--top", "2", "5", *VARIANT],
            {"5", "6", "13", "14", "15"},
            ["fig05_13", "fig06_distances", "fig06_14_polar", "fig15"],
        ),
        pytest.param("fig12_training", TRAINED, {"12"}, ["fig12"], marks=pytest.mark.slow),
        pytest.param(
            "fig16_linearized",
            [*TRAINED, "--linearize-at", "0", "1"],
            {"16"},
            ["fig16"],
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_script_writes_figures_and_claims(tmp_path, script, options, figures, pictures):
    result = run(script, *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    stem = "digits_dense_network_decaying_rate_seed_1" if VARIANT[0] in options else "digits"
    stem += "_classes_3_8" if "--classes" in options else ""
    content = json.loads((tmp_path / "written" / f"{script}_{stem}.json").read_text())
    assert {claim["figure"] for claim in content["claims"]} == figures
    for claim in content["claims"]:
        assert claim["verdict"] in VERDICTS
        assert all(claim[key] for key in ("claim", "paper", "here", "rule"))
        assert claim["verdict"].upper() in result.stdout and claim["here"] in result.stdout
    assert content["seconds"] > 0 and content["versions"]["jax"]
    assert content["scale"] == "small" and content["sizes"]["n_test"] <= 40
    assert "other images (digits)" in content["differs"]
    assert "n_test 40 (paper all)" in content["differs"] and "kernel fc1" not in content["differs"]
    assert {f"{name}_{stem}.png" for name in pictures} <= set(content["pictures"])
    for picture in content["pictures"]:
        assert matplotlib.image.imread(tmp_path / "written" / picture)[..., :3].std() > 0.01


def test_other_budgets_are_named(tmp_path):
    options = ["--eps", "0.2", "--eps-step", "0.01"]
    assert run("fig10_11_selection", *TINY, *options, cwd=tmp_path).returncode == 0
    content = json.loads((tmp_path / "written" / "fig10_11_selection_digits.json").read_text())
    assert "eps 0.2 (paper 0.1); eps_step 0.01 (paper 0.03)" in content["differs"]


def test_an_epoch_of_linearisation_that_never_comes_is_refused(tmp_path):
    result = run("fig16_linearized", "--epochs", "2", "--linearize-at", "0", "2", cwd=tmp_path)
    assert result.returncode != 0 and not (tmp_path / "written").exists()
    assert "--linearize-at 2 is none of the epochs 0 to 1" in result.stderr


def test_the_site_has_a_verdict_on_every_figure():
    reports = Path(__file__).parents[1] / "docs" / "paper_reports"
    claims = [c for path in reports.glob("*.json") for c in json.loads(path.read_text())["claims"]]
    assert {int(re.match(r"\d+", claim["figure"])[0]) for claim in claims} == set(range(1, 17))
    assert {claim["verdict"] for claim in claims} <= VERDICTS


def test_claims_of_an_empty_folder_are_refused(tmp_path):
    result = run_script("examples/paper/claims.py", tmp_path, cwd=tmp_path)
    assert result.returncode == 2 and "no JSON file of a figure" in result.stderr
