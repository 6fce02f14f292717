"""The examples on networks run and write their figure."""

import matplotlib.image
import pytest
from helpers import run_script

pytest.importorskip("flax")
pytest.importorskip("optax")

TINY = ["--n-train", "60", "--n-test", "20"]
TINY_TRAINING = [*TINY, "--epochs", "2", "--pgd-steps", "2"]
PAIR = ["--epochs", "2", "--checkpoints", "2", "--no-centering", "--learning-rate", "0.01"]


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        (
            "transfer_attack",
            [*TINY, "--widths", "16", "32", "--epochs", "4", "--checkpoints", "2"],
            ["10 classes", "width 16", "width 32", "cosine"],
        ),
        (
            "transfer_attack",
            [*TINY, "--widths", "16", "--classes", "3", "8", *PAIR],
            ["2 classes", "learning rate 0.01"],
        ),
        (
            "adversarial_training",
            [*TINY_TRAINING, "--adversary", "none", "fgsm", "pgd", "--eps-step", "0.1"],
            ["standard", "FGSM", "PGD-2 ", "PGD-20"],
        ),
        (
            "features_over_time",
            [*TINY, "--epochs", "2", "--kernel-samples", "20", "--width", "8", "--top", "3"],
            ["PGD-10", "of the final top space"],
        ),
        (
            "linearized_training",
            [*TINY_TRAINING, "--linearize-at", "0", "--adversary", "fgsm", "--no-shuffle"],
            ["linearised at   0", "lowest since"],
        ),
    ],
    ids=["transfer", "transfer-pair", "adversarial", "features", "linearized"],
)
def test_example_writes_its_picture(tmp_path, name, options, says):
    picture = tmp_path / "picture.png"
    # Compilation takes most of the time of so short a run.
    quick = {"XLA_FLAGS": "--xla_cpu_use_fusion_emitters=false"}
    script = f"examples/plot_{name}.py"
    result = run_script(script, *options, "--output", picture, cwd=tmp_path, **quick)
    assert result.returncode == 0, result.stderr
    for text in [*says, f"saved {picture}"]:
        assert text in result.stdout, result.stdout
    assert "nan" not in result.stdout.lower()
    pixels = matplotlib.image.imread(picture)
    assert min(pixels.shape[:2]) > 100 and pixels[..., :3].std() > 0.01


@pytest.mark.parametrize("epoch", ["2", "-1"])
def test_an_epoch_of_linearisation_that_never_comes_is_refused_before_training(tmp_path, epoch):
    options = [*TINY_TRAINING, "--linearize-at", "0", epoch]
    result = run_script("examples/plot_linearized_training.py", *options, cwd=tmp_path)
    assert result.returncode == 2 and result.stdout == ""
    assert f"--linearize-at {epoch} is no epoch of --epochs 2" in result.stderr
