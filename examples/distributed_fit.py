"""
==========================================
A fit shared among the workers of a cluster
==========================================

The blocks of the Gram matrix are joblib tasks, which any joblib backend can compute. If the
matrix does not fit in memory, so are the blocks of every product that the solver "cg" needs. This
example starts a Dask cluster of two local processes; the address of a real cluster works as well.
The results are equal up to rounding.

    pip install distributed && python examples/distributed_fit.py
"""

# %%
# Options, and the data.

import argparse
import time

import joblib
import numpy as np
from distributed import Client, LocalCluster

from skntk import NTKAttack, NTKClassifier
from skntk.datasets import load_images
from skntk.kernels import FullyConnectedNTK
from skntk.metrics import robust_accuracy_score


class SmallBlocks(FullyConnectedNTK):
    """Blocks so small that a thousand images give many of them."""

    block_size = 256


def main():
    """Fit here and on the cluster, and compare."""
    parser = argparse.ArgumentParser(description="A kernel machine fitted on a Dask cluster.")
    parser.add_argument("--data", default="digits", help="a name such as mnist, a file or a folder")
    parser.add_argument("--pixel-range", nargs=2, type=float, help="values of black and white")
    parser.add_argument("--channels-first", action=argparse.BooleanOptionalAction)
    parser.add_argument("--n-train", type=int, default=1000)
    parser.add_argument("--n-test", type=int, default=300)
    parser.add_argument("--eps", type=float, default=0.1)
    parser.add_argument("--scheduler", help="address of a running scheduler; default: a local one")
    options = parser.parse_args()
    data = load_images(
        options.data,
        n_train=options.n_train,
        n_test=options.n_test,
        pixel_range=options.pixel_range,
        channels_first=options.channels_first,
    )

    # %%
    # The estimators are the same; only the workers that compute their blocks differ.

    def fit(solver, n_jobs):
        start = time.perf_counter()
        clf = NTKClassifier(
            SmallBlocks(2),
            solver=solver,
            alpha=1e-2,
            n_jobs=n_jobs,
            random_state=0,
            memory_limit=1e6 if solver == "cg" else None,
        )
        clf.fit(data.X_train, data.y_train)
        return clf, time.perf_counter() - start

    cluster = options.scheduler or LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0"
    )
    with Client(cluster) as client:
        print(f"{len(client.scheduler_info()['workers'])} workers")
        for solver in ("cholesky", "cg"):
            here, alone = fit(solver, None)
            with joblib.parallel_config(backend="dask"):
                there, shared = fit(solver, -1)
            outputs = [clf.decision_function(data.X_test) for clf in (here, there)]
            difference = np.abs(outputs[0] - outputs[1]).max()
            accuracy = there.score(data.X_test, data.y_test)
            attack = NTKAttack(None, eps=options.eps)
            robust = robust_accuracy_score(there, data.X_test, data.y_test, attack)
            print(
                f"{solver:<9} here {alone:.1f} s, on the cluster {shared:.1f} s, outputs differ "
                f"by {difference:.1e}; accuracy {accuracy:.3f}, under FGSM {robust:.3f}"
            )
    if not options.scheduler:
        cluster.close()


# Workers import this file; without the guard, each would start a cluster of its own.
if __name__ == "__main__":
    main()
