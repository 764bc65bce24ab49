import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from fkd.data.face_data import Faces
from fkd.errors import UserError
from fkd.synthetic import dataset
from fkd.synthetic.dataset import synthetic_faces
from fkd.synthetic.render import face
from fkd.types import Image, Points


def drawn(seed: int, subject: int, frame: int, size: int, large_poses: float) -> tuple[Image, Points]:
    """An image and points that tell what they were made of, and leave a trace of the process that made them."""
    image = np.full((size, size, 3), (seed, subject, frame), np.uint8)
    if trace := os.environ.get("FKD_TEST_TRACE"):
        with open(trace, "a") as file:  # one short write: whole lines, whoever writes
            file.write(f"{os.getpid()}\n")
    return image, np.full((68, 2), 100 * subject + frame, np.float32)


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts the quick stand-in above in the place of the generator; gets a line for each image drawn."""
    monkeypatch.setattr(dataset, "face", drawn)
    monkeypatch.setenv("FKD_TEST_TRACE", str(tmp_path / "trace"))
    (tmp_path / "trace").touch()
    return tmp_path / "trace"


def load(root: Path, **changes: object) -> Faces:
    arguments = {"subjects": 10, "frames": 3, "size": 96, "seed": 1, "val_share": 0.2, "test_share": 0.2, "channels": 3}
    return synthetic_faces(str(root), **(arguments | changes))


def lines(trace: Path) -> list[str]:
    return trace.read_text().splitlines()


@pytest.mark.parametrize("subjects", [10, 90])
def test_a_row_has_its_own_image_points_and_subject(tmp_path, trace, monkeypatch, subjects):
    monkeypatch.setattr("fkd.synthetic.dataset.cores", lambda: 2)
    faces = load(tmp_path / "set", subjects=subjects)
    table = faces.table
    assert len(table) == len(faces.images) == 3 * subjects
    for row in range(len(table)):
        subject, frame = divmod(row, 3)
        assert table.subjects[row] == f"drawn_1/subject_{subject:04}"
        assert table.paths[row] == f"drawn_1/subject_{subject:04}/{frame:04}"
        assert np.array_equal(faces.images[table.images[row]], np.full((96, 96, 3), (1, subject, frame)))
        assert np.all(table.keypoints[row] == 100 * subject + frame)
    assert len(set(table.paths)) == len(table)
    assert not table.label_shift.any()
    assert table.visible.all()
    processes = set(lines(trace))
    assert len(lines(trace)) == len(table)  # each was drawn once, for image and points
    assert processes == {str(os.getpid())} if subjects == 10 else str(os.getpid()) not in processes


def test_a_drawn_image_is_known_wherever_it_is_kept(tmp_path, trace):
    """It is another one with another seed, frame or size."""
    hashes = load(tmp_path / "a").table.image_hashes
    assert load(tmp_path / "b", channels=1, test_share=0.3).table.image_hashes.tolist() == hashes.tolist()
    assert load(tmp_path / "a", subjects=4).table.image_hashes.tolist() == hashes[:12].tolist()
    others = [load(tmp_path / "a", **change).table.image_hashes for change in ({"seed": 2}, {"size": 128})]
    assert len({0, *np.concatenate([hashes, *others]).tolist()}) == 91


def test_splits_share_nobody(tmp_path, trace):
    faces = load(tmp_path / "set")
    subjects = [set(faces.subset(name).subjects) for name in ("train", "val", "test")]
    assert [len(each) for each in subjects] == [6, 2, 2]
    assert len(set.union(*subjects)) == 10
    assert "test shares none" in faces.remarks[0]


def test_another_seeds_subjects_are_others(tmp_path, trace):
    one, two = (load(tmp_path / "set", seed=seed) for seed in (1, 2))
    assert not set(one.table.subjects) & set(two.table.subjects)
    assert not set(one.table.paths) & set(two.table.paths)
    assert set(load(tmp_path / "set", seed=1, size=128).table.subjects) == set(one.table.subjects)


def test_a_seeds_split_is_the_same_on_every_machine(tmp_path, trace):
    """Who is tested, as it was when this was written."""
    test = load(tmp_path / "set").subset("test").subjects
    assert sorted({name[-4:] for name in test.tolist()}) == ["0002", "0007"]


def test_faces_are_drawn_once_for_all_runs(tmp_path, trace):
    first = load(tmp_path / "set")
    count = len(lines(trace))
    second = load(tmp_path / "set", val_share=0.3)
    assert len(lines(trace)) == count
    assert np.array_equal(first.table.keypoints, second.table.keypoints)
    for other in ({"seed": 2}, {"frames": 2}, {"size": 100}, {"channels": 1}):
        load(tmp_path / "set", **other)
        assert len(lines(trace)) > count
        count = len(lines(trace))


def test_a_changed_generator_draws_anew(tmp_path, trace, monkeypatch):
    (tmp_path / "generator").mkdir()
    source = tmp_path / "generator" / "render.py"
    monkeypatch.setattr(dataset, "__file__", str(source.with_name("dataset.py")))
    source.write_text("one = 1")
    load(tmp_path / "set")
    load(tmp_path / "set")
    assert len(lines(trace)) == 30
    source.write_text("one = 2")
    load(tmp_path / "set")
    assert len(lines(trace)) == 60


def zeroed(path: Path) -> None:
    """Sets some bytes in the middle of a file to zero."""
    content = path.read_bytes()
    path.write_bytes(content[:600] + bytes(400) + content[1000:])


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1000]), Path.touch])
@pytest.mark.parametrize("suffix", [".npz", ".images"])
def test_a_lost_or_cut_file_is_made_anew(tmp_path, trace, harm, suffix):
    load(tmp_path / "set")
    (path,) = (tmp_path / "set").glob(f"*{suffix}")
    harm(path)
    again = load(tmp_path / "set")
    assert len(lines(trace)) == (30 if harm is Path.touch else 60)
    assert again.table.keypoints[:, 5, 1].tolist() == [
        100 * subject + frame for subject in range(10) for frame in range(3)
    ]
    assert np.array_equal(again.images[29], np.full((96, 96, 3), (1, 9, 2)))
    assert len(again.images) == 30


def test_damaged_keypoints_are_made_anew(tmp_path: Path, trace: Path) -> None:
    before = load(tmp_path / "set").table.keypoints
    (path,) = (tmp_path / "set").glob("*.np[yz]")
    zeroed(path)
    assert np.array_equal(load(tmp_path / "set").table.keypoints, before)
    assert len(lines(trace)) == 60


def test_grey_is_the_luma_of_the_same_images(tmp_path, trace):
    grey, colour = load(tmp_path / "set", channels=1), load(tmp_path / "set")
    for row in range(30):
        assert np.array_equal(grey.images[row], cv2.cvtColor(colour.images[row], cv2.COLOR_RGB2GRAY))


def test_the_generators_faces_lie_where_the_points_are(tmp_path):
    faces = load(tmp_path / "set", subjects=3, frames=2)
    image, points = face(1, 2, 0, 96)
    row = [*faces.table.paths].index("drawn_1/subject_0002/0000")
    assert np.array_equal(faces.images[row], image)
    assert np.array_equal(faces.table.keypoints[row], points)


def broken(seed: int, subject: int, frame: int, size: int, large_poses: float) -> tuple[Image, Points]:
    if subject == 30:
        raise ZeroDivisionError("in the generator")
    return drawn(seed, subject, frame, size, large_poses)


def test_a_fault_of_the_generator_ends_the_build(tmp_path, trace, monkeypatch):
    monkeypatch.setattr("fkd.synthetic.dataset.cores", lambda: 2)
    monkeypatch.setattr(dataset, "face", broken)
    with pytest.raises(ZeroDivisionError, match="in the generator"):
        load(tmp_path / "set", subjects=2000)
    assert len(lines(trace)) < 3000
    assert not [path for path in (tmp_path / "set").iterdir() if not path.name.endswith(".lock")]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"subjects": 2}, r"data\.subjects=2: expected a whole number, 3 or more"),
        ({"frames": 0}, r"data\.frames=0"),
        ({"size": 20}, r"data\.size=20"),
        ({"size": "big"}, r"data\.size=big"),
        ({"seed": -1}, r"data\.seed=-1"),
        ({"val_share": 0}, r"data\.val_share=0"),
        ({"val_share": 0.5, "test_share": 0.5}, r"data\.val_share=0.5 and data\.test_share=0.5"),
        ({"channels": 2}, r"channels=2"),
    ],
)
def test_a_wrong_setting_names_its_key(tmp_path, trace, changes, named):
    with pytest.raises(UserError, match=named):
        load(tmp_path / "set", **changes)
    assert lines(trace) == []


def test_a_folder_that_cannot_be_written_names_itself_and_the_key(tmp_path, trace):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"data\.root") as error:
        load(tmp_path / "file" / "set")
    assert str(tmp_path / "file" / "set") in str(error.value)


def test_a_folder_that_cannot_be_read_names_itself_and_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(self: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", locked)
    with pytest.raises(UserError, match=r"data\.root=.*: cannot be read \(Permission denied\)"):
        load(tmp_path / "set")


def test_large_poses_are_other_images(tmp_path: Path) -> None:
    usual, turned = (load(tmp_path / "set", subjects=4, large_poses=share) for share in (0.0, 0.5))
    assert not np.isin(turned.table.image_hashes, usual.table.image_hashes).any()
    assert np.array_equal(turned.table.subjects, usual.table.subjects)
    assert any(not np.array_equal(a, b) for a, b in zip(usual.images, turned.images, strict=True))


@pytest.mark.parametrize("share", [-0.1, 1.1, True, "much"])
def test_large_poses_are_a_share(tmp_path: Path, share: object) -> None:
    with pytest.raises(UserError, match=r"data\.large_poses=.*: expected a share from 0 to 1"):
        load(tmp_path / "set", large_poses=share)


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "training_frames_keypoints.csv").touch()
    with pytest.raises(UserError, match=r"found training_frames_keypoints\.csv in it; .*data=udacity data\.root="):
        synthetic_faces(str(tmp_path), 3, 1, 96, 0, 0.2, 0.2, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["training_frames_keypoints.csv"]
    own = tmp_path / "own"
    for _ in range(2):
        assert len(synthetic_faces(str(own), 3, 1, 96, 0, 0.2, 0.2, 1).table) == 3
