import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fkd.data.sources import coco
from fkd.errors import UserError

from .conftest import face

Content = dict[str, Any]


def content() -> Content:
    images = [{"id": 100 + i, "file_name": f"p{i}.png", "width": 60 + i, "height": 40 + i} for i in range(10)]
    faces = [
        {
            "id": i,
            "image_id": 100 + i,
            "category_id": 1,
            "iscrowd": 0,
            "bbox": [5.0, 5, 30, 30],
            "num_keypoints": 4,
            "keypoints": [v for x, y in face(i).tolist() for v in (x, y, 2)],
        }
        for i in range(10)
    ]
    return {"images": images, "annotations": faces, "categories": [{"id": 1, "name": "face"}]}


@pytest.fixture
def load(root: Path, fileset) -> Callable[..., Any]:
    def load(document: object, occluded: bool = True, first_pixel: int = 0, **changes: object) -> Any:
        raw = document if isinstance(document, bytes) else json.dumps(document).encode()
        (root / "a.json").write_bytes(raw)
        return coco(fileset(**changes), "a.json", None, None, ".", occluded, first_pixel)

    return load


def test_a_test_file_alone(root, fileset):
    (root / "a.json").write_text(json.dumps(content()))
    faces = coco(fileset(), None, None, "a.json", ".", True, 0)
    assert {name: len(rows) for name, rows in faces.splits.items()} == {"train": 0, "val": 0, "test": 10}
    with pytest.raises(UserError, match=r"data\.train, data\.val, data\.test: expected files .* found none"):
        coco(fileset(), None, None, None, ".", True, 0)


def changed(*path: Any, value: object) -> Content:
    whole = content()
    node = whole
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return whole


def test_an_id_is_of_one_image(load):
    document = content()
    document["images"].append(document["images"][2] | {"file_name": "p5.png"})
    with pytest.raises(UserError, match=r"images\[10\]: expected another id in each of images, found 102 twice"):
        load(document)


def test_a_face_without_a_labelled_point_is_said_to_be_left_out(load):
    document = content()
    document["annotations"][4]["keypoints"] = [0, 0, 0] * 4
    faces = load(document)
    assert len(faces.table) == 9
    assert any("1 of 10 faces left out" in line and "annotations[4] the first" in line for line in faces.remarks)


def test_coordinates_may_count_from_one(load):
    from_zero, from_one = (load(content(), first_pixel=first).table.keypoints for first in (0, 1))
    np.testing.assert_array_equal(from_one, from_zero - 1)
    with pytest.raises(UserError, match=r"data\.first_pixel=2: expected 0 or 1"):
        load(content(), first_pixel=2)


def test_annotations_find_their_images(load):
    document = content()
    document["annotations"].reverse()
    faces = load(document)
    for row, path in enumerate(faces.table.paths):
        i = int(path[1])
        assert faces.images[faces.table.images[row]].shape == (40 + i, 60 + i)
        np.testing.assert_allclose(faces.table.keypoints[row], face(i))


def test_visibility_says_what_is_known(load):
    document = content()
    document["annotations"][3]["keypoints"][2 * 3 : 4 * 3] = [20, 20, 1, 0, 0, 0]  # the nose hidden, no chin
    assert load(document).table.visible[3].tolist() == [True, True, True, False]
    assert load(document, occluded=False).table.visible[3].tolist() == [True, True, False, False]


def test_crowds_and_faces_without_points_are_left_out(load):
    document = content()
    document["annotations"][0]["iscrowd"] = 1
    document["annotations"][1]["keypoints"] = [0] * 12
    del document["annotations"][2]["keypoints"]
    assert len(load(document).table) == 7


def test_a_face_without_both_eyes_is_left_out_and_said(load):
    faces = load(changed("annotations", 4, "keypoints", 2, value=0))
    assert len(faces.table) == 9
    assert any("1 of 10 faces left out, " in line and "right and left must be known" in line for line in faces.remarks)


