"""Settings of Sphinx: python -m sphinx -W -b html docs outputs/docs"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import fkd

project, author, release = "fkd", "The fkd developers", fkd.__version__
project_copyright = author
extensions = ["docs.extension", "myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["extension"]
html_theme, html_title = "furo", f"fkd {release}"
html_static_path, html_css_files = ["static"], ["fkd.css"]
html_show_sourcelink = html_copy_source = False
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nb_execution_mode, nb_execution_raise_on_error = "force", True  # no cache: it would not see what changed in fkd
nb_execution_in_temp = True  # runs and synthetic faces of notebooks
nb_execution_timeout = 600  # seconds of a cell, on a machine with other work
nb_output_stderr, nb_merge_streams = "remove", True  # progress bars; outputs that are printed in pieces
nb_mime_priority_overrides = [("html", "image/jpeg", 45)]  # before PNG, which is ten times as large
os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads of small nets would wait for each other
default_role = "code"  # of docstrings
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
