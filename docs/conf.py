"""How Sphinx builds the site: `make docs`."""

import os
import re

import tfrobust
from tfrobust.cli import quiet

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
quiet.start_tensorflow()

project = "tfrobust"
copyright = "The tfrobust developers"
version = release = tfrobust.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx_copybutton"]
exclude_patterns = ["_build"]
nb_execution_mode = "off"  # notebooks are executed by tests/documents_test.py, and stand here with what they printed
myst_heading_anchors = 3
suppress_warnings = ["config.cache"]

autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # of Keras, whose docstrings are not ours
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_custom_sections = [("Attributes", "params_style")]

html_sidebars = {name: [] for name in ("index", "quickstart", "comparison", "results")}  # which have no neighbors
html_theme = "pydata_sphinx_theme"
html_title = f"tfrobust {release}"
html_theme_options = {
    "navbar_align": "left",
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}


def setup(app):
    """Docstrings are plain text: what stands between backticks is code, and no other sign means anything."""
    app.connect("autodoc-process-docstring", _as_plain_text, priority=1)


def _as_plain_text(app, what, name, obj, options, lines):
    text = "\n".join(lines)
    parts = re.split(r"(`[^`]+`|^ *(?:>>>|\.\.\.) .*$)", text, flags=re.MULTILINE)
    for place, part in enumerate(parts):
        if place % 2 == 0:
            parts[place] = re.sub(r"([*|\\])", r"\\\1", part)
        elif part.startswith("`"):
            parts[place] = f"`{' '.join(part.split())}`\\ "  # `Ball`s, too
    lines[:] = "".join(parts).split("\n")
