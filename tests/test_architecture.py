"""Imports run one way: kernels, solvers, estimators, attacks, metrics and inspection."""

import ast
import os
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "skntk"

#: Layer of each module, lowest first; what no pattern names is an estimator or its helper.
LAYERS = [
    [
        *["_shadowing", "_memory", "_precision", "_progress", "_threads", "_validation"],
        *["_balls", "_box", "_flax_network", "_losses", "_neural_tangents"],
        *["_tangent_features", "datasets*"],
    ],
    ["kernels*"],
    ["solvers*"],
    [],
    ["attacks*", "_affine", "_differentiable", "dynamics*", "_dynamics*"],
    ["metrics*", "inspection*", "transfer*"],
]
ESTIMATORS = 3
NETWORKS = ["_flax*", "_adversarial_training", "networks*", "_network*"]

#: Who alone may import a library.
OWNERS = {
    "matplotlib": ["inspection*"],
    "neural_tangents": ["_neural_tangents"],
    "flax": NETWORKS,
    "optax": NETWORKS,
    "jax": ["kernels*", "_precision", "_neural_tangents", "_tangent_features", *NETWORKS],
    "jaxlib": [],
    "tensorflow": [],
    "torch": [],
}


def matches(module, patterns):
    return any(fnmatch(module, pattern) for pattern in patterns)


def layer(module):
    named = [k for k, patterns in enumerate(LAYERS) if matches(module, patterns)]
    return named[0] if named else ESTIMATORS


def module_name(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
SUBMODULES = [module for module in MODULES if module]


def absolute(node, module, path):
    """Dotted names that an import statement asks for, wherever in the file it stands."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if node.level == 0:
        base = node.module
    else:
        parts = ["skntk", *filter(None, module.split("."))]
        parts += [""] if path.name == "__init__.py" else []
        base = ".".join([*parts[: -node.level], *filter(None, [node.module])])
    return [f"{base}.{alias.name}" for alias in node.names]


def imports(module):
    path = MODULES[module]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from absolute(node, module, path)


def own_imports(module):
    """Modules of this package that a module imports; names in them are cut off."""
    for name in imports(module):
        if name == "skntk" or name.startswith("skntk."):
            target = name.removeprefix("skntk").removeprefix(".")
            yield target if target in MODULES else target.rpartition(".")[0]


@pytest.mark.parametrize("module", SUBMODULES)
def test_imports_run_one_way(module):
    upward = [target for target in own_imports(module) if layer(target) > layer(module)]
    assert not upward, f"{module} imports from above: {upward}"


@pytest.mark.parametrize("module", SUBMODULES)
def test_nothing_imports_the_whole_package(module):
    assert "" not in own_imports(module)


def test_there_is_no_cycle():
    graph = {module: {*own_imports(module)} - {module} for module in MODULES}
    while leaves := [module for module, targets in graph.items() if not targets & graph.keys()]:
        for module in leaves:
            del graph[module]
    assert not graph


@pytest.mark.parametrize("library", OWNERS)
def test_libraries_stay_where_they_belong(library):
    users = [m for m in MODULES if any(name.split(".")[0] == library for name in imports(m))]
    assert not [module for module in users if not matches(module, OWNERS[library])]


def test_no_estimator_classes_below_the_estimators():
    for module in SUBMODULES:
        if layer(module) < ESTIMATORS:
            bases = [name for name in imports(module) if name.startswith("sklearn.base")]
            assert not bases, f"{module} imports {bases}"


def test_the_reader_of_imports_sees_them():
    assert {"kernels._base", "_precision"} <= {*own_imports("kernels._rotation_invariant")}
    assert "solvers._eigh" in own_imports("solvers")
    assert "jax.numpy" in imports("kernels._arc_cosine")
    assert "_classifier" in own_imports("")


def test_optional_libraries_are_not_imported_with_the_package():
    optional = ["matplotlib", "neural_tangents", "flax", "optax", "tensorflow"]
    code = f"import sys, skntk; print(*(name for name in {optional!r} if name in sys.modules))"
    environ = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == []
