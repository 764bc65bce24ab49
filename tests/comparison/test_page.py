"""The page holds all it needs, and opens in a browser."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fkd import comparison
from fkd.comparison.charts import error_steps
from fkd.comparison.columns import COLUMNS
from fkd.comparison.page import write_page
from fkd.comparison.ranking import Spread
from tests.comparison.folders import PARTS, write_run
from tests.comparison.test_significance import annotations

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def write(folder: Path, judgement: str | None = "a <b>judgement</b>") -> str:
    ranking = comparison.rank(comparison.read([folder]), "auto")
    write_page(folder / "page.html", ranking, judgement, comparison.draw(ranking, 24), 2, 3)
    return (folder / "page.html").read_text()


def data_of(page: str) -> Any:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)
    assert found is not None
    return json.loads(found[1])


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    table = annotations(subjects=3, frames=4)
    for seed in range(2):
        for model, nme in (("compact", 5.0), ("</script><b>", 6.0)):
            name = f"{model.strip('</>')}{seed}".replace("/", "_")
            settings = {"model": model, "seed": seed}
            write_run(tmp_path / name, settings, nme + seed / 10, faces=table, noise=seed, parameters=int(nme * 1e6))
    write_run(tmp_path / "lost", {"model": "conv5"}, status="failed: no [room] & <time>", test=None, best=None)
    (tmp_path / "lost" / "metrics.csv").unlink()
    return tmp_path


def test_the_page_is_one_file_whatever_runs_are_called(runs: Path) -> None:
    page = write(runs)
    assert page.count("</script>") == 3
    assert not re.search(r"""<(script|img|link)[^>]*(src|href)=["']?(https?:)?//""", page)
    assert "{{" not in page.split("<script>")[0]
    data = data_of(page)
    assert data["counts"] == {"done": 4, "failed": 1}
    rows = data["runs"]["rows"]
    assert [row["place"] for row in rows] == [1, 2, 3, 4, None]
    assert rows[4]["state"] == "failed: no [room] & <time>"
    assert [group["cells"][1]["text"] for group in data["groups"]["rows"]] == ["2", "2"]
    assert data["groups"]["rows"][0]["cells"][4]["text"] == "5.05 ± 0.07"  # test NME; 0.1 / sqrt(2)
    assert [cell["text"] for cell in rows[0]["cells"]][-3:] == ["5.00", "400", "90 s"]
    assert [cell["text"] for cell in rows[4]["cells"]][-3:] == ["0.57", "400", "90 s"]


def test_each_recipe_is_drawn_before_any_is_drawn_twice(runs: Path) -> None:
    data = data_of(write(runs))
    assert data["chosen"] == [0, 2]  # 5.0 and 6.0, not 5.0 and 5.1
    assert [curve["run"] for curve in data["curves"]] == [0, 2, 1, 3, 4]
    assert data["overlays"].startswith("no images: ")  # the runs' configs name no source
    assert data["overlaid"] == [0, 2]


def test_an_error_curve_is_thinned_without_moving() -> None:
    errors = np.append(np.random.default_rng(0).gamma(4, 1.2, 5000), [np.inf] * 100)
    curve = error_steps(errors)
    assert len(curve["x"]) <= 402
    for x, y in zip(curve["x"], curve["y"], strict=True):
        assert y == pytest.approx(100 * np.mean(errors <= x), abs=0.05)
    steps = np.linspace(0, 10, 20_001)
    assert curve["auc"] == pytest.approx(np.mean([np.mean(errors <= x) for x in steps]), abs=1e-3)
    few = error_steps(np.array([4.0, 2.0, np.inf, 6.0]))
    assert few == {"x": [0.0, 2.0, 4.0, 6.0, 10.0], "y": [0.0, 25.0, 50.0, 75.0, 75.0], "auc": 0.45}
    assert error_steps(np.array([11.0, np.inf])) == {"x": [0.0, 10.0], "y": [0.0, 0.0], "auc": 0.0}


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.3, "0 s"), (599.0, "599 s"), (600.0, "10 min"), (35_000.0, "583 min"), (36_000.0, "10.0 h")],
)
def test_times_are_in_a_unit_that_fits(seconds: float, shown: str) -> None:
    assert COLUMNS[-1].text(seconds) == COLUMNS[-1].spread(Spread(seconds, 1.0)) == shown


