import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from fkd.data.sources import w300
from fkd.errors import UserError
from fkd.io import images

from .conftest import face

SUBJECT = OmegaConf.load(Path(__file__).parents[3] / "conf/data/300w.yaml").subject
NAMES = {
    "afw": ["134212_1", "134212_2", "1051618982_1"],
    "helen/trainset": ["100032540_1", "1030333538_1"],
    "lfpw/trainset": ["image_0001", "image_0002"],
    "helen/testset": ["296814969_3"],
    "lfpw/testset": ["image_0001"],
    "ibug": ["image_003_1", "image_003_2"],
}
TRAIN = ["afw", "helen/trainset", "lfpw/trainset"]


@pytest.fixture
def own_folders(tmp_path: Path) -> Path:
    for i, (part, names) in enumerate(NAMES.items()):
        (tmp_path / "own" / part).mkdir(parents=True)
        for name in names:
            images.write(tmp_path / "own" / part / f"{name}.png", np.full((60, 60), 20 * i, np.uint8))
            points = "\n".join(f"{x} {y}" for x, y in face(i) + 1)
            (tmp_path / "own" / part / f"{name}.pts").write_text(f"version: 1\nn_points: 4\n{{\n{points}\n}}\n")
    return tmp_path / "own"


@pytest.fixture
def of_mmpose(tmp_path: Path, own_folders: Path) -> Path:
    root = tmp_path / "mmpose"
    (root / "annotations").mkdir(parents=True)
    own_folders.rename(root / "images")
    tests = {"valid_common": ["helen/testset", "lfpw/testset"], "valid_challenge": ["ibug"]}
    for split, parts in {"train": TRAIN, **tests, "valid": ["helen/testset", "lfpw/testset", "ibug"]}.items():
        names = [(i, f"{part}/{name}.png") for i, part in enumerate(NAMES) if part in parts for name in NAMES[part]]
        listed = [{"id": n, "file_name": name} for n, (_, name) in enumerate(names)]
        faces = [
            {"image_id": n, "keypoints": [v for x, y in (face(i) + 1).tolist() for v in (x, y, 1)]}
            for n, (i, _) in enumerate(names)
        ]
        document = {"images": listed, "annotations": faces}
        (root / f"annotations/face_landmarks_300w_{split}.json").write_text(json.dumps(document))
    return root


@pytest.mark.parametrize(
    ("protocol", "tested"),
    [
        ("common", ["helen/testset", "lfpw/testset"]),
        ("challenging", ["ibug"]),
        ("full", ["helen/testset", "lfpw/testset", "ibug"]),
    ],
)
@pytest.mark.parametrize("layout", ["own_folders", "of_mmpose"])
def test_a_protocol_names_its_test_faces_in_both_layouts(layout, protocol, tested, fileset, request):
    faces = w300(fileset(root=str(request.getfixturevalue(layout)), subject=SUBJECT), protocol)
    rows = {
        "test": {f"{part}/{name}.png" for part in tested for name in NAMES[part]},
        "train": {f"{part}/{name}.png" for part in TRAIN for name in NAMES[part]},
    }
    found = {split: {path.removeprefix("images/") for path in faces.subset(split).paths} for split in faces.splits}
    assert found["test"] == rows["test"]
    assert found["train"] | found["val"] == rows["train"]
    assert found["train"]
    assert found["val"]
    for path, keypoints in zip(faces.table.paths, faces.table.keypoints, strict=True):
        part = next(i for i, part in enumerate(NAMES) if f"{part}/" in path)
        np.testing.assert_allclose(keypoints, face(part), atol=1e-3)


def test_faces_of_one_photo_are_one_subject(own_folders, fileset):
    table = w300(fileset(root=str(own_folders), subject=SUBJECT), "full").table
    together = defaultdict(set)
    for path, subject in zip(table.paths.tolist(), table.subjects.tolist(), strict=True):
        together[subject].add(path)
    groups = [paths for paths in together.values() if len(paths) > 1]
    assert sorted(map(sorted, groups)) == [
        ["afw/134212_1.png", "afw/134212_2.png"],
        ["ibug/image_003_1.png", "ibug/image_003_2.png"],
    ]


def test_what_is_missing_of_the_protocol_is_said(own_folders, fileset):
    *_, of_train, of_test = w300(fileset(root=str(own_folders), subject=SUBJECT), "common").remarks
    parts = "afw 3 of 337, helen/trainset 2 of 2,000, lfpw/trainset 2 of 811"
    assert of_train == f"7 of the 3,148 train faces of 300-W's protocol are here: {parts}"
    assert (
        of_test == "2 of the 554 test faces of 300-W's protocol are here: helen/testset 1 of 330, lfpw/testset 1 of 224"
    )


@pytest.mark.parametrize("layout", ["own_folders", "of_mmpose"])
def test_test_faces_alone(layout, fileset, request, tmp_path):
    root = request.getfixturevalue(layout)
    for part in TRAIN:
        (root / part).rename(tmp_path / part.replace("/", "_")) if layout == "own_folders" else None
    if layout == "of_mmpose":
        (root / "annotations/face_landmarks_300w_train.json").unlink()
    faces = w300(fileset(root=str(root), subject=SUBJECT), "full")
    assert {split: len(rows) for split, rows in faces.splits.items()} == {"train": 0, "val": 0, "test": 4}


def test_mistakes(own_folders, fileset, tmp_path):
    with pytest.raises(UserError, match=r"data\.protocol=hard: expected common, challenging, full"):
        w300(fileset(root=str(own_folders)), "hard")
    (own_folders / "ibug").rename(tmp_path / "away")
    with pytest.raises(UserError, match=r"expected the folders of 300-W's protocol challenging \(ibug\) or mmpose's"):
        w300(fileset(root=str(own_folders)), "challenging")


def test_the_real_common_set(shared: Path, fileset):
    root = shared / "data/300w_photos"
    faces = w300(fileset(root=str(root), schema="ibug68", subject=SUBJECT, val_share=0.15), "common")
    assert len(faces.splits["test"]) == 554
    assert len(faces.splits["train"]) + len(faces.splits["val"]) == 2012
    subjects = {split: set(faces.subset(split).subjects) for split in faces.splits}
    assert not subjects["train"] & subjects["val"]
    assert len({subject for subject in subjects["train"] | subjects["val"] if "afw/" in subject}) == 185
    assert not any("test faces" in remark for remark in faces.remarks)