@pytest.mark.parametrize(
    ("document", "found"),
    [
        (json.dumps(content()).encode()[:-200], "found something else or half of one"),
        (b"", "found something else or half of one"),
        (b"\xff\xfe{}", "in UTF-8, found byte 0"),
        (b"[" * 100_000, "found something else or half of one"),
        ([], "expected a list of images as COCO has it, found []"),
        ({"images": []}, "expected a list of annotations"),
        (changed("images", value={"a": 1}), "expected a list of images"),
        (changed("annotations", 2, "image_id", value=7), "annotations[2]: expected an image_id of images, found 7"),
        (changed("annotations", 2, value=[1]), "annotations[2]: expected image_id, found [1]"),
        (changed("images", 2, value={"file_name": "p2.png"}), "images[2]: expected id, found None"),
        (changed("images", 2, "file_name", value=None), "expected file_name, found None"),
        (changed("annotations", 2, "keypoints", value=[1, 2]), "expected x, y and v of each keypoint, found 2 numbers"),
        (changed("annotations", 2, "keypoints", value=[1, 2, 2]), "expected 4 points, found 1"),
        (changed("annotations", 2, "keypoints", value="here"), "expected keypoints, found 'here'"),
        (changed("annotations", 2, "keypoints", 5, value=-1), "expected v of keypoint 1 to be 0, 1 or 2, found -1"),
        (changed("annotations", 2, "keypoints", 5, value=3), "found 3"),
        (changed("annotations", 2, "keypoints", 3, value=None), "expected numbers as keypoint 1"),
        (changed("annotations", 2, "keypoints", 3, value="12"), None),
        (changed("annotations", 2, "keypoints", 3, value=1e12), "as point 1, found (1e+12, 13)"),
        (changed("annotations", 2, "bbox", value=[1, 2, 0, 4]), "width and height above 0, found [1, 2, 0, 4]"),
        (changed("annotations", 2, "bbox", value=[1, 2]), "width and height above 0, found [1, 2]"),
        (changed("images", 2, "file_name", value="/etc/passwd"), "found '/etc/passwd'"),
        (changed("images", 2, "file_name", value="../set/p2.png"), "found '../set/p2.png'"),
        (changed("images", 2, "file_name", value="absent.png"), "absent.png is missing"),
        (changed("images", 2, "width", value=61), "expected p2.png with 61 x 42 pixels, as it says, found 62 x 42"),
    ],
)
def test_a_broken_file_is_one_line(load, document, found):
    if found is None:
        assert len(load(document).table) == 10
        return
    with pytest.raises(UserError) as error:
        load(document)
    assert found in str(error.value)
    assert "a.json" in str(error.value) or "p2.png" in str(error.value)
    assert "\n" not in str(error.value)


def test_nan_in_json_is_no_number(load):
    raw = json.dumps(content()).replace("12.0, 2", "NaN, 2", 1).encode()
    with pytest.raises(UserError, match="expected numbers as keypoint 1"):
        load(raw)


def test_98_points_become_68(shared: Path, fileset):
    """The real sample: its points by the mapping lie where the same part's points of the 98 do."""
    import yaml

    root, conf = shared / "data/wflw", Path(__file__).parents[3] / "conf"
    wflw = yaml.safe_load((conf / "schema/wflw98.yaml").read_text())
    mapping = yaml.safe_load((conf / "data/mapping/wflw98_to_ibug68.yaml").read_text())
    settings = {"root": str(root), "subject": r"(\d+)"}
    files = [
        fileset(**settings, schema=wflw),
        fileset(**settings, schema="ibug68", mapping=mapping),
    ]
    full, mapped = (coco(each, *["test_wflw.json"] * 3, ".", True, 0) for each in files)
    assert len(full.subset("train")) == len(mapped.subset("train")) == 4
    parts = {
        "jaw": "jaw",
        "nose": "nose",
        "right_eye": "right_eye",
        "outer_mouth": "outer_mouth",
        "left_brow": "left_brow",
    }
    for theirs, ours in zip(full.table.keypoints, mapped.table.keypoints, strict=True):
        for part in parts:
            of98 = theirs[list(full.table.schema.parts[part])]
            of68 = ours[list(mapped.table.schema.parts[part])]
            assert {tuple(point) for point in of68.tolist()} <= {tuple(point) for point in of98.tolist()}
    pair98, pair68 = full.table.schema.normaliser, mapped.table.schema.normaliser
    assert np.array_equal(full.table.keypoints[:, pair98], mapped.table.keypoints[:, pair68])
    flipped98, flipped68 = full.table.schema.flip, mapped.table.schema.flip  # taking and mirroring commute
    take = files[1]._take
    assert take is not None
    assert [flipped98[take[i]] for i in range(68)] == [take[flipped68[i]] for i in range(68)]


def test_a_name_that_no_disk_can_hold_is_a_missing_image(load):
    with pytest.raises(UserError, match="xxx is missing"):
        load(changed("images", 2, "file_name", value="x" * 300))


@pytest.mark.parametrize("side", [2**63, 10**400])
def test_a_size_that_no_image_has_says_nothing(load, side):
    assert len(load(changed("images", 2, "width", value=side)).table) == 10
