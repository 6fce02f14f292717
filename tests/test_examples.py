"""The examples on kernels run on tiny data and write their figures."""

import matplotlib.image
import numpy as np
import pytest
from helpers import ROOT, run_script

TINY = ["--n-train", "40", "--n-test", "16"]
GRADIENT_PICTURES = ["gradients_top.png", "gradients_perturbation.png", "gradients_deep.png"]


def run(name, *options, cwd):
    return run_script(f"examples/plot_{name}.py", *options, cwd=cwd)


def check(result, folder, pictures, says):
    assert result.returncode == 0, result.stderr
    for text in says:
        assert text in result.stdout, result.stdout
    assert "nan" not in result.stdout.lower()
    assert sorted(path.name for path in folder.glob("*.png")) == sorted(pictures)
    for picture in pictures:
        assert picture in result.stdout
        pixels = matplotlib.image.imread(folder / picture)
        assert min(pixels.shape[:2]) > 100
        assert pixels[..., :3].std() > 0.01


@pytest.mark.parametrize(
    ("name", "options", "pictures", "says"),
    [
        (
            "ntk_attack",
            ["--output", "attack.png", "--curve", "curve.png"],
            ["attack.png", "curve.png"],
            ["FGSM", "PGD-10", "worst case", "40 train"],
        ),
        ("evaluation", [], ["evaluation.png"], ["planted: found", "zero", "lead astray"]),
        ("robust_features", ["--kernels", "fc1"], ["robust_features.png"], ["fc1", "rank corr."]),
        (
            "feature_gradients",
            ["--kernels", "fc1", "two_layer", "--output", "gradients"],
            GRADIENT_PICTURES,
            ["features: 40", "useful: ", "accuracy"],
        ),
        (
            "robust_selection",
            ["--output", "selection.png"],
            ["selection.png"],
            ["held-out samples", "transferred PGD"],
        ),
        (
            "kernel_comparison",
            ["--kernels", "fc1", "fc2", "--top", "3"],
            ["kernel_comparison.png"],
            ["fc1, fc2", "principal angles of the top 3"],
        ),
        (
            "regression_risk",
            [],
            ["regression_risk.png"],
            ["spread", "the risk under attack is", "trained to the end: R^2"],
        ),
    ],
)
def test_small_data(name, options, pictures, says, tmp_path):
    check(run(name, *TINY, *options, cwd=tmp_path), tmp_path, pictures, says)


def test_colour_images_from_a_file(tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    X = rng.integers(0, 200, (60, 4, 5, 3), dtype=np.uint8)
    X[y == 1, :2] += 55
    X = X.transpose(0, 3, 1, 2).astype(np.float32)  # neither its range nor its axes are sure
    np.savez(
        tmp_path / "pairs.npz",
        X_train=X[:40],
        y_train=y[:40],
        X_test=X[40:],
        y_test=y[40:],
        target_names=["cat", "dog"],
    )
    options = ["--data", "pairs.npz", "--kernels", "fc1", "--eps", "0.1", "--output", "gradients"]
    options += ["--channels-first"]
    result = run("feature_gradients", *options, cwd=tmp_path)
    assert "pass pixel_range=(0, 255)" in result.stderr
    options += ["--pixel-range", "0", "255"]
    result = run("feature_gradients", *options, cwd=tmp_path)
    check(result, tmp_path, GRADIENT_PICTURES, ["features: 40"])


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem
)
def test_every_example_takes_what_errors_of_its_data_name(path):
    source = path.read_text(encoding="utf-8")
    if path.stem == "plot_regression_risk":
        assert "load_images" not in source  # which alone has these errors
        return
    for name in ("pixel_range", "channels_first"):
        assert f'"--{name.replace("_", "-")}"' in source
        assert f"options.{name}" in source


def test_no_useful_feature_without_robustness(tmp_path):
    # Without an attack, the robustness of every feature equals its usefulness.
    options = [*TINY, "--kernels", "fc1", "--eps", "0", "--output", "gradients"]
    result = run("feature_gradients", *options, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
