from pathlib import Path

import numpy as np
import pytest

from fkd.data.sources import imglab
from fkd.errors import UserError

from .conftest import face


def box(
    i: int, *, names: tuple[str, ...] = ("0", "1", "2", "3"), more: str = "", sides: str = "width='30' height='30'"
) -> str:
    parts = "".join(f"<part name='{n}' x='{x:g}' y='{y:g}'/>" for n, (x, y) in zip(names, face(i), strict=False))
    return f"<box top='5' left='5' {sides} {more}>{parts}</box>"


def image(i: int, *boxes: str, size: bool = False) -> str:
    sides = f" width='{60 + i}' height='{40 + i}'" if size else ""
    return f"<image file='p{i}.png'{sides}>{''.join(boxes or [box(i)])}</image>"


def document(*images: str, encoding: str = "ISO-8859-1", head: str = "") -> str:
    return (
        f"<?xml version='1.0' encoding='{encoding}'?>\n<?xml-stylesheet type='text/xsl' href='x.xsl'?>{head}\n"
        f"<dataset><name>Müller</name><images>{''.join(images)}</images></dataset>"
    )


@pytest.fixture
def write(root: Path):
    def write(content: str | bytes, encoding: str = "latin-1") -> Path:
        path = root / "faces.xml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


def load(fileset):
    return imglab(fileset(), "faces.xml", None, None)


def test_every_box_is_a_face_and_images_come_once(write, fileset):
    write(document(*[image(i, box(i), box(i + 1), size=True) for i in range(10)]))
    faces = load(fileset)
    assert len(faces.table) == 20
    assert len(faces.images) == 10
    for row, path in enumerate(faces.table.paths):
        np.testing.assert_allclose(faces.table.keypoints[row], face(int(path[1]) + row % 2))
    splits = [set(faces.subset(name).paths) for name in ("train", "val", "test")]
    assert sum(map(len, splits)) == 10  # an image is in one split with all its faces


def test_a_test_file_alone(write, fileset):
    write(document(*map(image, range(10))))
    faces = imglab(fileset(), None, None, "faces.xml")
    assert {name: len(rows) for name, rows in faces.splits.items()} == {"train": 0, "val": 0, "test": 10}
    with pytest.raises(UserError, match=r"data\.train, data\.val, data\.test: expected files .* found none"):
        imglab(fileset(), None, None, None)


def test_parts_stand_where_their_names_say(write, fileset):
    """As dlib's own files: 00, 01, ... in any order, or the schema's names."""
    for names in (("03", "02", "01", "00"), ("chin", "nose", "left", "right")):
        write(document(image(0, box(0, names=names)), *map(image, range(1, 10))))
        np.testing.assert_allclose(load(fileset).table.keypoints[0], face(0)[::-1])


def test_what_is_ignored_or_without_parts_is_left_out(write, fileset):
    none = "<box top='1' left='1' width='3' height='3'/>"
    write(document(image(0, box(0, more="ignore='1'"), none, box(3)), *map(image, range(1, 10))))
    table = load(fileset).table
    assert len(table) == 10
    np.testing.assert_allclose(table.keypoints[0], face(3))


def test_a_part_that_is_missing_is_not_known(write, fileset):
    write(document(image(0, box(0, names=("0", "1", "2"))), *map(image, range(1, 10))))
    table = load(fileset).table
    assert table.visible[0].tolist() == [True, True, True, False]
    assert table.visible[1:].all()
    np.testing.assert_allclose(table.keypoints[0], face(0), atol=0.01)  # all faces have one shape here


BOMB = "<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (document(image(0))[:-40], "something else or half of one"),
        (b"", "something else or half of one"),
        (b"\x00\x01\x02", "something else or half of one"),
        (document(image(0), encoding="nonsense-8"), "something else or half of one"),
        (document(image(0), head=BOMB), "found a document type or entities, which are refused"),
        (document(image(0), head="<!DOCTYPE d SYSTEM 'file:///etc/passwd'>"), "which are refused"),
        (
            document(image(0, box(0, names=("0", "1", "2", "9")))),
            "p0.png box 0: expected a part from 0 to 3 or a point",
        ),
        (document(image(0, box(0, names=("0", "1", "2", "2")))), "p0.png box 0: expected part 2 once"),
        (document(image(0, box(0, names=("0", "1", "2", "-3")))), "found '-3'"),
        (document(image(0, box(0).replace("x='10'", "x='nan'"))), "expected x and y of part 0"),
        (document(image(0, box(0).replace("x='10'", "x='ten'"))), "expected x and y of part 0"),
        (document(image(0, box(0, sides="width='0' height='30'"))), "a width and height above 0"),
        (document(image(0, box(0, sides="width='30' height='-1'"))), "a width and height above 0"),
        (document(image(0, box(0, sides="width='30'"))), "a width and height above 0"),
        (document(image(0).replace("p0.png", "/etc/p0.png")), "found '/etc/p0.png'"),
        (document(image(0).replace("p0.png", "../set/p0.png")), "found '../set/p0.png'"),
        (document(image(0).replace("p0.png", "C:\\p0.png")), "expected the name of an image"),
        (document(image(0).replace("p0.png", "absent.png")), "absent.png is missing"),
        (document(*map(image, range(9)), image(9).replace("<image", "<image width='7' height='7'")), "7 x 7 pixels"),
        (document(image(0).replace("<image", "<image width='x' height='7'")), "an image's width and height"),
        (document(image(0, box(0, names=("1", "2", "3")))), "expected parts from 0 on, found 1 as the first"),
        (document(), "expected annotated faces"),
    ],
)
def test_a_broken_file_is_one_line(write, fileset, content, found):
    write(content)
    with pytest.raises(UserError) as error:
        load(fileset)
    assert found in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_names_its_key(fileset):
    with pytest.raises(
        UserError, match=r"faces\.xml: expected an XML file of imglab, found no such file; set data\.train"
    ):
        load(fileset)


def test_the_real_sample_loads(shared: Path, fileset):
    name = "training_with_face_landmarks.xml"
    faces = imglab(fileset(root=str(shared / "data/ibug_xml"), schema="ibug68"), name, name, name)
    assert len(faces.subset("train")) == 18
    assert faces.table.visible.all()
    sizes = np.array([faces.images[i].shape[::-1] for i in faces.table.images])
    assert ((faces.table.keypoints >= 0) & (faces.table.keypoints < sizes[:, None])).all()


@pytest.mark.parametrize("side", ["1e309", "1e19"])
def test_a_size_that_no_image_has_is_refused(write, fileset, side):
    write(document(*[image(i, size=True) for i in range(10)]).replace("width='62'", f"width='{side}'"))
    with pytest.raises(UserError, match=r"expected an image's width and height, found .*'width': '1e"):
        load(fileset)


def test_a_name_that_no_file_can_have_is_not_printed_whole(write, fileset) -> None:
    write(document(image(0), image(1).replace("p1.png", "p1.png" + "x" * 5000)))
    with pytest.raises(UserError, match="expected the name of an image, found one of 5,006 characters") as error:
        load(fileset)
    assert len(str(error.value)) < 500
