"""The table of solvers: one interface, and an "auto" that is the same on every machine."""

import numpy as np
import pytest
from helpers import gaussian
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning

from skntk import NTKClassifier
from skntk.kernels import FullyConnectedNTK
from skntk.solvers import SOLVERS, Options, Solution, Solver, System, choose_solver, solve


def refuse(n_values):
    raise AssertionError("memory is not asked for")


@pytest.mark.parametrize(
    ("n", "time", "expected"),
    [
        (1, np.inf, "cholesky"),
        (30_000, np.inf, "cholesky"),
        (30_001, np.inf, "cg"),
        (10_000, 1.0, "eigh"),
        (10_001, 1.0, "cg"),
    ],
)
def test_auto_goes_by_the_number_of_rows(n, time, expected):
    assert choose_solver(n, time, fits=lambda n_values: True) == (expected, None)


@pytest.mark.parametrize(
    ("time", "direct", "n_values"), [(np.inf, "cholesky", 100), (1.0, "eigh", 300)]
)
def test_memory_decides_only_where_it_must(time, direct, n_values):
    assert choose_solver(50_000, time, fits=refuse) == ("cg", None)
    assert choose_solver(10, time, fits=lambda n: n <= n_values) == (direct, None)
    name, warning = choose_solver(10, time, fits=lambda n: n < n_values)
    assert name == "cg"
    assert isinstance(warning, ConvergenceWarning)
    assert f"solver='auto' means '{direct}' for 10 rows" in str(warning)


def system(singular=False, alpha=0.1, time=np.inf):
    X = gaussian(30, 4)
    if singular:
        X[1] = X[0]
    return System(FullyConnectedNTK(1)(X), gaussian(30, 2, seed=1), alpha, time)


@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_gives_the_solution_of_the_system(name):
    wanted = system()
    matrix = wanted.matrix.copy()
    solution = solve(name, wanted, Options(tol=1e-12, random_state=0))
    assert (solution.solver, solution.diagnosis) == (name, None)
    expected = np.linalg.solve(matrix + 0.1 * np.eye(30), wanted.targets)
    assert_allclose(solution.coefficients, expected, rtol=1e-8, atol=1e-9)
    assert (solution.spectrum is not None) == (name == "eigh")
    assert solution.n_iter >= 1


@pytest.mark.parametrize("name", SOLVERS)
def test_no_solver_raises_or_warns_of_a_singular_system(name):
    solution = solve(name, system(singular=True, alpha=0.0), Options(random_state=0))
    assert np.isfinite(solution.coefficients).all()
    assert isinstance(solution.diagnosis, Warning)


def test_cholesky_gives_way_and_says_so():
    asked = []
    options = Options(check_memory=asked.append)
    solution = solve("cholesky", system(singular=True, alpha=0.0), options)
    assert solution.solver == "eigh"
    assert asked == [2 * 30**2]


def test_the_solver_that_ran_is_recorded():
    X = gaussian(30, 4)
    y = np.arange(30) % 2
    assert NTKClassifier("fc1").fit(X, y).solver_ == "cholesky"
    assert NTKClassifier("fc1", time=1.0).fit(X, y).solver_ == "eigh"
    assert NTKClassifier("fc1", solver="cg", random_state=0).fit(X, y).solver_ == "cg"
    clf = NTKClassifier("fc1").fit(X, y)
    assert (clf.at_time(1.0).solver_, clf.solver_) == ("eigh", "cholesky")
    X[1] = X[0]
    with pytest.warns(match="ill-conditioned") as caught:
        clf.fit(X, y)
    assert clf.solver_ == "eigh"
    assert [warning.filename for warning in caught] == [__file__]


def test_a_new_solver_is_a_function_and_a_line_in_the_table(monkeypatch):
    def by_lu(system, options):
        ridged = system.matrix + system.alpha * np.eye(len(system.matrix))
        return Solution(np.linalg.solve(ridged, system.targets), solver="lu")

    monkeypatch.setitem(SOLVERS, "lu", Solver(by_lu, n_values=lambda n: 2 * n**2))
    X, y = gaussian(30, 4), np.arange(30) % 3
    clf = NTKClassifier("fc1", solver="lu").fit(X, y)
    assert clf.solver_ == "lu"
    assert_allclose(clf.dual_coef_, NTKClassifier("fc1").fit(X, y).dual_coef_, rtol=1e-8)
    assert clf.at_time(2.0).solver == "eigh"
    with pytest.raises(ValueError, match=r"solver='lu' cannot stop at time=2\.0"):
        NTKClassifier("fc1", solver="lu", time=2.0).fit(X, y)
    with pytest.raises(MemoryError, match="solver='lu' for n=30"):
        NTKClassifier("fc1", solver="lu", memory_limit=1000).fit(X, y)


def indefinite():
    X = gaussian(60, 4)
    return np.tanh(2 * X @ X.T - 1), gaussian(60, 2, seed=1)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_ridge_that_makes_an_indefinite_matrix_definite(name):
    K, Y = indefinite()
    alpha = 5 - np.linalg.eigvalsh(K)[0]
    expected = np.linalg.solve(K + alpha * np.eye(60), Y)
    solution = solve(name, System(K, Y, alpha), Options(tol=1e-13, random_state=0))
    assert_allclose(solution.coefficients, expected, rtol=0, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize("name", SOLVERS)
def test_an_indefinite_matrix_is_refused(name, alpha):
    K, Y = indefinite()
    with pytest.raises(ValueError, match=r"indefinite.*Set alpha"):
        solve(name, System(K, Y, alpha), Options(random_state=0))


def test_a_finite_time_of_an_indefinite_matrix_follows_the_equation():
    K, Y = indefinite()
    values, V = np.linalg.eigh(K)
    expected = V @ (((1 - np.exp(-values * 0.3)) / values)[:, None] * (V.T @ Y))
    solution = solve("eigh", System(K.copy(), Y, 0.0, 0.3), Options())
    assert_allclose(solution.coefficients, expected, rtol=1e-9, atol=1e-9)
    with pytest.raises(ValueError, match="shorter time"):
        solve("eigh", System(K, Y, 0.0, 1e6), Options())
