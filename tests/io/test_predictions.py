import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fkd.errors import UserError
from fkd.io.predictions import Entry, pts, writing
from fkd.schema import IBUG68
from fkd.types import Face

RNG = np.random.default_rng(0)


def face(score: float | None = 0.5) -> Face:
    left, top, side = RNG.uniform(10, 1000, 3)
    keypoints = RNG.uniform(-20, 4000, (68, 2)).astype(np.float32)
    return Face(IBUG68, np.float32([left, top, left + side, top + side]), score, keypoints)


def write(folder: Path, *entries: Entry, csv: bool = False, pts: bool = False, has_errors: bool = False) -> Path:
    with writing(folder, IBUG68, csv=csv, pts=pts, has_errors=has_errors) as writer:
        for entry in entries:
            writer.add(entry)
    return folder / "predictions.json"


def test_the_file_has_the_form_that_others_rely_on(tmp_path: Path) -> None:
    faces = [face(), face(None)]
    path = write(tmp_path, Entry("sub/a.jpg", None, 640, 480, faces), Entry("clip.mp4", 7, 320, 240, []))
    first, second = json.loads(path.read_text())
    assert list(first) == ["image", "width", "height", "faces"]
    assert (first["image"], first["width"], first["height"]) == ("sub/a.jpg", 640, 480)
    keys = ["box", "score", "keypoints", "pose", "eye_opening", "mouth_opening", "expected_error", "visible"]
    assert [list(values) for values in first["faces"]] == [keys] * 2
    assert [tuple(values["pose"].values()) for values in first["faces"]] == [
        pytest.approx(face.pose, abs=6e-3) for face in faces
    ]
    assert [values["score"] for values in first["faces"]] == [0.5, None]
    for values, expected in zip(first["faces"], faces, strict=True):
        np.testing.assert_allclose(values["box"], expected.box, atol=6e-4)
        np.testing.assert_allclose(values["keypoints"], expected.keypoints, atol=6e-4)
    assert second == {"image": "clip.mp4", "frame": 7, "width": 320, "height": 240, "faces": []}
    assert [p.name for p in tmp_path.iterdir()] == ["predictions.json"]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_it_is_an_array_at_any_length_and_reads_back(tmp_path: Path, count: int) -> None:
    entries = [Entry(f"{i}.png", i if i % 2 else None, 10 + i, 20, [face() for _ in range(i)]) for i in range(count)]
    found = json.loads(write(tmp_path, *entries).read_text())
    heads = [(there["image"], there.get("frame"), there["width"], there["height"]) for there in found]
    assert heads == [entry[:4] for entry in entries]
    for there, here in zip(found, entries, strict=True):
        assert [one["score"] for one in there["faces"]] == [other.score for other in here.faces]
        for one, other in zip(there["faces"], here.faces, strict=True):
            np.testing.assert_allclose(one["keypoints"], other.keypoints, atol=6e-4)
            np.testing.assert_allclose(one["box"], other.box, atol=6e-4)


@pytest.mark.parametrize("name", ["ä b.jpg", 'quote".jpg', "comma,line\nbreak.jpg", "bytes\udcff.jpg"])
def test_any_name_survives(tmp_path: Path, name: str) -> None:
    (entry,) = json.loads(write(tmp_path, Entry(name, None, 1, 1, [face()]), csv=True).read_text())
    assert entry["image"] == name
    with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        assert [row["image"] for row in csv.DictReader(file)] == [name]


def test_the_table_has_a_row_for_each_face(tmp_path: Path) -> None:
    faces = [face(), face(None), face()]
    entries = Entry("a.jpg", None, 9, 9, faces[:2]), Entry("b.jpg", None, 9, 9, []), Entry("c.mp4", 3, 9, 9, faces[2:])
    write(tmp_path, *entries, csv=True)
    with (tmp_path / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["image"], row["frame"], row["face"], row["score"]) for row in rows] == [
        ("a.jpg", "", "0", "0.5"),
        ("a.jpg", "", "1", ""),
        ("c.mp4", "3", "0", "0.5"),
    ]
    assert list(rows[0])[3:11] == ["left", "top", "right", "bottom", "score", "x0", "y0", "x1"]
    assert list(rows[0])[-1] == "mouth_opening"
    for row, expected in zip(rows, faces, strict=True):
        points = [[float(row[f"x{i}"]), float(row[f"y{i}"])] for i in range(68)]
        np.testing.assert_allclose(points, expected.keypoints, atol=6e-4)
        np.testing.assert_allclose([float(row[name]) for name in list(rows[0])[3:7]], expected.box, atol=6e-4)


