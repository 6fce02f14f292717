"""Make tables in reStructuredText of the claims that the scripts of figures judged."""

import argparse
import json
import re
from pathlib import Path

#: Columns of each table, and their widths.
CLAIMS = {"Fig.": 6, "data": 12, "claim": 26, "paper": 17, "here": 20, "verdict": 19}
RUNS = {"Fig.": 10, "data": 15, "what differs from the paper": 65, "s": 10}


def order(figure):
    """Sort figures by number, then by letter."""
    return int(re.match(r"\d+", figure).group()), figure


def read(folders):
    """Rows of both tables from all JSON files in folders: claims, and the runs that judged them."""
    claims, runs = [], []
    for path in sorted(path for folder in folders for path in folder.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        data = ", ".join(filter(None, [content["data"].replace("_", " "), content["variant"]]))
        for claim in content["claims"]:
            verdict = f"**{claim['verdict']}** ({claim['rule']})"
            found = [claim[key] for key in ("claim", "paper", "here")]
            claims.append([claim["figure"], data, *found, verdict])
        figures = sorted({claim["figure"] for claim in content["claims"]}, key=order)
        used = f"{content['n_classes']} classes, eps {content['eps']:.3g}"
        differs = "; ".join(filter(None, [used, content["differs"]]))
        runs.append([", ".join(figures), data, differs, f"{content['seconds']:.0f}"])
    return tuple(sorted(rows, key=lambda row: order(row[0])) for rows in (claims, runs))


def table(columns, rows):
    """Text of a list-table."""
    lines = [".. list-table::", "   :header-rows: 1"]
    lines += [f"   :widths: {' '.join(map(str, columns.values()))}", ""]
    for line in [list(columns), *rows]:
        lines += [f"   {'* -' if k == 0 else '  -'} {escape(cell)}" for k, cell in enumerate(line)]
    return "\n".join(lines) + "\n"


def escape(cell):
    """Keep what stands for itself from being read as markup, but for the verdict's stars."""
    return re.sub(r"([|`_])", r"\\\1", cell)


def main():
    """Print the tables, or write them to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="where the JSON files are")
    parser.add_argument("--output", type=Path, help="file to write; default: print")
    options = parser.parse_args()
    claims, runs = read(options.folders)
    if not claims:
        parser.error(f"no JSON file of a figure in {', '.join(map(str, options.folders))}")
    text = f"{table(CLAIMS, claims)}\n.. rubric:: The runs\n\n{table(RUNS, runs)}"
    if options.output is None:
        print(text)
    else:
        options.output.write_text(text, encoding="utf-8")
        print(f"saved {options.output}: {len(claims)} claims of {len(runs)} runs")


if __name__ == "__main__":
    main()
