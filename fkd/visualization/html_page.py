"""HTML pages that are one file: style, scripts, images and data are inside, so that they open offline."""

import base64
import hashlib
import html
import re
from collections.abc import Mapping
from pathlib import Path

from fkd.errors import printable
from fkd.io.atomic import whole_file


def escape(text: str) -> str:
    """Text as HTML, in an element or between quotes; its control characters are shown."""
    return html.escape(printable(text))


def write_page(path: Path, template: Path, parts: Mapping[str, str], scripts: Mapping[str, str] | None = None) -> None:
    """Write a page, which may load nothing and run nothing but its own scripts; its folder must exist.

    Args:
        template: a folder with `page.html`, whose ``{{name}}`` are replaced, and `page.css` for its ``{{style}}``.
        parts: name -> HTML.
        scripts: name -> JavaScript, each the whole content of an element.
    """
    page, style = ((template / f"page.{suffix}").read_text(encoding="utf-8") for suffix in ("html", "css"))
    scripts = scripts or {}
    allowed = " ".join(map(_source, scripts.values())) or "'none'"
    styles = "'unsafe-inline'" if scripts else _source(style)  # Plotly adds styles; they can load nothing
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src {styles}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    values = {**parts, **scripts, "style": style, "policy": head}
    content = re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], page)
    with whole_file(path) as file:
        file.write(content.encode("utf-8", "replace"))


def _source(content: str) -> str:
    """A script or style as Content-Security-Policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode('utf-8', 'replace')).digest()).decode()}'"
