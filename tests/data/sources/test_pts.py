from pathlib import Path

import numpy as np
import pytest

from fkd.data.sources import pts
from fkd.errors import UserError
from fkd.io import images

from .conftest import face


def text(points: np.ndarray, count: int | None = None) -> str:
    lines = "\n".join(f"{x:.3f} {y:.3f}" for x, y in points)
    return f"version: 1\nn_points:  {len(points) if count is None else count}\n{{\n{lines}\n}}\n"


@pytest.fixture
def labelled(root: Path) -> Path:
    for i in range(10):
        (root / f"p{i}.pts").write_text(text(face(i) + 1))
    return root


def test_each_file_has_its_own_image_and_points_from_zero(labelled, fileset):
    faces = pts(fileset(), ["."], [], [], first_pixel=1)
    assert len(faces.table) == 10
    for path, image, keypoints in zip(faces.table.paths, faces.table.images, faces.table.keypoints, strict=True):
        i = int(path[1])
        assert np.array_equal(faces.images[image], images.read(labelled / path, 1))
        np.testing.assert_allclose(keypoints, face(i), atol=1e-4)
    assert [len(rows) for rows in faces.splits.values()] == [6, 2, 2]


@pytest.mark.parametrize("nothing", [None, []])
def test_a_test_folder_alone(labelled, fileset, nothing):
    faces = pts(fileset(), nothing, nothing, ["."], first_pixel=1)
    assert {name: len(rows) for name, rows in faces.splits.items()} == {"train": 0, "val": 0, "test": 10}
    with pytest.raises(UserError, match=r"data\.train, data\.val, data\.test: expected files .* found none"):
        pts(fileset(), nothing, nothing, nothing, first_pixel=1)


def test_a_number_that_float32_cannot_hold_is_one_line(labelled, fileset, recwarn):
    (labelled / "p0.pts").write_text(text(np.full((4, 2), 1e300)))
    with pytest.raises(UserError, match=r"p0\.pts: expected pixels of the image as point 0, found \(inf, inf\)"):
        pts(fileset(), ["."], [], [], first_pixel=1)
    assert not recwarn.list


def test_where_counting_begins_is_a_setting(labelled, fileset):
    from_one = pts(fileset(), ["."], [], [], first_pixel=1).table.keypoints
    from_zero = pts(fileset(), ["."], [], [], first_pixel=0).table.keypoints
    np.testing.assert_allclose(from_zero - from_one, 1, atol=1e-4)


def test_folders_are_splits_and_subjects(root, fileset):
    for i in range(10):
        folder = root / ("test" if i < 2 else "train") / f"video{i // 2}"
        folder.mkdir(parents=True, exist_ok=True)
        (root / f"p{i}.png").rename(folder / f"p{i}.png")
        (folder / f"p{i}.pts").write_text(text(face(i)))
    faces = pts(fileset(subject="folder"), ["train"], [], ["test"], first_pixel=0)
    assert set(faces.subset("test").paths) == {"test/video0/p0.png", "test/video0/p1.png"}
    subjects = {name: set(faces.subset(name).subjects) for name in ("train", "val", "test")}
    assert subjects["test"] == {"test/video0"}
    assert not subjects["train"] & subjects["val"]
    assert len(subjects["train"] | subjects["val"]) == 4


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", "found no {; is it cut off?"),
        (text(face(0))[:40], "found no }; is it cut off?"),
        (text(face(0), 5), "expected n_points: 4, as there are, found 5"),
        (text(face(0)[:3]), "expected 4 points, found 3; choose the schema"),
        (text(face(0)).replace("20.000 20.000", "20.000"), "line 6: expected x and y of a point, found '20.000'"),
        (text(face(0)).replace("20.000 20.000", "left 20"), "line 6: expected x and y of a point, found 'left 20'"),
        (text(face(0)).replace("20.000 20.000", "nan 20"), "line 6: expected x and y of a point, found 'nan 20'"),
        (text(face(0)).replace("20.000 20.000", "1e30 20"), "as point 2, found (1e+30, 19)"),
        (text(face(0)).replace("version: 1", "version: 7"), "expected version 1, found 7"),
        (text(face(0)).replace("version: 1", "hello"), "line 1: expected version, n_points or {, found 'hello'"),
        (b"\xff\xfe\x00v", "expected a .pts file in UTF-8, found byte 0"),
    ],
)
def test_a_broken_file_is_one_line(labelled, fileset, tmp_path, content, found):
    path = labelled / "p4.pts"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as error:
        pts(fileset(), ["."], [], [], first_pixel=1)
    assert str(path) in str(error.value)
    assert found in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "cache").exists()


