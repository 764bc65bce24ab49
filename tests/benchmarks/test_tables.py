"""Each table of README and documentation is made of the files in `results/`; how that is done, on toy files."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.tables import __main__ as command
from benchmarks.tables.contents import TABLES
from benchmarks.tables.markdown import listed, measured
from benchmarks.tables.pages import Table, parts, write
from fkd.errors import UserError
from tests.conftest import PROJECT
from tests.docs.pages import PAGES, unfenced

VERSIONS = "docs/dependencies.md"
FIGURE = re.compile(r"\| \**\d[\d,]*(\.\d| ?%(?! interval)|x\b| (ms|s|MB)\b)")
"""A cell that starts with a figure which was measured, or with a version."""


@pytest.mark.parametrize("name", TABLES)
def test_the_table_of_a_page_is_that_of_its_files(name: str) -> None:
    table = TABLES[name]
    _, shown, _ = parts(PAGES[table.page], name, table.page)
    files = ", ".join(f"results/{source}" for source in table.sources)
    why = f"{table.page}: the table {name} is not that of {files}; run python -m benchmarks.tables"
    assert shown == table.text(PROJECT), why
    on_a_line = re.search(f"^<!-- {name} -->$", PAGES[table.page], re.M) is not None
    assert on_a_line != table.is_inline, "Markdown takes a line that starts with a comment for HTML"


def tables_by_hand(text: str) -> list[str]:
    """The tables of a page that have figures and stand between no marks."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    text = re.sub(r"<!-- (\w+) -->.*?<!-- /\1 -->", "", text, flags=re.S)
    return [found for found in re.findall(r"(?:^\|.*\n)+", text, re.M) if FIGURE.search(found)]


@pytest.mark.parametrize("page", sorted(PAGES.keys() - {VERSIONS}))
def test_no_table_with_figures_is_written_by_hand(page: str) -> None:
    assert tables_by_hand(PAGES[page] + "\n") == []


def test_a_table_by_hand_is_found() -> None:
    text = "| a | b |\n| --- | --- |\n| c | 4.2 % |\n"
    assert tables_by_hand(text) == [text]
    assert tables_by_hand(f"<!-- mine -->\n{text}\n<!-- /mine -->\n| a |\n") == []


