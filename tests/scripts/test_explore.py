"""scripts/explore.py as a user runs it: the page, what lies beside it, and what is said to wrong input."""

import base64
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fkd import dataset_report, weights
from fkd.dataset_report import checks
from fkd.dataset_report.checks import Finding
from fkd.io import images
from tests.conftest import Outcome

Script = Callable[..., Outcome]
FOUND = [
    Finding("broken", "Broken labels", "fault", 1, 40, "One is broken.", "Leave it out.", (5,), (0, 1)),
    Finding("notable", "Worth knowing", "note", 2, 40, "Known <script>alert(1)</script>.", "Know it.", (1, 2)),
]


@pytest.fixture
def diagnosed(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """The checks find always the same; what they were given comes back."""
    asked: list[tuple] = []

    def examine(*arguments: object) -> list[Finding]:
        asked.append(arguments)
        return FOUND

    monkeypatch.setattr("fkd.commands.explore.examine", examine)
    return asked


@pytest.fixture
def _undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the page, whose figures take seconds."""
    monkeypatch.setattr(dataset_report, "write_page", lambda *given: None)


class Page(HTMLParser):
    """Tags of a page with all their attributes, and its headings in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.titles: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] in ("h2", "span"):
            self.titles.append(data.strip())


def on(root: Path) -> tuple[str, ...]:
    return ("data=udacity", f"data.root={root}", "data.cache_dir=cache", "data.val_share=0.3")


def test_the_page_is_one_file_that_needs_nothing_else(script: Script, faces_root: Path, diagnosed: list) -> None:
    outcome = script("explore", *on(faces_root), "output=out", "faces=3")
    assert outcome.status == 0, outcome.err
    names = {path.name for path in Path("out").iterdir()}
    sheets = {"train", "val", "test", "smallest", "largest", "turned", "finding_notable", "finding_broken"}
    assert names == {"report.html", "report.json", "exclude.txt"} | {f"{name}.png" for name in sheets}

    text = Path("out/report.html").read_text()
    page = Page(text)
    sources = [given["src"] or "" for tag, given in page.tags if tag == "img"]
    assert len(sources) == 6 * 3 + 2 + 1 + 1 + 2 + 4 + 10  # faces; subjects; shape, modes and measures
    assert all(re.match(r"data:image/(jpeg|svg\+xml);base64,", source or "") for source in sources)
    for source in sources[:3]:
        assert base64.b64decode(source.partition(",")[2]).startswith(b"\xff\xd8") == ("jpeg" in source)
    links = [given["href"] or "" for tag, given in page.tags if "href" in given]
    assert links
    assert all(link.startswith("#") for link in links)
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.tags}
    assert not re.search(r"https?:|url\(|@import", text)
    assert page.titles.index("fault") < page.titles.index("note")  # the most serious first
    assert "shows photographs of people" in text
    assert "data.exclude=FILE" in text
    ids = {given.get("id") for _, given in page.tags}
    assert {link[1:] for link in links} <= ids

    assert "data.exclude=out/exclude.txt" in outcome.out
    assert outcome.out.index("Broken labels") < outcome.out.index("Worth knowing")
    assert images.read(Path("out/train.png"), 3).shape[:2] == (224 + 16, 3 * 226 - 2)
    content = json.loads(Path("out/report.json").read_text())
    assert content["counts"]["all"] == {"faces": 40, "images": 40, "subjects": 10}
    assert content["shared"]["train and test"]["subjects"] + content["shared"]["val and test"]["subjects"] == 10
    assert [finding["name"] for finding in content["findings"]] == ["broken", "notable"]
    assert content["excluded"] == 2


@pytest.mark.usefixtures("_undrawn")
def test_the_list_is_taken_by_the_next_look_which_then_writes_none(
    script: Script, faces_root: Path, diagnosed: list
) -> None:
    script("explore", *on(faces_root), "output=out", "faces=1")
    before = Path("out/exclude.txt").read_text()
    outcome = script("explore", *on(faces_root), "output=out", "faces=1", "data.exclude=out/exclude.txt")
    assert outcome.status == 0, outcome.err
    assert json.loads(Path("out/report.json").read_text())["counts"]["all"]["faces"] == 38
    assert Path("out/exclude.txt").read_text() == before
    assert "data.exclude=null" in outcome.out
    (_, _, root, _), (_, _, none, _) = diagnosed
    assert (root, none) == (faces_root, None)


def test_a_set_that_takes_no_list_is_offered_none(script: Script, diagnosed: list) -> None:
    drawn = ("data=synthetic", "data.root=drawn", "data.subjects=6", "data.frames=7", "data.size=96", "channels=1")
    outcome = script("explore", *drawn, "output=out", "faces=1")
    assert outcome.status == 0, outcome.err
    assert not Path("out/exclude.txt").exists()
    page = Path("out/report.html").read_text()
    assert "exclude" not in outcome.out + page
    assert "2 of 28 training faces; data=synthetic takes no list of them" in outcome.out
    assert "2 of 28 training faces; data=synthetic takes no list of them" in page


@pytest.mark.usefixtures("_undrawn")
def test_the_checks_are_run_and_given_the_net(
    script: Script, faces_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    examine = checks.examine
    monkeypatch.setattr("fkd.commands.explore.examine", lambda *given: asked.append(given) or examine(*given))
    outcome = script("explore", *on(faces_root), "output=out", "faces=1", f"ckpt={weights.checkpoint(None)}")
    assert outcome.status == 0, outcome.err
    (faces, net, _, trained) = asked[0]
    assert (len(faces.table), net.metadata.model, len(trained) > 0) == (40, "compact", True)
    names = {finding["name"] for finding in json.loads(Path("out/report.json").read_text())["findings"]}
    assert "subjects" in names  # everybody of the test is in training


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["output: expected a value"]),
        (["output=out", "samples=3"], ["samples: no such key; did you mean sample"]),
        (["output=out", "sample=1"], ["sample: expected a whole number from 2 on, found 1"]),
        (["output=out", "faces=none"], ["faces: expected a whole number from 1 on, found 'none'"]),
        (["output=file/out"], ["file/out: expected a folder that can be written to"]),
        (["output=out", "ckpt=sintetic"], ["ckpt=sintetic: expected a checkpoint", "did you mean synthetic?"]),
        (["output=out", "ckpt=gone.ckpt"], ["ckpt=gone.ckpt: expected a checkpoint, found no such file"]),
        (["output=out", "data.root=gone"], ["data.root", "gone", "found no such f"]),
    ],
)
def test_wrong_input_is_one_line_before_the_long_work(
    script: Script, faces_root: Path, arguments: list[str], parts: list[str]
) -> None:
    Path("file").touch()
    outcome = script("explore", *on(faces_root), *arguments)
    assert outcome.status == 2
    (line,) = outcome.err.splitlines()
    for part in parts:
        assert part in line
    assert outcome.out == ""
    assert not Path("out").exists()
