"""Settings of the site: `tox -e docs` builds it, with warnings as errors and without a network."""

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from sphinx.ext import autosummary

import skntk

project = "skntk"
author = "the skntk developers"
copyright = "the skntk developers"
version = release = skntk.__version__

extensions = [
    "mathml",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
]
root_doc = "index"
exclude_patterns = ["_build", "auto_examples/**/*.ipynb", "auto_examples/**/*.py*"]
default_role = "py:obj"
suppress_warnings = ["config.cache"]
# No ends of sentences, at which the one-line descriptions of tables would break off.
autosummary.WELL_KNOWN_ABBREVIATIONS += ("App.", "Eq.", "Fig.", "Sec.")

# --- the API reference -----------------------------------------------------------------------

templates_path = ["_templates"]
autosummary_generate = True
autosummary_imported_members = False
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
numpydoc_class_members_toctree = False
# Parameters as in the signatures, each with a type; the sections in numpydoc's order.
numpydoc_validation_checks = {"PR02", "PR03", "PR04", "GL06", "GL07"}


# --- the gallery -----------------------------------------------------------------------------

warnings.filterwarnings("ignore", message=".*FigureCanvasAgg is non-interactive.*")
sphinx_gallery_conf = {
    "examples_dirs": ["../examples"],
    "gallery_dirs": ["auto_examples"],
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"distributed_fit\.py|(^|/)(_\w+|claims)\.py",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "min_reported_time": 0,
    "remove_config_comments": True,
    "doc_module": ("skntk",),
    "backreferences_dir": "api/backreferences",
    "reference_url": {"skntk": None},
}

# --- the bibliography ------------------------------------------------------------------------

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "alpha"

# --- how it looks ----------------------------------------------------------------------------

html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = f"skntk {version}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sourcelink = False
html_theme_options = {
    "navbar_align": "left",
    "show_prev_next": True,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
# Pages without others beside them need no list of these.
_ALONE = ["index", "install", "choose", "questions", "paper", "guaranteed", "bibliography"]
html_sidebars = {page: [] for page in [*_ALONE, "changelog"]}
myst_heading_anchors = 3


def unlinked(app, what, name, obj, options, lines):
    """Cut links of inherited docstrings to pages of other sites."""
    lines[:] = [re.sub(r":(?:ref|term):`([^<`]+?)\s*(?:<[^`]+>)?`", r"\1", line) for line in lines]


def write_claims(app):
    """Make the tables of the paper's claims from the reports of its scripts."""
    docs = Path(__file__).parent
    script = docs.parent / "examples" / "paper" / "claims.py"
    options = [docs / "paper_reports", "--output", docs / "paper_claims.inc"]
    subprocess.run([sys.executable, script, *options], check=True)


def setup(app):
    app.connect("autodoc-process-docstring", unlinked)
    app.connect("builder-inited", write_claims)
