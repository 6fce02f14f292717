"""Comparison of two programs that alternate in one process: time, memory and agreement.

Run as a script, ``python _measure.py MODULE FUNCTION ARGUMENTS``, this module is the fresh
process that `in_child` starts.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

MB = 2**20


@dataclass
class Row:
    """One row of the table of performance targets."""

    id: str
    work: str
    rival: str
    target: str


@dataclass
class Case:
    """One measurement of a row: `ratio` is how many times better than its rival skntk is."""

    name: str
    ratio: float | None
    ours: float | None
    rival: float | None
    agreement: str
    unit: str = "s"
    first_ours: float | None = None  # seconds beyond the median, from compilation
    first_rival: float | None = None
    peak: int | None = None  # bytes
    notes: list[str] = field(default_factory=list)


@dataclass
class Turns:
    """Seconds taken by the calls of two programs, and the result of each one's first call."""

    ours: list[float]
    rival: list[float]
    first_ours: float
    first_rival: float
    results: tuple[Any, Any]


def timed(program: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that a call takes until its arrays are ready, and its result."""
    import jax  # imported here, so that P11 can measure peak memory without JAX

    gc.collect()
    start = time.perf_counter()
    result = jax.block_until_ready(program())
    return time.perf_counter() - start, result


def in_turn(ours: Callable[[], Any], rival: Callable[[], Any], repeats: int) -> Turns:
    """Call each once, which compiles it, and then both `repeats` times in turn."""
    first_ours, result = timed(ours)
    first_rival, result_of_rival = timed(rival)
    seconds: tuple[list[float], list[float]] = ([], [])
    for k in range(repeats):
        # Each goes first in half of the rounds, so that what is left in the caches favours neither.
        for which in (0, 1) if k % 2 == 0 else (1, 0):
            seconds[which].append(timed((ours, rival)[which])[0])
    return Turns(*seconds, first_ours, first_rival, (result, result_of_rival))


def compare(
    name: str,
    ours: Callable[[], Any],
    rival: Callable[[], Any],
    options: argparse.Namespace,
    agreement: Callable[[Any, Any], str],
) -> Case:
    """Time both programs in turn and report how closely their results agree."""
    turns = in_turn(ours, rival, options.repeats)
    return case_of(name, turns, agreement(*turns.results))


def case_of(name: str, turns: Turns, agreement: str) -> Case:
    """Medians of both programs and their ratio."""
    of_ours, of_rival = median(turns.ours), median(turns.rival)
    return Case(
        name,
        ratio(of_ours, of_rival),
        of_ours,
        of_rival,
        agreement,
        first_ours=max(0.0, turns.first_ours - of_ours),
        first_rival=max(0.0, turns.first_rival - of_rival),
        peak=peak_memory(),
    )


def ratio(ours: float, rival: float) -> float:
    """How many times as much the rival takes; above 1, skntk is better."""
    return rival / ours if ours else float("inf")


def largest_difference(actual: Any, desired: Any) -> str:
    """Largest difference between two arrays, relative to the largest entry of `desired`."""
    actual, desired = np.asarray(actual, np.float64), np.asarray(desired, np.float64)
    return f"{np.abs(actual - desired).max() / np.abs(desired).max():.1e} relative difference"


# Memory


def peak_memory() -> int:
    """Largest number of bytes that this process has had in memory."""
    # ru_maxrss is only the fallback: on Linux, a child inherits its parent's value.
    peak = _status("VmHWM")
    if peak is not None:
        return peak
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def memory_of(program: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Result of a call; its seconds, peak memory, and growth over the memory before the call."""
    gc.collect()
    before = _status("VmRSS") or peak_memory()
    seconds, result = timed(program)
    peak = peak_memory()
    return result, {"seconds": seconds, "peak": peak, "growth": max(0, peak - before)}


def _status(name: str) -> int | None:
    """Bytes that Linux reports for this process."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(s.split()[1]) * 1024 for s in lines if s.startswith(f"{name}:")), None)


def in_child(module: str, function: str, **arguments: Any) -> Any:
    """Call a function of a benchmark in a fresh interpreter and return its result, as JSON."""
    command = [sys.executable, __file__, module, function, json.dumps(arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


# The command line and the report


def run(
    row: Row,
    cases: Callable[[argparse.Namespace], Iterable[Case]],
    doc: str | None,
    argv: list[str] | None = None,
    **arguments: dict[str, Any],
) -> None:
    """Parse the options, measure and print; `arguments` are additional options, by name."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reduced", action="store_true", help="small sizes that run in seconds")
    parser.add_argument("--repeats", type=int, help="timed calls of each program (5; reduced: 2)")
    parser.add_argument("--json", metavar="FILE", help="also write the measurements here")
    for name, settings in arguments.items():
        parser.add_argument("--" + name.replace("_", "-"), **settings)
    options = parser.parse_args(argv)
    if options.repeats is None:
        options.repeats = 2 if options.reduced else 5
    print(f"{row.id}: {row.work}\nagainst {row.rival}; target {row.target}\n", flush=True)
    measured = []
    for case in cases(options):
        measured.append(case)
        print(describe(case), flush=True)
    if options.json:
        report = {
            **asdict(row),
            "reduced": options.reduced,
            "machine": machine(),
            "cases": [asdict(case) for case in measured],
        }
        Path(options.json).write_text(json.dumps(report, indent=1) + "\n")


def describe(case: Case) -> str:
    """Report of one case, on a few lines."""
    lines = [case.name]
    if case.ratio is not None:
        lines.append(f"  ratio       {case.ratio:.3g}")
    medians = [(who, value) for who, value in (("skntk", case.ours), ("rival", case.rival))]
    given = [f"{who} {amount(value, case.unit)}" for who, value in medians if value is not None]
    if given:
        lines.append("  median      " + ", ".join(given))
    if case.first_ours is not None and case.first_rival is not None:
        lines.append(
            f"  first call  skntk +{case.first_ours:.3g} s, rival +{case.first_rival:.3g} s"
        )
    if case.peak is not None:
        lines.append(f"  peak memory {amount(case.peak / MB, 'MB')}")
    lines.append(f"  agreement   {case.agreement}")
    return "\n".join(lines + [f"  {note}" for note in case.notes])


def amount(value: float, unit: str) -> str:
    """A number with its unit."""
    return f"{value:.0f} {unit}".strip() if unit != "s" else f"{value:.3g} s"


def machine() -> str:
    """Describe the processor, Python and the packages."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((s.split(":")[1].strip() for s in lines if s.startswith("model name")), model)
    except OSError:
        pass
    packages = ("jax", "numpy", "scipy", "scikit-learn")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{model}, {os.cpu_count()} cores; Python {platform.python_version()}, {versions}"


if __name__ == "__main__":
    name, function, arguments = sys.argv[1:]
    print(json.dumps(getattr(importlib.import_module(name), function)(**json.loads(arguments))))
