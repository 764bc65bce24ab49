"""Pages run and load nothing but their own."""

import base64
import hashlib
from pathlib import Path

import pytest

from fkd.visualization.html_page import escape, write_page


@pytest.mark.parametrize("scripts", [None, {"script": "let a = 'é';"}])
def test_the_policy_names_the_pages_own_scripts_and_style(tmp_path: Path, scripts: dict[str, str] | None) -> None:
    template = "<head>{{policy}}<style>{{style}}</style></head>{{text}}" + (
        "<script>{{script}}</script>" if scripts else ""
    )
    (tmp_path / "page.html").write_text(template)
    (tmp_path / "page.css").write_text("p { color: red }")
    write_page(tmp_path / "out.html", tmp_path, {"text": "{{style}}"}, scripts)
    page = (tmp_path / "out.html").read_text("utf-8")
    own = scripts["script"] if scripts else "p { color: red }"
    digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
    assert f"{'script' if scripts else 'style'}-src 'sha256-{digest}'" in page
    assert "default-src 'none'; " in page
    assert "img-src data:; base-uri 'none'; form-action 'none'" in page
    assert scripts or "script-src 'none'" in page
    assert page.count("{{style}}") == 1  # what a part holds is not replaced


def test_text_is_escaped_and_its_control_characters_are_shown() -> None:
    assert escape('<a href="x">\u202e\x1b') == "&lt;a href=&quot;x&quot;&gt;\\u202e\\x1b"
