"""How the documentation is built: sphinx -W -b html docs docs/_build/html."""

from __future__ import annotations

import os
import re
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import fragments

from connectrial import __version__

fragments.write(HERE / "generated")

project = "connectrial"
author = "The connectrial developers"
copyright = f"2026, {author}"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "examples", "generated/_*.md", "gallery/*.ipynb"]
# A clone may lie in a folder with spaces in its name.
suppress_warnings = ["sphinx_gallery.space_in_filename"]
templates_path = ["_templates"]
myst_enable_extensions = ["colon_fence", "deflist", "substitution"]
myst_heading_anchors = 4
# The screenshot is not there on every machine that builds the pages.
has_report_image = (HERE / "images" / "report.png").is_file()
myst_substitutions = {
    "report_image": "![The report of the simulated trial](images/report.png)"
    if has_report_image
    else ""
}

autosummary_generate = True
autosummary_generate_overwrite = True
autodoc_typehints = "none"  # docstrings say it in words, with shapes and units
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"plot_",
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ("matplotlib", "gallery_figures"),
    "abort_on_example_error": True,
    "download_all_examples": False,
    "capture_repr": ("_repr_html_",),
    "show_signature": False,
    "show_memory": False,
    "write_computation_times": False,
    "remove_config_comments": True,
    "backreferences_dir": None,
}
warnings.filterwarnings("ignore", message=".*FigureCanvasAgg is non-interactive.*")

html_theme = "furo"
html_title = "connectrial"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_extra_path = ["generated/study.schema.json"]


def _absolute_values(app, what, name, obj, options, lines):
    """Let docstrings write |t|, which reStructuredText would take for a substitution."""
    lines[:] = [re.sub(r"(?<![`|\w])\|(\w+)\|(?![`|])", r"``|\1|``", line) for line in lines]


def setup(app):
    app.connect("autodoc-process-docstring", _absolute_values)
