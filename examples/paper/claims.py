"""Make a table in reStructuredText of the claims that the scripts of figures judged."""

import argparse
import json
import re
from pathlib import Path

COLUMNS = {
    "Fig.": 5, "claim": 24, "paper": 15, "here": 20, "verdict": 10, "scale": 20, "s": 6
}  # fmt: skip


def order(figure):
    """Sort figures by number, then by letter."""
    return int(re.match(r"\d+", figure).group()), figure


def read(folders):
    """Claims of all JSON files in folders, each with what it shares with others of its file."""
    rows = []
    for path in sorted(path for folder in folders for path in folder.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        scale = f"{content['data']}, {content['n_classes']} classes, eps {content['eps']:.3g}"
        if content["differs"]:
            scale += f"; {content['differs']}"
        shared = {"scale": scale, "seconds": content["seconds"]}
        rows += [claim | shared for claim in content["claims"]]
    return sorted(rows, key=lambda row: order(row["figure"]))


def table(rows):
    """Lines of a list-table."""
    lines = [".. list-table::", "   :header-rows: 1", "   :class: claims"]
    lines += [f"   :widths: {' '.join(map(str, COLUMNS.values()))}", ""]
    cells = [list(COLUMNS)]
    for row in rows:
        verdict = f"**{row['verdict']}** ({row['rule']})"
        cells.append([row["figure"], row["claim"], row["paper"], row["here"], verdict,
                      row["scale"], f"{row['seconds']:.0f}"])  # fmt: skip
    for line in cells:
        lines += [f"   {'* -' if k == 0 else '  -'} {escape(cell)}" for k, cell in enumerate(line)]
    return "\n".join(lines) + "\n"


def escape(cell):
    """Keep what stands for itself from being read as markup, but for the verdict's stars."""
    return re.sub(r"([|`_])", r"\\\1", cell)


def main():
    """Print the table, or write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="where the JSON files are")
    parser.add_argument("--output", type=Path, help="file to write; default: print")
    options = parser.parse_args()
    rows = read(options.folders)
    if not rows:
        parser.error(f"no JSON file of a figure in {', '.join(map(str, options.folders))}")
    if options.output is None:
        print(table(rows))
    else:
        options.output.write_text(table(rows), encoding="utf-8")
        print(f"saved {options.output}: {len(rows)} claims")


if __name__ == "__main__":
    main()
