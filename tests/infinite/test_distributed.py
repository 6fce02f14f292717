"""Blocks on a Dask cluster of two processes: equal results, even if a worker is lost."""

import os
import signal
import subprocess
import sys
import threading
import time

import joblib
import numpy as np
import pytest
from distributed import Client, LocalCluster
from numpy.testing import assert_allclose, assert_array_equal

from skntk import NTKAttack, NTKClassifier
from skntk.kernels import FullyConnectedNTK
from skntk.kernels._gram import GramOperator, gram_matrix

# Warnings about how Dask cleans up its sockets and event loops do not concern this project.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


#: BLAS rounds by the number of its threads, one in a worker, and by where an array begins.
RTOL = 1e-12


class SmallBlocks(FullyConnectedNTK):
    block_size = 16


class SlowMachine(NTKClassifier):
    """A machine so slow under attack that a worker can be killed in the middle."""

    def linearize(self, X):
        time.sleep(0.1)
        return super().linearize(X)


class SlowBlocks(SmallBlocks):
    """A kernel so slow that a worker can be killed in the middle."""

    def _gram(self, X, Z):
        time.sleep(0.2)
        return super()._gram(X, Z)


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        # Workers import the classes of this file from a copy that is sent to them.
        client.upload_file(__file__)
        yield client


def samples(n=61):
    X = np.random.default_rng(0).random((n, 4))
    return X, (X[:, 0] > X[:, 1]).astype(int)


def test_gram_matrices_and_products_are_the_same(client):
    X, _ = samples()
    vectors = np.random.default_rng(1).standard_normal((len(X), 3))
    with joblib.parallel_config(backend="dask"):
        gram = gram_matrix(SmallBlocks(2), X, n_jobs=-1)
        product = GramOperator(SmallBlocks(2), X, n_jobs=-1) @ vectors
    assert_array_equal(gram, gram.T)
    assert_allclose(gram, gram_matrix(SmallBlocks(2), X), rtol=RTOL)
    assert_allclose(product, GramOperator(SmallBlocks(2), X) @ vectors, rtol=RTOL)


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_fits_are_the_same(client, solver):
    X, y = samples()
    limit = 1000 if solver == "cg" else None  # too little to store the matrix
    params = {"solver": solver, "alpha": 0.1, "random_state": 0, "memory_limit": limit}
    alone = NTKClassifier(SmallBlocks(2), **params).fit(X, y)
    with joblib.parallel_config(backend="dask"):
        shared = NTKClassifier(SmallBlocks(2), n_jobs=-1, **params).fit(X, y)
    assert_allclose(shared.decision_function(X), alone.decision_function(X), rtol=1e-9)


def test_a_killed_workers_blocks_are_computed_again(client):
    X, _ = samples()
    pids = client.run(os.getpid)
    victim = min(pids.values())
    killer = threading.Timer(0.5, os.kill, (victim, signal.SIGKILL))
    killer.start()
    with joblib.parallel_config(backend="dask"):
        gram = gram_matrix(SlowBlocks(2), X, n_jobs=-1)
    killer.join()
    assert victim not in client.run(os.getpid).values()
    assert_allclose(gram, gram_matrix(SmallBlocks(2), X), rtol=RTOL)


@pytest.mark.parametrize("kills", [False, True])
def test_an_attack_is_the_same_and_outlives_a_worker(client, kills):
    X, y = samples()
    clf = SlowMachine(SmallBlocks(2)).fit(X, y)
    options = {"method": "pgd", "max_iter": 3, "batch_size": 8, "random_state": 0}
    alone = NTKAttack(clf, **options).run(X, y, epsilons=[0.1])
    if kills:
        victim = min(client.run(os.getpid).values())
        killer = threading.Timer(0.5, os.kill, (victim, signal.SIGKILL))
        killer.start()
    with joblib.parallel_config(backend="dask"):
        shared = NTKAttack(clf, n_jobs=-1, **options).run(X, y, epsilons=[0.1])
    if kills:
        killer.join()
        assert victim not in client.run(os.getpid).values()
    assert_allclose(shared.X_adv, alone.X_adv, atol=1e-12)
    assert_array_equal(shared.success, alone.success)


def test_the_example_runs(pytestconfig):
    # Not relative to __file__, which changes when the file is uploaded.
    example = pytestconfig.rootpath / "examples" / "distributed_fit.py"
    command = [sys.executable, example, "--n-train", "300", "--n-test", "50"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "2 workers" in result.stdout
    for solver in ("cholesky", "cg"):
        [line] = [line for line in result.stdout.splitlines() if line.startswith(solver)]
        assert float(line.split("differ by ")[1].split(";")[0]) < 1e-4
