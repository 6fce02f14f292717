"""Options, data and reports that the scripts of the paper's figures share."""

import argparse
import importlib.metadata
import json
import platform
import re
import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import skntk
from skntk.datasets import load_images

#: Budget and step of PGD, by what the images are (App. C, D.3, E); the digits are not the paper's.
BUDGETS = {"CIFAR": (8 / 255, 2 / 255), "MNIST": (0.3, 0.1), "digits": (0.1, 0.03)}


def read_options(description, small, paper, flags=()):
    """Options that every script has, and one for every size, whose default is that of the scale.

    `small` and `paper` map sizes to values; a paper's None stands for all images, of which
    `small` says how many it takes, and a dict has one for each kind of images. `flags` are names
    and keywords of further options.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", default="digits", help="a name such as mnist, a file or a folder")
    parser.add_argument("--pixel-range", nargs=2, type=float, help="values of black and white")
    parser.add_argument("--channels-first", action=argparse.BooleanOptionalAction)
    parser.add_argument("--classes", nargs="+", help="keep only these, by label or name")
    parser.add_argument("--scale", choices=["small", "paper"], default="small")
    parser.add_argument("--out", type=Path, default=Path("paper_figures"), help="folder to write")
    parser.add_argument("--eps", type=float, help="default: the paper's for such images")
    parser.add_argument("--eps-step", type=float, help="step of PGD; default: the paper's")
    for name, value in small.items():
        many = isinstance(value, list)
        kind = type(value[0]) if many else type(value)
        text = f"small: {value}, paper: {'all' if paper[name] is None else paper[name]}"
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=kind, nargs="+" if many else None, help=text)
    for name, keywords in flags:
        parser.add_argument(name, **keywords)
    options = parser.parse_args()
    options.defaults = small if options.scale == "small" else paper
    for name, value in options.defaults.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    options.sizes, options.paper = list(small), paper
    return options


def load(options, pair=False):
    """Images, with the budget that the paper gives such images; of a pair, two classes."""
    reading = {"pixel_range": options.pixel_range, "channels_first": options.channels_first}
    classes = options.classes
    if classes is None and pair:
        classes = list(load_images(options.data, **reading).target_names)[:2]
    data = load_images(
        options.data, classes=classes, n_train=options.n_train, n_test=options.n_test, **reading
    )
    height, _, channels = data.image_shape
    data.kind = "CIFAR" if channels == 3 else "MNIST" if height == 28 else "digits"
    _resolve(options, "CIFAR" if data.kind == "CIFAR" else "MNIST")
    eps, step = BUDGETS[data.kind]
    options.eps = eps if options.eps is None else options.eps
    options.eps_step = step if options.eps_step is None else options.eps_step
    data.n_classes = len(np.unique(data.y_train))
    data.chance = float(np.unique(data.y_test, return_counts=True)[1].max() / len(data.y_test))
    return data


def _resolve(options, kind):
    """Take from sizes that depend on the kind of images the one for such images."""

    def of_kind(value):
        return value[kind] if isinstance(value, dict) else value

    options.paper = {name: of_kind(value) for name, value in options.paper.items()}
    for name in options.sizes:
        setattr(options, name, of_kind(getattr(options, name)))


class Report:
    """Claims of the paper beside what a script finds, as text, figures and a JSON file.

    `variant` says how the network or its training differs from the paper's, if not by a size.
    """

    def __init__(self, options, data, variant=""):
        classes = f"classes {' '.join(options.classes)}" if options.classes else ""
        variant = ", ".join(filter(None, [variant, classes]))
        self.options, self.data, self.variant = options, data, variant
        self.start = time.perf_counter()
        self.claims, self.pictures = [], []
        options.out.mkdir(parents=True, exist_ok=True)
        self.script = Path(sys.argv[0]).stem
        self.stem = "_".join([Path(options.data).stem, *re.findall(r"\w+", variant)])
        print(f"{options.data}: {len(data.X_train)} train, {len(data.X_test)} test images, "
              f"{data.n_classes} classes, eps {options.eps:.3g}")  # fmt: skip

    def add(self, figure, claim, paper, finding):
        """Print and keep a claim, the paper's value and a `Finding`."""
        entry = {"figure": figure, "claim": claim, "paper": paper, **finding._asdict()}
        self.claims.append(entry)
        print(f"\nFig. {figure}: {claim}\n  paper: {paper}\n  here:  {finding.here}\n"
              f"  {finding.verdict.upper()} ({finding.rule})", flush=True)  # fmt: skip

    def draw(self, name):
        """Save the current figure by a name, the data and the variant, and close it."""
        path = self.options.out / f"{name}_{self.stem}.png"
        plt.savefig(path, dpi=100, bbox_inches="tight")
        plt.close()
        self.pictures.append(path.name)

    def save(self):
        """Write the JSON file, named by the script, the data and the variant."""
        used = {name: getattr(self.options, name) for name in self.options.sizes}
        content = {
            "script": self.script,
            "data": Path(self.options.data).stem,
            "n_classes": self.data.n_classes,
            "scale": self.options.scale,
            "sizes": used | {"n_train": len(self.data.X_train), "n_test": len(self.data.X_test)},
            "eps": self.options.eps,
            "eps_step": self.options.eps_step,
            "variant": self.variant,
            "differs": self._differences(used),
            "claims": self.claims,
            "pictures": self.pictures,
            "seconds": round(time.perf_counter() - self.start, 1),
            "versions": {
                "python": platform.python_version(),
                "skntk": skntk.__version__,
                **{name: importlib.metadata.version(name) for name in ("jax", "numpy", "scipy")},
                "scikit-learn": importlib.metadata.version("scikit-learn"),
            },
        }
        path = self.options.out / f"{self.script}_{self.stem}.json"
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        print(f"\nsaved {', '.join([*self.pictures, path.name])} in {self.options.out}, "
              f"{content['seconds']:.0f} s")  # fmt: skip

    def _differences(self, used):
        """Sizes that are not the paper's, in words."""
        parts = [self.variant] if self.variant else []
        parts += ["other images (digits)"] if self.data.kind == "digits" else []
        for name, value in used.items():
            paper = self.options.paper[name]
            if value != paper:
                parts.append(f"{name} {_words(value)} (paper {_words(paper)})")
        for name, paper in zip(("eps", "eps_step"), BUDGETS[self.data.kind], strict=True):
            value = getattr(self.options, name)
            if value != paper:
                parts.append(f"{name} {value:.3g} (paper {paper:.3g})")
        return "; ".join(parts)


def _words(value):
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "all" if value is None else f"{value:.3g}" if isinstance(value, float) else f"{value}"
