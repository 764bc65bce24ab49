"""What the terminal and the CSV file say."""

import csv
import re
from pathlib import Path

import pytest
from rich.console import Console

from fkd import comparison
from tests.comparison.folders import write_run


def printed(folder: Path, rows: int = 20) -> str:
    console = Console(width=140, force_terminal=True, color_system="standard")
    with console.capture() as capture:
        for part in comparison.summary(folder, rows):
            console.print(part)
    return capture.get()


def is_bold(value: str, text: str) -> bool:
    return re.search(rf"\x1b\[1m *{re.escape(value)} *\x1b\[0m", text) is not None


def test_the_best_values_are_bold(tmp_path: Path) -> None:
    write_run(tmp_path / "a", {"model": "a"}, 5.0, parameters=3_000_000)
    write_run(tmp_path / "b", {"model": "b"}, 6.0, train_images_per_s=500.0)
    text = printed(tmp_path)
    for value in ("5.00", "0.500", "10.0", "0.57", "500"):
        assert is_bold(value, text), value
    for value in ("6.00", "3.00", "400"):
        assert value in text
        assert not is_bold(value, text), value


def test_runs_without_a_rank_stand_with_their_reason(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", status="failed: no [bold]such[/bold] net")
    (write_run(tmp_path / "c") / "result.json").write_text("{")
    text = printed(tmp_path)
    assert "2 runs without a rank" in text
    assert "failed: no [bold]such[/bold] net" in text
    assert "broken: result.json cannot be read" in text


def test_long_tables_are_cut(tmp_path: Path) -> None:
    for i in range(6):
        write_run(tmp_path / f"run{i}", {"optimizer.lr": i / 1000}, 5.0 + i)
        write_run(tmp_path / f"bad{i}", {"optimizer.lr": i}, 5.0, "failed: as usual")
    text = printed(tmp_path, rows=2)
    assert "the best 2 of 6 runs" in text
    assert text.count("as usual") == 2
    assert "7.00" not in text


def test_seeds_are_shown_with_their_deviation(tmp_path: Path) -> None:
    for seed, nme in enumerate((5.0, 5.2, 5.4)):
        write_run(tmp_path / str(seed), {"seed": seed}, nme)
    text = printed(tmp_path)
    assert is_bold("5.20 ± 0.20", text)
    assert "1 recipe by mean test NME" in text


@pytest.mark.parametrize("make", ["nothing", "gone", "file"])
def test_a_summary_never_fails(tmp_path: Path, make: str) -> None:
    folder = tmp_path / make
    if make == "nothing":
        folder.mkdir()
    elif make == "file":
        folder.touch()
    assert "cannot be compared" in printed(folder)


def test_the_csv_has_all_settings_and_scores(tmp_path: Path) -> None:
    write_run(tmp_path / "b", {"model": "b, c"}, 6.0)
    write_run(tmp_path / "a", {"model": "a", "model.net.width": 64}, 5.0)
    write_run(tmp_path / "c", status='failed: "why"', test=None, best=None)
    comparison.write_csv(tmp_path / "runs.csv", comparison.rank(comparison.read([tmp_path]), "auto"))
    with (tmp_path / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["rank"], row["run"], row["status"]) for row in rows] == [
        ("1", "a", "done"),
        ("2", "b", "done"),
        ("", "c", "failed"),
    ]
    assert rows[2]["reason"] == '"why"'
    assert (rows[0]["model.net.width"], rows[1]["model.net.width"], rows[1]["model"]) == ("64", "", "b, c")
    assert (rows[0]["test/nme_interocular"], rows[0]["best/val/nme"], rows[0]["parameters"]) == ("5.0", "6.0", "571032")
    assert float(rows[0]["test/part/jaw"]) > 0
    assert rows[2]["test/nme_interocular"] == ""
