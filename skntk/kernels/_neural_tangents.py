"""Import the archived neural-tangents 0.6.5 on a JAX that has moved on since.

neural-tangents was written for JAX 0.4.25 and asks JAX for names that are gone. They cannot be put
back into JAX, whose namespace belongs to everyone in the process, so neural-tangents is shown
another one: each of its modules runs with its own ``__import__`` (Python takes it from a module's
``__builtins__``), for which ``jax`` is a view that adds what is missing and is JAX for the rest.
"""

import builtins
import functools
import importlib
import itertools
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import ModuleType, SimpleNamespace
from typing import Any

import jax
import jax.extend.core
import jax.extend.source_info_util
import jax.interpreters.ad
import jax.numpy as jnp
import numpy as np
import scipy
import scipy.linalg

_NAME = "neural_tangents"
_EXPERIMENTAL = f"{_NAME}.experimental"
_HOW_TO_INSTALL = """{} is not installed, which infinite-width kernels need. Install it with

    pip install --no-deps neural-tangents==0.6.5 && pip install frozendict

(without --no-deps, pip also installs TensorFlow, which is not needed)."""

_lock = threading.RLock()


class _View(ModuleType):
    """A JAX module with some names added or replaced; ``module`` itself is left alone."""

    def __init__(self, name: str, module: ModuleType | None = None, **names: Any) -> None:
        super().__init__(name)
        vars(self).update(names, _module=module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _safe_map(function: Callable[..., Any], *args: Iterable[Any]) -> list[Any]:
    return list(itertools.starmap(function, zip(*args, strict=True)))


def _safe_zip(*args: Iterable[Any]) -> list[tuple[Any, ...]]:
    return list(zip(*args, strict=True))


def _eigvalsh(matrix: Any, eigvals: tuple[int, int]) -> Any:
    return scipy.linalg.eigvalsh(matrix, subset_by_index=eigvals)


@functools.cache
def _views() -> Mapping[str, ModuleType]:
    """Return the modules of JAX and SciPy that neural-tangents sees otherwise than they are."""
    moved = ("Jaxpr", "JaxprEqn", "Literal", "Primitive", "Var")
    core = _View(
        "jax.core",
        jax.core,
        **{name: getattr(jax.extend.core, name) for name in moved},
        # Only ever compared with the type of an array, and no array has a dynamic shape.
        DShapedArray=type("DShapedArray", (), {}),
        # JAX's own has come to refuse tracers; this computes what is known and traces the rest.
        eval_context=jax.ensure_compile_time_eval,
    )
    ad = _View(
        "jax.interpreters.ad",
        jax.interpreters.ad,
        # Switches off a self-check that calls functions JAX has dropped.
        config=SimpleNamespace(jax_enable_checks=False),
        source_info_util=jax.extend.source_info_util,
        # Only ever a key of the tables of derivative rules: JAX no longer emits this operation.
        zeros_like_p=jax.extend.core.Primitive("zeros_like"),
    )
    interpreters = _View("jax.interpreters", jax.interpreters, ad=ad)
    # JAX's own warn when asked, as they are here, about an abstract array or for an array's dtype.
    numpy = _View("jax.numpy", jnp, size=np.size, dtype=jnp.result_type)
    util = _View("jax.util", safe_map=_safe_map, safe_zip=_safe_zip)
    top = _View("jax", jax, core=core, interpreters=interpreters, numpy=numpy, util=util)
    linalg = _View("scipy.linalg", scipy.linalg, eigvalsh=_eigvalsh)
    science = _View("scipy", scipy, linalg=linalg)
    views = (ad, core, interpreters, numpy, top, util, linalg, science)
    return {view.__name__: view for view in views}


def _import(
    name: str,
    globals_: Mapping[str, Any] | None = None,
    locals_: Mapping[str, Any] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    """Stand in for ``builtins.__import__`` in the modules of neural-tangents."""
    views = _views()
    if fromlist and level == 0 and name in views:
        return views[name]
    module = builtins.__import__(name, globals_, locals_, fromlist or (), level)
    return views.get(module.__name__, module)


class _Loader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": _import}
        super().exec_module(module)


class _Finder(MetaPathFinder):
    """Find neural-tangents where the other finders do, but have `_Loader` run it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != _NAME:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next(filter(None, specs), None)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def _modernise(empirical: ModuleType) -> None:
    """Replace the functions of the empirical NTK that lean on JAX's internals."""

    def linearize(
        function: Callable[..., Any], mode: Any, j_rules: Any, s_rules: Any, fwd: Any, *primals: Any
    ) -> tuple[Any, Callable[..., Any]]:
        # The derivative rules are for single operations, not for whole jitted functions.
        with jax.disable_jit():
            outputs, tangent_map = jax.linearize(function, *primals)
            linear = jax.make_jaxpr(tangent_map)(*primals)

        def pull_back(*cotangents: Any) -> Any:
            leaves = empirical._backward_pass(
                linear.jaxpr,
                mode=mode,
                consts=linear.consts,
                primals_in=[empirical.UndefinedPrimal(var.aval) for var in linear.jaxpr.invars],
                cotangents_in=tuple(jax.tree.leaves(cotangents)),
                _j_rules=j_rules,
                _s_rules=s_rules,
                _fwd=fwd,
            )
            return jax.tree.unflatten(jax.tree.structure(primals), leaves)

        return outputs, pull_back

    def transpose(equation: Any, cotangent: Any, *inputs: Any) -> Any:
        if equation is None:  # neural-tangents' way to say: the identity
            return (cotangent,)
        rule: Callable[..., Any] = empirical.ad.get_primitive_transpose(equation.primitive)
        return rule(cotangent, *inputs, **equation.params)

    def count_flops(function: Callable[..., Any], _: bool, *args: Any, **kwargs: Any) -> float:
        costs: Any = jax.jit(function).lower(*args, **kwargs).compile().cost_analysis()
        return float(costs["flops"])

    vars(empirical).update(
        _get_primals_out_and_pullback=linearize, _eqn_vjp_fn=transpose, _get_flops=count_flops
    )


@functools.cache
def load() -> ModuleType:
    """Import neural-tangents, also on a JAX that it does not support.

    JAX's own modules are not changed, not even for a moment, and TensorFlow is not imported:
    ``neural_tangents.experimental``, which needs it, is left out. A ``neural_tangents`` that was
    imported before is returned as it is.

    Returns
    -------
    module
        The package ``neural_tangents``.

    Raises
    ------
    ImportError
        If neural-tangents, or frozendict, which it depends on, is not installed; the message
        says how to install it without TensorFlow.
    """
    with _lock:
        if sys.modules.get(_NAME) is not None:
            return importlib.import_module(_NAME)
        # An import that failed leaves the submodules it got to, bound to the JAX they were shown.
        for name in [name for name in sys.modules if name.startswith(f"{_NAME}.")]:
            del sys.modules[name]
        finder = _Finder()
        sys.meta_path.insert(0, finder)
        sys.modules[_EXPERIMENTAL] = ModuleType(_EXPERIMENTAL)
        try:
            module = importlib.import_module(_NAME)
        except ModuleNotFoundError as error:
            if error.name not in (_NAME, "frozendict"):
                raise
            raise ImportError(_HOW_TO_INSTALL.format(error.name), name=error.name) from error
        finally:
            sys.meta_path.remove(finder)
            sys.modules.pop(_EXPERIMENTAL, None)
        del module.experimental
        _modernise(module._src.empirical)
        return module
