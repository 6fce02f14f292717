"""The rooms of the package, who may import whom, and where each library may be used."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "skntk"

#: Each room and the rooms that it may import, top to bottom. A module in the package root is a
#: room of its own; a folder or module that is not in this table fails the tests.
ROOMS = {
    "": ["_utils", "attacks", "dynamics", "features", "finite", "infinite", "interop", "kernels"],
    "inspection": [
        *["transfer", "metrics", "features", "dynamics", "infinite", "finite"],
        *["kernels", "attacks", "solvers", "_utils"],
    ],
    "interop": ["attacks", "_utils"],
    "transfer": ["metrics", "attacks", "_utils"],
    "datasets": ["_utils"],
    "metrics": ["dynamics", "attacks", "_utils"],
    "dynamics": ["finite", "kernels", "networks", "attacks", "_utils"],
    "features": ["infinite", "kernels", "attacks", "solvers", "_utils"],
    "infinite": ["kernels", "attacks", "solvers", "_utils"],
    "finite": ["kernels", "networks", "attacks", "_utils"],
    "kernels": ["networks", "_utils"],
    "networks": ["_utils"],
    "attacks": ["_utils"],
    "solvers": ["_utils"],
    "_utils": [],
}

#: Rooms in which scikit-learn's base classes make no sense yet: pure functions of arrays.
BELOW_THE_ESTIMATORS = ["kernels", "networks", "solvers", "_utils"]

#: Rooms, or single modules, that alone may import a library.
OWNERS = {
    "matplotlib": ["inspection"],
    "neural_tangents": ["kernels._neural_tangents"],
    "flax": ["networks._linen", "networks._nnx", "networks._modules"],
    "optax": ["finite"],
    "jax": ["kernels", "networks", "finite", "interop._jax", "_utils.precision"],
    "jaxlib": [],
    "tensorflow": [],
    "torch": ["interop._torch"],
    "art": ["interop._art"],
}


def room(module):
    return module.partition(".")[0]


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


@pytest.mark.parametrize("module", MODULES)
def test_every_module_is_in_a_room(module):
    assert room(module) in ROOMS


@pytest.mark.parametrize("module", MODULES)
def test_imports_stay_within_what_a_room_may_import(module):
    mine = room(module)
    wrong = [m for m in own_imports(module) if room(m) not in [mine, *ROOMS[mine]]]
    assert not wrong, f"{module} imports {wrong}"


def test_rooms_import_those_below_them_only():
    order = list(ROOMS)
    for name, allowed in ROOMS.items():
        assert all(order.index(other) > order.index(name) for other in allowed), name


@pytest.mark.parametrize("module", SUBMODULES)
def test_nothing_imports_the_whole_package(module):
    assert "" not in own_imports(module)


def test_the_root_holds_rooms_and_no_furniture():
    loose = {path.stem for path in PACKAGE.glob("*.py")}
    assert loose == {"__init__", "transfer"}


def test_tests_mirror_the_rooms():
    here = Path(__file__).parent
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert folders == {path.parent.name for path in here.glob("*/test_*.py")}


def test_there_is_no_cycle():
    graph = {module: {*own_imports(module)} - {module} for module in MODULES}
    while leaves := [module for module, targets in graph.items() if not targets & graph.keys()]:
        for module in leaves:
            del graph[module]
    assert not graph


@pytest.mark.parametrize("library", OWNERS)
def test_libraries_stay_where_they_belong(library):
    users = [m for m in MODULES if any(name.split(".")[0] == library for name in imports(m))]
    assert not [m for m in users if not {m, room(m)} & {*OWNERS[library]}]


def test_no_estimator_classes_below_the_estimators():
    for module in SUBMODULES:
        if room(module) in BELOW_THE_ESTIMATORS:
            bases = [name for name in imports(module) if name.startswith("sklearn.base")]
            assert not bases, f"{module} imports {bases}"


def test_the_reader_of_imports_sees_them():
    assert {"kernels._base", "_utils.precision"} <= {*own_imports("kernels._rotation_invariant")}
    assert "solvers._eigh" in own_imports("solvers")
    assert "jax.numpy" in imports("kernels._arc_cosine")
    assert "infinite" in own_imports("")


def test_optional_libraries_are_not_imported_with_the_package():
    optional = ["matplotlib", "neural_tangents", "flax", "optax", "tensorflow"]
    code = f"import sys, skntk; print(*(name for name in {optional!r} if name in sys.modules))"
    environ = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == []
