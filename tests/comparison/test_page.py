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
from fkd.comparison.page import write_page
from tests.comparison.folders import write_run
from tests.comparison.test_paired import annotations

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def write(folder: Path) -> str:
    ranking = comparison.rank(comparison.read([folder]), "auto")
    write_page(folder / "page.html", ranking, "a <b>judgement</b>", comparison.draw(ranking, 20), 2, 3)
    return (folder / "page.html").read_text()


def data_of(page: str) -> Any:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)
    assert found is not None
    return json.loads(found[1])


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    table = annotations(people=3, frames=4)
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


def test_each_recipe_is_drawn_before_any_is_drawn_twice(runs: Path) -> None:
    data = data_of(write(runs))
    assert data["chosen"] == [0, 2]  # 5.0 and 6.0, not 5.0 and 5.1
    assert [curve["run"] for curve in data["curves"]] == [0, 2, 1, 3, 4]
    assert data["overlays"].startswith("no pictures: ")  # the runs' configs name no source
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


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_shows_tables_and_charts(runs: Path, tmp_path: Path) -> None:
    write(runs)
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
    command = [str(CHROMIUM), *quiet, f"--user-data-dir={tmp_path}/profile", "--virtual-time-budget=5000", "--dump-dom"]
    done = subprocess.run(
        [*command, f"file://{runs}/page.html"], capture_output=True, text=True, timeout=60, check=True
    )
    body = done.stdout.split("<script>")[0]
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
