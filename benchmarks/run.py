"""Run all benchmarks, or the named ones, each in its own process, and print a table.

python benchmarks/run.py --reduced
python benchmarks/run.py P1 P4 --cifar-pair cifar10_airplane_automobile.npz --json table.json
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
SCRIPTS = {f"P{int(path.name[1:3])}": path for path in sorted(FOLDER.glob("p[0-9][0-9]_*.py"))}
#: Rows that can use real images, and the option that names the file.
IMAGES = {"P1": "mnist", "P2": "cifar_pair", "P3": "mnist", "P4": "cifar_pair"}
IMAGES |= {"P5": "mnist", "P9": "mnist", "P10": "mnist", "P13": "mnist"}
HEADINGS = ["id", "work", "rival", "target", "ratio", "medians: skntk, rival", "peak", "agreement"]


def command(row, options, report):
    """Arguments of Python that run a row's script."""
    arguments = [str(SCRIPTS[row]), "--json", str(report)]
    file = getattr(options, IMAGES.get(row, ""), None)
    arguments += ["--data", file] if file else []
    arguments += ["--reduced"] if options.reduced else []
    arguments += ["--repeats", str(options.repeats)] if options.repeats else []
    arguments += ["--exact"] if row == "P10" and (options.exact or options.reduced) else []
    return arguments


def line(report):
    """Table row for the report of one script; several cases are separated by slashes."""
    cases = report["cases"]
    peaks = [case["peak"] for case in cases if case["peak"] is not None]
    return [
        *(report[key] for key in ("id", "work", "rival", "target")),
        " / ".join(number(case["ratio"]) for case in cases),
        " / ".join(f"{medians(case)} {case['unit']}" for case in cases),
        f"{max(peaks) / 2**20:.0f} MB" if peaks else "-",
        " / ".join(case["agreement"] for case in cases),
    ]


def medians(case):
    return ", ".join(number(case[key]) for key in ("ours", "rival"))


def number(value):
    return "-" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"any of {', '.join(SCRIPTS)}")
    parser.add_argument("--reduced", action="store_true", help="small sizes that run in seconds")
    parser.add_argument("--repeats", type=int, help="timed calls of each program")
    parser.add_argument("--exact", action="store_true", help="P10: also fit the exact solution")
    parser.add_argument("--mnist", metavar="FILE.npz", help="MNIST; default: synthetic images")
    parser.add_argument("--cifar-pair", metavar="FILE.npz", help="two classes of CIFAR-10")
    parser.add_argument("--json", metavar="FILE", help="also write all measurements here")
    options = parser.parse_args(argv)
    rows = [name.upper() for name in options.rows] or list(SCRIPTS)
    if unknown := [row for row in rows if row not in SCRIPTS]:
        parser.error(f"no such row: {', '.join(unknown)}; choose from {', '.join(SCRIPTS)}")

    print(f"| {' | '.join(HEADINGS)} |\n|{' --- |' * len(HEADINGS)}", flush=True)
    reports, failed = [], []
    with tempfile.TemporaryDirectory() as folder:
        for row in rows:
            file = Path(folder) / f"{row}.json"
            arguments = [sys.executable, *command(row, options, file)]
            done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=False)
            if done.returncode or not file.exists():
                failed.append(row)
                print(f"| {row} | failed |{' |' * (len(HEADINGS) - 2)}", flush=True)
                continue
            reports.append(json.loads(file.read_text()))
            print(f"| {' | '.join(line(reports[-1]))} |", flush=True)
    if reports:
        reduced = "; reduced sizes: the ratios mean nothing" if options.reduced else ""
        print(f"\n{reports[0]['machine']}{reduced}")
    if options.json:
        Path(options.json).write_text(json.dumps(reports, indent=1) + "\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
