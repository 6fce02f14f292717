"""The example of kernel dynamics runs, writes its figure, and resumes from recorded kernels."""

import matplotlib.image
import numpy as np
import pytest
from helpers import run_script

pytest.importorskip("flax")
pytest.importorskip("optax")

from skntk import KernelDynamicsTracker

TINY = [
    *["--n-train", "60", "--n-test", "20", "--batch-size", "30", "--pgd-steps", "2"],
    *["--kernel-samples", "10", "--top", "2", "5"],
]


def run(directory, *options):
    picture = directory / "picture.png"
    # Compilation takes most of the time of so short a run.
    quick = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    options = [*TINY, *options, "--output", picture]
    result = run_script("examples/plot_kernel_dynamics.py", *options, cwd=directory, **quick)
    assert result.returncode == 0, result.stderr
    assert f"saved {picture}" in result.stdout
    assert "nan" not in result.stdout.lower()
    pixels = matplotlib.image.imread(picture)
    assert min(pixels.shape[:2]) > 300 and pixels[..., :3].std() > 0.01
    return result.stdout


def test_example_writes_its_picture_and_resumes(tmp_path):
    kept = tmp_path / "kernels"
    output = run(tmp_path, "--training", "standard", "--directory", kept, "--epochs", "1")
    assert "standard" in output and "pgd" not in output and "(a)" not in output
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*.npz")}
    assert len(before) == 2
    batches = ["--kernel-batch", "as-training", "clean", "attacked"]
    output = run(
        *(tmp_path, "--training", "standard", "pgd", *batches),
        *("--directory", kept, "--epochs", "2"),
    )
    for text in ("standard", "pgd", "moves", "(a)", "(b)", "(c)", "(d)"):
        assert text in output, output
    for path, written in before.items():
        assert path.stat().st_mtime_ns == written
    for name in ("standard", "pgd"):
        tracker = KernelDynamicsTracker.load(kept / name)
        np.testing.assert_array_equal(tracker.steps_, [0, 1, 2])
        assert tracker.kernel(1).shape == (100, 100)
    assert output.count("(a)") == 3
    # Before the first step both trainings have the same network.
    first = {folder.name: KernelDynamicsTracker.load(folder).kernel(0) for folder in kept.iterdir()}
    for kind in ("clean", "attacked"):
        np.testing.assert_array_equal(first[f"standard, {kind}"], first[f"pgd, {kind}"])
    np.testing.assert_array_equal(first["standard"], first["standard, clean"])
    assert not np.allclose(first["pgd, clean"], first["pgd, attacked"], rtol=1e-3)