def test_expected_errors_stand_after_all_other_columns(tmp_path: Path) -> None:
    errors = RNG.uniform(0.001, 0.2, 68).astype(np.float32)
    entry = Entry("a.jpg", None, 9, 9, [replace(face(), expected_error=errors)])
    (found,) = json.loads(write(tmp_path, entry, csv=True, has_errors=True).read_text())[0]["faces"]
    np.testing.assert_allclose(found["expected_error"], errors, atol=6e-5)
    with (tmp_path / "predictions.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert list(row)[-69:] == ["mouth_opening", *(f"e{i}" for i in range(68))]
    np.testing.assert_allclose([float(row[f"e{i}"]) for i in range(68)], errors, atol=6e-5)


def test_point_files_are_those_of_300w(shared: Path) -> None:
    """Read as that set's own files are: the first line's words, then one point a line between braces, from 1."""
    published = (shared / "data/300w/indoor_020.pts").read_text().split("\n")
    points = np.array([line.split() for line in published[3:71]], np.float32)
    mine = pts(Face(IBUG68, np.float32([0, 0, 1, 1]), None, points - 1)).decode().split("\n")
    assert [line.split() for line in mine[:3]] == [line.split() for line in published[:3]]
    assert mine[71:] == ["}", ""]
    np.testing.assert_allclose(np.array([line.split() for line in mine[3:71]], np.float32), points, atol=1e-3)


def test_point_files_count_from_one_and_never_share_a_name(tmp_path: Path) -> None:
    entries = [
        Entry("a.jpg", None, 9, 9, [face(), face()]),
        Entry("a.png", None, 9, 9, [face()]),
        Entry("a_1.jpg", None, 9, 9, [face()]),  # as the second face of a.jpg
        Entry("b/a.jpg", None, 9, 9, [face()]),
        Entry("none.jpg", None, 9, 9, []),
        Entry("clip.mp4", 12, 9, 9, [face()]),
        Entry("clip.mp4", 13, 9, 9, [face(), face()]),
    ]
    write(tmp_path, *entries, pts=True)
    names = ["a_0", "a_1", "a", "a_1.jpg", "b/a", "clip/000012", "clip/000013_0", "clip/000013_1"]
    assert {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.pts")} == {f"{name}.pts" for name in names}
    for name, expected in zip(names, [f for entry in entries for f in entry.faces], strict=True):
        lines = (tmp_path / f"{name}.pts").read_text().splitlines()[3:-1]
        points = np.array([line.split() for line in lines], np.float64)
        np.testing.assert_allclose(points - 1, expected.keypoints, atol=1e-3)


def test_two_images_of_one_stem_with_several_faces_each_keep_all(tmp_path: Path) -> None:
    write(tmp_path, *(Entry(n, None, 9, 9, [face(), face()]) for n in ("a.jpg", "a.png")), pts=True)
    assert {p.name for p in tmp_path.glob("*.pts")} == {"a_0.pts", "a_1.pts", "a.png_0.pts", "a.png_1.pts"}


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        with pytest.raises(UserError, match="cannot write the predictions") as error:
            write(tmp_path, *(Entry(f"{i}.jpg", None, 9, 9, [face()]) for i in range(200)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    """Points that are no numbers are a mistake of the program, and no JSON."""
    path = write(tmp_path, Entry("a.jpg", None, 9, 9, []))
    before = path.read_bytes()
    broken = Face(IBUG68, np.float32([0, 0, 1, 1]), 0.5, np.full((68, 2), np.nan, np.float32))
    with pytest.raises(ValueError, match="JSON"):
        write(tmp_path, Entry("a.jpg", None, 9, 9, [face()]), Entry("b.jpg", None, 9, 9, [broken]), csv=True)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["predictions.json"]
