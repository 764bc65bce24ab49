import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fkd.data.face_data import Faces
from fkd.data.sources.udacity import SHIFT_PIXELS, SHIFT_SHARE, udacity
from fkd.errors import UserError
from fkd.io import images
from fkd.schema import IBUG68

CSV = {"training": "training_frames_keypoints.csv", "test": "test_frames_keypoints.csv"}


def load(root: Path, cache: Path, **changes: object) -> Faces:
    arguments = {
        "split": "official",
        "val_share": 0.2,
        "test_share": 0.2,
        "seed": 0,
        "label_shift": True,
        "channels": 1,
        "exclude": None,
    }
    return udacity(str(root), cache_dir=str(cache), **(arguments | changes))


def write_csv(root: Path, part: str, rows: list[list[object]]) -> None:
    with (root / CSV[part]).open("w", newline="") as file:
        csv.writer(file).writerows([["", *range(136)], *rows])


def points(name: str) -> list[float]:
    rng = np.random.default_rng(len(name) + sum(map(ord, name)))
    return rng.integers(-5, 45, 136).astype(float).tolist()  # some outside the 40 x 40 frame


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten subjects, two training images and a test image each, and images that no row names."""
    root = tmp_path / "set"
    for part, frames in (("training", "01"), ("test", "2")):
        (root / part).mkdir(parents=True)
        names = [f"Some_One-{subject}_{frame}.jpg" for subject in range(10) for frame in frames]
        for i, name in enumerate([*names, "Nobody_Annotated_10.jpg"]):
            images.write(root / part / name, np.full((40, 40, 3), 10 * i, np.uint8))
        write_csv(root, part, [[name, *points(name)] for name in names])
    return root


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_a_row_has_its_own_image_points_and_subject(root, cache):
    faces = load(root, cache, label_shift=False)
    table = faces.table
    assert len(table) == len(faces.images) == 30
    for row, path in enumerate(table.paths):
        assert np.array_equal(faces.images[table.images[row]], images.read(root / path, 1))
        assert np.array_equal(table.keypoints[row].ravel(), points(Path(path).name))
        assert table.subjects[row] == Path(path).name.rpartition("_")[0]
    assert table.keypoints.min() < 0
    assert table.keypoints.max() > 40
    assert table.visible.all()
    assert table.schema is IBUG68
    assert not table.label_shift.any()


def test_channels_reach_the_images(root, cache):
    assert load(root, cache, channels=3).images[0].shape == (40, 40, 3)
    assert load(root, cache, channels=1).images[0].shape == (40, 40)


def test_the_official_split_holds_out_subjects_of_the_training_file(root, cache):
    faces = load(root, cache)
    train, val, test = (faces.subset(name) for name in ("train", "val", "test"))
    assert len(train) == 16
    assert len(val) == 4
    assert not set(train.subjects) & set(val.subjects)
    assert all(path.startswith("training/") for path in [*train.paths, *val.paths])
    assert len(test) == 10
    assert all(path.startswith("test/") for path in test.paths)
    assert (
        "of 10 subjects; test shares 8 of its 10 subjects with train and 2 of its 10 subjects with val: "
        in faces.remarks[0]
    )
    assert "memory of faces" in faces.remarks[0]


def test_the_split_by_subject_shares_nobody(root, cache):
    faces = load(root, cache, split="subject")
    subjects = [set(faces.subset(name).subjects) for name in ("train", "val", "test")]
    assert [len(each) for each in subjects] == [6, 2, 2]
    assert len(set.union(*subjects)) == 10
    assert sum(len(faces.subset(name)) for name in ("train", "val", "test")) == 30
    assert "test shares none" in faces.remarks[0]
    others = load(root, cache, split="subject", seed=1)
    assert set(others.subset("test").subjects) != subjects[2]


def test_subset_all_is_every_annotated_row(root, cache):
    assert len(load(root, cache).subset("all")) == 30
    with pytest.raises(UserError, match="subset=tset: expected one of train, val, test, all"):
        load(root, cache).subset("tset")


def test_labels_are_moved_left_by_the_measured_shift(root, cache):
    true, published = load(root, cache).table, load(root, cache, label_shift=False).table
    assert np.array_equal(true.keypoints[..., 1], published.keypoints[..., 1])
    moved = published.keypoints[..., 0] - true.keypoints[..., 0]
    distance = np.hypot(*np.moveaxis(published.keypoints[:, 36] - published.keypoints[:, 45], -1, 0))
    assert np.allclose(moved, (0.2 + 0.0274 * distance)[:, None], atol=1e-5)
    assert np.allclose(true.label_shift, [0.2, 0.0274])


def test_the_table_says_how_to_put_the_shift_back(root, cache):
    true, published = load(root, cache).table, load(root, cache, label_shift=False).table
    shift = true.label_shift[:, 0] + true.label_shift[:, 1] * IBUG68.interocular(true.keypoints)
    assert np.abs(true.keypoints[..., 0] + shift[:, None] - published.keypoints[..., 0]).max() < 1e-5


def test_images_are_read_once_and_again_when_one_changes(root, cache, monkeypatch):
    calls = []

    def read(path: Path, channels: int) -> np.ndarray:
        calls.append(path)
        return original(path, channels)

    original: Callable[[Path, int], np.ndarray] = images.read
    monkeypatch.setattr(images, "read", read)
    load(root, cache)
    assert len(calls) == 30
    assert not any("Nobody" in path.name for path in calls)
    load(root, cache, split="subject", label_shift=False)
    assert len(calls) == 30
    images.write(root / "test" / "Some_One-3_2.jpg", np.full((20, 20, 3), 99, np.uint8))
    faces = load(root, cache)
    assert len(calls) == 60
    (row,) = np.flatnonzero(faces.table.paths == "test/Some_One-3_2.jpg")
    assert faces.images[row].shape == (20, 20)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"split": "random"}, r"data\.split=random: expected official or subject"),
        ({"val_share": 1.5}, r"data\.val_share=1\.5"),
        ({"split": "subject", "test_share": "half"}, r"data\.test_share=half"),
        ({"seed": 0.5}, r"data\.split_seed=0\.5"),
        ({"label_shift": "maybe"}, r"data\.label_shift=maybe"),
        ({"channels": 2}, r"channels=2"),
    ],
)
def test_a_wrong_setting_names_its_key(root, cache, changes, named):
    with pytest.raises(UserError, match=named):
        load(root, cache, **changes)


def error_of(root: Path, cache: Path, *parts: object) -> None:
    with pytest.raises(UserError) as error:
        load(root, cache)
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert str(part) in message, message
    assert not cache.exists()


def test_a_missing_set_says_where_to_get_it(root, cache):
    for absent in (root / "nowhere", root / CSV["test"]):
        error_of(absent, cache, absent, "https://github.com/udacity/P1_Facial_Keypoints", "data.root=DIR")
    (root / CSV["test"]).unlink()
    error_of(root, cache, root / CSV["test"], "https://github.com/udacity/P1_Facial_Keypoints")


def good(name: str = "A_B_1.jpg") -> list[object]:
    return [name, *points(name)]


def with_cell(column: int, value: object) -> list[object]:
    row = good()
    row[column] = value
    return row


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (good()[:-1], "expected 137 columns, as the header has, found 136"),
        ([*good(), 7], "expected 137 columns, as the header has, found 138"),
        (["A_B_1.jpg"], "found 1"),
        (with_cell(4, "left"), "y of point 1 (column 3), found 'left'"),
        (with_cell(1, ""), "x of point 0 (column 0), found ''"),
        (with_cell(136, "nan"), "y of point 67 (column 135), found 'nan'"),
        (with_cell(3, "-inf"), "x of point 1"),
        (with_cell(3, "1e99"), "pixels of the image as point 1, found (inf"),
        (with_cell(0, ""), "training, found ''"),
        (with_cell(0, "  "), "the name of an image"),
        (with_cell(0, "/etc/Some_One_1.jpg"), "the name of an image"),
        (with_cell(0, "../test/Some_One-0_2.jpg"), "the name of an image"),
        (with_cell(0, r"..\test\Some_One-0_2.jpg"), "the name of an image"),
        (with_cell(0, "C:/A_B_1.jpg"), "the name of an image"),
        (with_cell(0, "12.jpg"), "finds a subject in, found training/12.jpg"),
        (with_cell(0, "_12.jpg"), "finds a subject in, found training/_12.jpg"),
        (with_cell(0, "Some_One-0_0.jpg"), "line 2; remove one"),
        (with_cell(0, "Nobody_Here_1.jpg"), "Nobody_Here_1.jpg is missing"),
    ],
)
def test_a_bad_row_names_file_and_line(root, cache, row, found):
    images.write(root / "training" / "A_B_1.jpg", np.zeros((9, 9), np.uint8))
    write_csv(root, "training", [good("Some_One-0_0.jpg"), good("Some_One-1_0.jpg"), row, good("Some_One-2_0.jpg")])
    error_of(root, cache, f"{root / CSV['training']} line 4", found)


@pytest.mark.parametrize("part", ["training", "test"])
@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "expected rows, found none"),
        (b"," + b",".join(b"%d" % i for i in range(136)) + b"\n", "expected rows, found none"),
        (b"Some_One-0_0.jpg" + 136 * b",1.0" + b"\n", "line 1: expected a header"),
        (bytes(range(256)), "expected a CSV file in UTF-8, found something else"),
        (b"PK\x03\x04\x00\x00\n", "expected columns with commas between them, found"),
    ],
)
def test_a_bad_file_is_named(root, cache, part, content, found):
    (root / CSV[part]).write_bytes(content + (b"\0\n" if b"PK" in content else b""))
    error_of(root, cache, root / CSV[part], found)


def test_a_spreadsheets_mark_and_blank_lines_do_no_harm(root, cache):
    path = root / CSV["test"]
    text = path.read_text()
    path.write_text("\ufeff" + text.replace("\n", "\r\n") + "\r\n\r\n", newline="")
    assert len(load(root, cache).subset("test")) == 10


def test_a_image_that_cannot_be_read_is_named(root, cache):
    bad = root / "training" / "Some_One-4_1.jpg"
    bad.write_bytes(bad.read_bytes()[:-20])
    with pytest.raises(UserError, match="cut off") as error:
        load(root, cache)
    assert str(bad) in str(error.value)
    assert not [*cache.glob("udacity*")]


def test_the_same_name_in_both_files_is_two_images(root, cache):
    name = "Some_One-0_0.jpg"
    images.write(root / "test" / name, np.full((40, 40, 3), 200, np.uint8))
    write_csv(root, "test", [good(name)])
    table = load(root, cache).table
    assert [path for path in table.paths if path.endswith(name)] == [f"training/{name}", f"test/{name}"]


@pytest.fixture(scope="module")
def real(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Faces:
    return load(shared / "data/udacity", tmp_path_factory.mktemp("real"), val_share=0.15)


def test_every_row_of_the_real_set_is_there(real):
    assert len(real.subset("all")) == 3090 + 685
    assert len(real.subset("train")) + len(real.subset("val")) == 3090
    assert len(real.subset("test")) == 685
    assert abs(len(real.subset("val")) / 3090 - 0.15) < 0.01
    assert len(set(real.table.subjects)) == 310


def test_whom_the_official_test_shares_is_said(real):
    subjects = {name: set(real.subset(name).subjects) for name in ("train", "val", "test")}
    with_train, with_val = (len(subjects["test"] & subjects[name]) for name in ("train", "val"))
    assert with_train + with_val == 310
    assert (
        f"test shares {with_train} of its 310 subjects with train and {with_val} of its 310 subjects with val"
        in real.remarks[0]
    )


def test_images_and_points_belong_together(shared, real):
    """Nearly all points lie in their frames, and images are what the files hold."""
    sizes = np.array([real.images[i].shape[::-1] for i in real.table.images])
    outside = ((real.table.keypoints < 0) | (real.table.keypoints > sizes[:, None])).any(axis=(1, 2))
    assert outside.sum() < 20
    for row in (0, 1000, 3774):
        file = images.read(shared / "data/udacity" / real.table.paths[row], 1)
        assert np.array_equal(real.images[row], file)


def test_the_shift_put_back_gives_the_published_numbers(shared, real):
    numbers = np.genfromtxt(shared / "data/udacity" / CSV["training"], delimiter=",", skip_header=1)[:, 1:]
    train = real.table.keypoints[:3090]
    back = SHIFT_PIXELS + SHIFT_SHARE * np.linalg.norm(train[:, 36] - train[:, 45], axis=-1)
    published = numbers.reshape(-1, 68, 2)
    assert np.abs(train[..., 0] + back[:, None] - published[..., 0]).max() < 1e-4
    assert np.array_equal(train[..., 1], published[..., 1])


def test_the_original_files_load_too(shared, tmp_path):
    sample = shared / "data/udacity_original_sample"
    faces = load(sample, tmp_path, split="subject", channels=3)
    assert len(faces.table) == 64
    assert {image.shape[2] for image in faces.images} == {3}
    subjects = [set(faces.subset(name).subjects) for name in ("train", "val", "test")]
    assert sum(map(len, subjects)) == len(set.union(*subjects)) == len(set(faces.table.subjects))