def test_marks_are_of_tables() -> None:
    for page, text in PAGES.items():
        for name in re.findall(r"<!-- /(\w+) -->", unfenced(text)):
            assert TABLES[name].page == page


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Two tables of one page and their files."""
    (tmp_path / "results/many").mkdir(parents=True)
    for number in range(2):
        path = tmp_path / f"results/many/{number}.json"
        path.write_text(
            json.dumps({"ms": number, "date": f"2026-01-0{number + 1}T10", "environment": {"processor": "Z80"}})
        )
    (tmp_path / "results/one.json").write_text(
        json.dumps({"ms": 7, "date": "2026-02-01", "machine": "a 6502", "entered": "1"})
    )
    page = "in <!-- few -->old<!-- /few --> words\n\n<!-- all -->\n| old |\n<!-- /all -->\nend\n"
    (tmp_path / "page.md").write_text(page)
    return tmp_path


def row(many: list[dict[str, Any]], one: dict[str, Any]) -> str:
    return f"| {' '.join(str(each['ms']) for each in (*many, one))} |\n"


TOYS = {
    "few": Table("page.md", ("one.json",), lambda one: f"{one['ms']} ms", is_inline=True),
    "all": Table("page.md", ("many", "one.json"), row),
}


def test_all_tables_are_written_and_what_is_new_is_told(clone: Path) -> None:
    assert write(TOYS, clone) == ["page.md: few", "page.md: all"]
    assert (clone / "page.md").read_text() == (
        "in <!-- few -->7 ms<!-- /few --> words\n\n<!-- all -->\n| 0 1 7 |\n\n"
        "*Measured 2026-01-01 to 2026-02-01; Z80; a 6502; from `results/many`, `results/one.json` (entered by hand).*\n"
        "<!-- /all -->\nend\n"
    )
    assert write(TOYS, clone) == []
    path = clone / "results/one.json"
    path.write_text(path.read_text().replace("7", "8"))
    assert write({"all": TOYS["all"]}, clone) == ["page.md: all"]


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("page.md", None, r"page\.md: expected a Markdown file, found none .*; run this in the clone of fkd"),
        ("page.md", "<!-- few -->", r"page\.md: expected <!-- few --> and <!-- /few --> once each"),
        ("page.md", "<!-- /few --><!-- few -->", r"page\.md: expected <!-- few --> and"),
        ("page.md", "<!-- few --><!-- few --><!-- /few -->", r"page\.md: expected <!-- few --> and"),
        ("results/one.json", None, r"one\.json: expected the results of a benchmark, found none"),
        ("results/one.json", "{", r"one\.json: expected JSON, found other text"),
        ("results/one.json", "[]", r"results/one\.json: expected what a table of page\.md is made of, .*TypeError"),
        ("results/one.json", '{"m": 1}', r"results/one\.json: expected what a table of .*KeyError\('ms'\)"),
    ],
)
def test_what_cannot_be_made_is_one_line(clone: Path, path: str, text: str | None, message: str) -> None:
    if text is None:
        (clone / path).unlink()
    else:
        (clone / path).write_text(text)
    with pytest.raises(UserError, match=message):
        write(TOYS, clone)


def test_nothing_is_written_where_one_table_cannot_be_made(clone: Path) -> None:
    before = (clone / "page.md").read_text()
    (clone / "results/many/0.json").write_text('{"ms": 1}')
    (clone / "results/many/1.json").write_text("")
    with pytest.raises(UserError):
        write(TOYS, clone)
    assert (clone / "page.md").read_text() == before


def test_listed_figures_are_shown_with_the_digits_of_their_columns() -> None:
    results = {
        "columns": {"": "", "faces": "", "NME": "{:.2f} %"},
        "rows": [["a", 1467, 7.0], ["b", "70 each", [69, {"mean": 6.5, "sd": 0.1}]], ["c", None, None]],
    }
    assert listed(results) == (
        "| | faces | NME |\n| --- | --- | --- |\n"
        "| a | 1,467 | 7.00 % |\n| b | 70 each | 69; 6.50 % ± 0.10 |\n| c | | |\n"
    )


def test_a_table_says_when_and_where_or_is_refused() -> None:
    found = {
        "runs": [{"date": "2026-03-02T11:00", "environment": {"processor": "A"}, "measured": {"date": "2026-03-04"}}]
    }
    assert measured([found]) == "Measured 2026-03-02 to 2026-03-04; A"
    assert measured({"date": "2026-03-02", "machine": "b"}) == "Measured 2026-03-02; b"
    with pytest.raises(ValueError, match="no date"):
        measured({"machine": "b"})


def test_the_command_says_that_all_is_well_or_what_is_new(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(clone)
    monkeypatch.setattr(command, "TABLES", TOYS)
    command.main([])
    assert capsys.readouterr().out == "page.md: few\npage.md: all\n"
    command.main([])
    assert capsys.readouterr().out == "all 2 tables are those of results/\n"


@pytest.mark.parametrize(
    ("name", "source", "path", "value", "shown"),
    [
        ("good_accuracy", "recipe.json", "scores.keypoints.nme_interocular", 9.94, "points 9.9 % of"),
        ("good_training", "training_speed.json", "figures.compact, 96 px.2.median", 1.26, "1.3 to 7.6 times"),
        (
            "good_prediction",
            "prediction_speed.json",
            "figures.one face, one thread.2.median",
            0.123,
            "0.12 ms in eight",
        ),
        ("good_detector", "detectors.json", "detectors.fkd.sets.300w.found", 0, "misses 554 of 554"),
        ("good_light", "light_use.json", "megabytes", 99.6, "and 100 MB"),
        ("light_use", "light_use.json", "torch_seconds", 9.91, "alone takes 9.9 s"),
        ("recipe", "packaged_nets.json", "evaluations.udacity_detector.net.missed_faces", 77, "| 77 of 685 |"),
        (
            "recipe",
            "packaged_nets.json",
            "evaluations.udacity_jitter.mean_shape.nme_interocular",
            30.04,
            "| 30.0 % |",
        ),
        ("udacity", "packaged_nets.json", "evaluations.udacity_detector.net.auc_10", 0.1234, "as in use) | 0.123 |"),
        ("four_points", "four_points.json", "runs.0.mean_shape_nme", 99.0, "| the mean face | "),
        (
            "three_nets",
            "trained_on.json",
            "tests.300w.scores.mixture.nme_interocular",
            1.2345,
            "| `wild` | 1.23, 0.0 |",
        ),
        ("losses", "losses", "0.scores.keypoints.nme_interocular", 1.26, "| 1.3, "),
        (
            "training_speed",
            "training_speed.json",
            "figures.compact, 96 px.2.median",
            9.94,
            "---\n| `compact`, 96 px | 295",
        ),
        ("prediction_speed", "prediction_speed.json", "figures.200 x 200, one thread.1.median", 0.456, "| 5.9; 0.46 |"),
    ],
)
def test_each_figure_is_that_of_the_file(name: str, source: str, path: str, value: float, shown: str) -> None:
    """A figure is changed in what a table is made of; the table then shows it."""
    table, contents = TABLES[name], []

    def keep(*found: Any) -> str:
        contents.extend(found)
        return ""

    replace(table, make=keep, is_inline=True).text(PROJECT)
    before = table.make(*contents)
    *keys, last = path.split(".")
    content = contents[table.sources.index(source)]
    for key in keys:
        content = content[int(key) if isinstance(content, list) else key]
    content[last] = value
    after = table.make(*contents)
    assert after != before
    assert shown.replace("---\n", "--- |\n") in after