def body_of(page: Path, profile: Path) -> str:
    """What a browser has made of it."""
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
    command = [str(CHROMIUM), *quiet, f"--user-data-dir={profile}", "--virtual-time-budget=5000", "--dump-dom"]
    command += ["--enable-logging=stderr", f"file://{page}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not said  # no script fails, and nothing breaks the page's Content-Security-Policy
    return done.stdout.split("<script>")[0]


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_twenty_runs_and_more_are_told_apart(tmp_path: Path) -> None:
    for number in range(24):
        write_run(tmp_path / "runs" / str(number), {"optimizer.lr": number / 1000}, 5.0)
    write(tmp_path / "runs", None)
    body = body_of(tmp_path / "runs" / "page.html", tmp_path / "profile")
    table = body.split('<table id="runs">')[1].split("</table>")[0]
    strokes = re.findall(r'stroke="(#\w+)" stroke-width="3" stroke-dasharray="([^"]*)"', table)
    assert len(set(strokes)) == len(strokes) == 24
    assert 'class="number best"' not in table  # all are alike
    assert re.search(r'<p id="judgement" hidden=', body)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_what_runs_are_called_makes_no_links_and_only_the_pages_own_scripts_run(tmp_path: Path) -> None:
    link = '<a href="https://example.com/x">jaw</a>'
    scores = {"nme_interocular": 5.0, "per_part": {link: 4.0, "nose_bridge": 5.0}}
    table = annotations(subjects=2, frames=2)
    for name in ("a", "b"):
        write_run(tmp_path / "runs" / name, {"model": f"{link}{name}"}, test=scores, faces=table, crops=(0, 1))
    page = write(tmp_path / "runs", None)
    body = body_of(tmp_path / "runs" / "page.html", tmp_path / "profile")
    assert "<a " not in body.split("<body>")[1]
    assert "example.com" in body.split('<div id="parts"')[1].split("</figure>")[0]
    assert body.count('src="data:image/jpeg') == 4  # 2 faces, 2 runs
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy[1].replace("style-src 'unsafe-inline'", "")  # no other place
    changed = page.replace("draw();\n</script>", "draw();\ndocument.title = 1;\n</script>")
    assert changed != page
    (tmp_path / "runs" / "page.html").write_text(changed)
    with pytest.raises(AssertionError, match="Executing inline script violates"):
        body_of(tmp_path / "runs" / "page.html", tmp_path / "profile")


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_shows_tables_and_charts(runs: Path, tmp_path: Path) -> None:
    write(runs)
    body = body_of(runs / "page.html", tmp_path / "profile")
    tables = {name: re.search(rf'<table id="{name}">(.*?)</table>', body, re.S) for name in ("runs", "groups")}
    assert tables["runs"] is not None
    assert tables["groups"] is not None
    assert tables["runs"][1].count("<tr>") == 6
    assert tables["groups"][1].count("<tr>") == 3
    assert tables["runs"][1].count('type="checkbox"') == 5
    assert "failed: no [room] &amp; &lt;time&gt;" in tables["runs"][1]
    assert 'class="number best">5.00<' in tables["runs"][1]
    assert 'class="number best">5.05 ± 0.07<' in tables["groups"][1]
    assert "a &lt;b&gt;judgement&lt;/b&gt;" in body
    for chart in ("ced", "nme", "loss", "parts", "parameters", "images_per_s"):
        drawn = body.split(f'<div id="{chart}"')[1].split("</figure>")[0]
        assert drawn.count("<path") >= 2, chart


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("tested", ["all", "some", "none"])
def test_parts_are_those_of_the_validation_where_a_run_was_not_tested(tmp_path: Path, tested: str) -> None:
    scores = {"nme_interocular": 5.0, "per_part": {"jaw": 4.0, "nose": 5.0}}
    for name in ("a", "b"):
        test = scores if tested == "all" or (tested == "some" and name == "a") else None
        write_run(tmp_path / "runs" / name, {"model": name}, test=test)
    write(tmp_path / "runs")
    body = body_of(tmp_path / "runs" / "page.html", tmp_path / "profile")
    title = re.search(r'<small id="parts-of">(.*?)</small>', body)
    assert title is not None
    assert title[1] == ("on the test faces" if tested == "all" else "on the validation faces, best epoch")
    chart = body.split('<div id="parts"')[1].split("</figure>")[0]
    assert chart.count('class="point"') == 2 * (2 if tested == "all" else len(PARTS))
    costs = body.split('<div id="parameters"')[1].split("</figure>")[0]
    assert f"{'test' if tested == 'all' else 'val'} NME (inter-ocular, %)" in costs
