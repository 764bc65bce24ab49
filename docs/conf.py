"""Settings of Sphinx: python -m sphinx -W -b html docs outputs/docs"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import fkd

project, author, release = "fkd", "The fkd developers", fkd.__version__
project_copyright = author
extensions = ["docs.extension", "myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["extension"]
html_theme, html_title = "furo", f"fkd {release}"
html_static_path, html_css_files = ["static"], ["fkd.css"]
html_show_sourcelink = html_copy_source = False
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
default_role = "code"  # of docstrings
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
