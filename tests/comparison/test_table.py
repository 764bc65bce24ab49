"""What the terminal and the CSV file say."""

import csv
import re
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from fkd import comparison
from tests.comparison.folders import write_run


def printed(folder: Path, width: int = 140) -> str:
    return written(comparison.summary(folder), width)


def written(parts: list[RenderableType], width: int = 140) -> str:
    console = Console(width=width, force_terminal=True, color_system="standard")
    with console.capture() as capture:
        for part in parts:
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
    text = written(comparison.shown(comparison.compare([tmp_path], "auto"), None, 2))
    assert "the best 2 of 6 runs" in text
    assert text.count("as usual") == 2
    assert "7.00" not in text


def test_seeds_are_shown_with_their_deviation(tmp_path: Path) -> None:
    for seed, nme in enumerate((5.0, 5.2, 5.4)):
        write_run(tmp_path / str(seed), {"seed": seed}, nme)
    text = printed(tmp_path)
    assert not is_bold("5.20 ± 0.20", text)  # nothing to be better than
    assert "1 recipe by mean test NME" in text
    assert re.search(r" 1  3 seeds +5\.20 ± 0\.20 ", text)
    write_run(tmp_path / "other", {"model": "other"}, 6.0)
    text = printed(tmp_path)
    assert is_bold("5.20 ± 0.20", text)
    assert re.search(r" 1  compact +3 +\S*5\.20 ± 0\.20", text)


def test_where_all_are_alike_none_is_the_best(tmp_path: Path) -> None:
    for model in ("a", "b"):
        write_run(tmp_path / model, {"model": model}, 5.0)
    text = printed(tmp_path)
    assert text.count("5.00") == 2
    assert not is_bold("5.00", text)


WIDE = {
    "optimizer.weight_decay": 0.00012345,
    "model.net.activation_function": "leaky_relu",
    "augmentation": "strong",
    "loss": "smoothl1",
    "scheduler": "cosine",
}


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_no_width_breaks_words_or_numbers(tmp_path: Path, width: int) -> None:
    write_run(tmp_path / "0", WIDE | {"optimizer.lr": 0.000123456}, 5.0)
    plain = {key: "other" for key in WIDE if key != "optimizer.weight_decay"}
    write_run(tmp_path / "1", plain | {"optimizer.lr": 0.3, "optimizer.weight_decay": 0.5}, 16.0)
    name = "2_augmentation=strong,loss=smoothl1,model=naimish_bn,optimizer.lr=0.000123456"
    write_run(tmp_path / name, status="failed: there is no such thing as " * 3)
    text = re.sub("\x1b.*?m", "", printed(tmp_path, width=width))
    assert max(map(len, text.splitlines())) <= width
    words = text.replace("\n", " ").split()
    joined = text.replace(",", " ").replace("=", " ").split()
    for whole in ("0.0001235", "leaky_relu", "strong", "smoothl1", "cosine", "5.00", "16.00"):
        assert whole in joined, whole
    parts = re.findall(r"[^,]+,?", name)
    assert all(any(part in word for word in words) for part in parts)
    assert "AUC" in joined
    assert ("images/s" in joined) == (width == 160)  # the last columns go first


def test_settings_that_fit_have_a_column_each(tmp_path: Path) -> None:
    for number in range(2):
        write_run(tmp_path / str(number), {"loss": f"loss_{number}", "optimizer.lr": 0.1 + number}, 5.0 + number)
    for width, columns in ((60, "AUC       (%)     (M)  images/s"), (50, "AUC       (%)     (M)"), (32, "AUC")):
        lines = re.sub("\x1b.*?m", "", printed(tmp_path, width=width)).splitlines()
        (heading,) = (line for line in lines if "AUC" in line)
        assert heading.split()[:2] == ["loss", "lr"]
        assert heading.rstrip().endswith(columns)


def test_a_narrow_terminal_shows_how_many_columns_it_lacks(tmp_path: Path) -> None:
    write_run(tmp_path / "0", WIDE, 5.0)
    write_run(tmp_path / "1", dict.fromkeys(WIDE, "other"), 6.0)
    wide, narrow = (re.sub("\x1b.*?m", "", printed(tmp_path, width)) for width in (160, 80))
    titles = ("NME", "AUC", "failures", "params", "images/s")
    assert all(title in wide for title in titles)
    assert "not shown" not in wide
    lacking = sum(title not in narrow for title in titles)
    assert lacking > 0
    assert f"columns not shown in 80 characters: {lacking}; comparison.csv has all of them" in narrow.splitlines()
    comparison.write_csv(tmp_path / "comparison.csv", comparison.compare([tmp_path], "auto"))
    header = (tmp_path / "comparison.csv").read_text().partition("\n")[0].split(",")
    assert {"best/val/nme", "parameters", "train_images_per_s", *WIDE} <= set(header)


def test_the_column_says_whether_missed_faces_count(tmp_path: Path) -> None:
    for name, nme in (("a", 5.0), ("b", 6.0)):
        scores = {"boxes": "detector", "nme_interocular": 1.0, "nme_all": nme, "faces": 100, "missed_faces": 3}
        write_run(tmp_path / name, {"model": name}, test=scores)
    lines = re.sub("\x1b.*?m", "", printed(tmp_path)).splitlines()
    assert lines[0] == "2 runs by test NME, all faces (inter-ocular, %)"
    (heading,) = (line for line in lines if "NME, all" in line and "images/s" in line)
    assert "NME, all (%)" in heading
    assert "NME (%)" not in heading
    assert is_bold("5.00", printed(tmp_path))


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
    write_run(tmp_path / "a", {"model": "a", "model.net.width": 64}, 5.0, recipe="0123456789")
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
    assert [row["recipe"] for row in rows] == ["0123456789", "", ""]
    assert (rows[0]["model.net.width"], rows[1]["model.net.width"], rows[1]["model"]) == ("64", "", "b, c")
    assert (rows[0]["test/nme_interocular"], rows[0]["best/val/nme"], rows[0]["parameters"]) == ("5.0", "6.0", "571032")
    assert float(rows[0]["test/part/jaw"]) > 0
    assert rows[2]["test/nme_interocular"] == ""
