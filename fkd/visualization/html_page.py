"""HTML pages that are one file: style, scripts, images and data are inside, so that they open offline."""

import re
from collections.abc import Mapping
from pathlib import Path

from fkd.io.atomic import whole_file


def write_page(path: Path, template: Path, parts: Mapping[str, str]) -> None:
    """Write a page; its folder must exist.

    Args:
        template: a folder with `page.html`, whose ``{{name}}`` are replaced, and `page.css` for its ``{{style}}``.
        parts: name -> HTML.
    """
    html, style = ((template / f"page.{suffix}").read_text(encoding="utf-8") for suffix in ("html", "css"))
    content = re.sub(r"\{\{(\w+)\}\}", lambda found: {**parts, "style": style}[found[1]], html)
    with whole_file(path) as file:
        file.write(content.encode("utf-8", "replace"))