def test_windows_line_ends_and_other_cases_do_no_harm(labelled, fileset):
    (labelled / "p4.pts").write_bytes(text(face(4) + 1).replace("version", "Version").replace("\n", "\r\n").encode())
    faces = pts(fileset(), ["."], [], [], first_pixel=1)
    np.testing.assert_allclose(faces.table.keypoints[4], face(4), atol=1e-4)


def test_a_file_wants_exactly_one_image(labelled, fileset):
    (labelled / "p4.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"p4\.pts: expected one image .* found p4\.jpg, p4\.png"):
        pts(fileset(), ["."], [], [], first_pixel=1)
    (labelled / "p4.jpg").unlink()
    (labelled / "p4.png").unlink()
    with pytest.raises(UserError, match=r"p4\.pts: expected one image .* found none"):
        pts(fileset(), ["."], [], [], first_pixel=1)


def test_names_that_glob_would_read_otherwise(labelled, fileset):
    for suffix in (".png", ".pts"):
        (labelled / f"p4{suffix}").rename(labelled / f"a [1] (2){suffix}")
    paths = pts(fileset(), ["."], [], [], first_pixel=1).table.paths
    assert "a [1] (2).png" in paths


@pytest.mark.parametrize(
    ("train", "found"),
    [
        (["nowhere"], "found no nowhere"),
        (["../elsewhere"], "found '../elsewhere'"),
        (["/etc"], "found '/etc'"),
        ("train", "expected a list of folders"),
        ([3], "expected a list of folders"),
    ],
)
def test_a_wrong_folder_names_its_key(labelled, fileset, train, found):
    with pytest.raises(UserError, match=r"data\.train") as error:
        pts(fileset(), train, [], [], first_pixel=1)
    assert found in str(error.value)


def test_the_real_sample_loads_with_the_files_numbers_less_one(shared: Path, fileset):
    root = shared / "data/300w"
    faces = pts(fileset(root=str(root), schema="ibug68"), ["."], ["."], ["."], first_pixel=1)
    assert len(faces.table) == 6
    for path, keypoints in zip(faces.table.paths, faces.table.keypoints, strict=True):
        lines = (root / path).with_suffix(".pts").read_text().splitlines()
        written = np.array([line.split() for line in lines[3:71]], np.float64)
        np.testing.assert_allclose(keypoints, written - 1, atol=1e-3)


def test_a_folder_of_another_split_is_not_read_twice(labelled, fileset):
    (labelled / "held").mkdir()
    for i in (3, 4):
        for suffix in ("png", "pts"):
            (labelled / f"p{i}.{suffix}").rename(labelled / "held" / f"p{i}.{suffix}")
    faces = pts(fileset(), ["."], [], ["held"], first_pixel=1)
    assert set(faces.subset("test").paths) == {"held/p3.png", "held/p4.png"}
    assert len(faces.table) == 10
    assert "test shares none" in faces.remarks[0]


def test_linked_folders_are_read_once(labelled, fileset, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for i in (3, 4):
        for suffix in ("png", "pts"):
            (labelled / f"p{i}.{suffix}").rename(elsewhere / f"p{i}.{suffix}")
    (labelled / "linked").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(labelled)
    paths = pts(fileset(), ["."], [], [], first_pixel=1).table.paths.tolist()
    assert len(paths) == 10
    assert {"linked/p3.png", "linked/p4.png"} < {*paths}


def test_capital_suffixes_count(labelled, fileset):
    (labelled / "p4.pts").rename(labelled / "p4.PTS")
    assert len(pts(fileset(), ["."], [], [], first_pixel=1).table) == 10
