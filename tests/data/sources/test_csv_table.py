import json
import re
from pathlib import Path

import numpy as np
import pytest

from fkd.data.sources import csv_table, kaggle
from fkd.data.sources.csv_table import Table, _BrokenError
from fkd.errors import UserError
from fkd.io.predictions import Entry, writing
from fkd.schema import schema_of
from fkd.types import Face

from .conftest import FOUR, face

NAMES = FOUR["names"]


def line(i: int, *more: str) -> str:
    return ",".join([f"p{i}.png", *(f"{v:g}" for v in face(i).ravel()), *more])


HEADER = "file," + ",".join(f"{name}_{axis}" for name in NAMES for axis in "xy")


@pytest.fixture
def load(root: Path, fileset):
    def load(text: str | bytes, columns=1, image="file", subject=None, images=".", **changes):
        (root / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        return csv_table(fileset(**changes), "t.csv", None, None, images, image, columns, subject)

    return load


def whole(*rows: str, header: str = HEADER) -> str:
    return "\n".join([header, *(rows or map(line, range(10)))]) + "\n"


def test_a_row_is_taken_for_no_header_wherever_its_image_stands(load):
    rows = [",".join([*(f"{round(v)}" for v in face(i).ravel()), f"p{i}.png"]) for i in range(10)]
    with pytest.raises(UserError, match=r"line 1: expected a header, found a row, '10, 10, 30, .*p0\.png'"):
        load("\n".join(rows), 0, 8)


def test_a_test_file_alone(root, fileset):
    (root / "t.csv").write_text(whole())
    faces = csv_table(fileset(), None, None, "t.csv", ".", "file", 1, None)
    assert {name: len(rows) for name, rows in faces.splits.items()} == {"train": 0, "val": 0, "test": 10}
    with pytest.raises(UserError, match=r"data\.train, data\.val, data\.test: expected files .* found none"):
        csv_table(fileset(), None, None, None, ".", "file", 1, None)


@pytest.mark.parametrize("header", [",".join(map(str, range(9))), HEADER.replace("file", "image.path")])
def test_headers_may_be_counted_or_have_dots(load, header):
    assert len(load(whole(header=header), 1, 0).table) == 10


@pytest.mark.parametrize("columns", [1, ["{name}_x", "{name}_y"]])
@pytest.mark.parametrize("image", [0, "file"])
def test_columns_are_named_or_counted(load, columns, image):
    table = load(whole(), columns, image).table
    for path, keypoints in zip(table.paths, table.keypoints, strict=True):
        np.testing.assert_allclose(keypoints, face(int(path[1])))


def test_headers_by_number_and_in_any_order(load):
    header = "y3,x3,y2,x2,y1,x1,y0,x0,file"
    rows = [",".join([*(f"{v:g}" for v in face(i)[::-1, ::-1].ravel()), f"p{i}.png"]) for i in range(10)]
    table = load(whole(*rows, header=header), ["x{i}", "y{i}"]).table
    np.testing.assert_allclose(table.keypoints[6], face(6))


def test_a_column_may_name_the_subject(load):
    rows = [line(i, f"subject {i // 2}") for i in range(10)]
    faces = load(whole(*rows, header=f"{HEADER},who"), subject="who")
    assert sorted(set(faces.table.subjects)) == [f"subject {i}" for i in range(5)]
    subjects = [set(faces.subset(name).subjects) for name in ("train", "val", "test")]
    assert sum(map(len, subjects)) == 5


def test_an_empty_cell_is_a_point_that_nobody_knows(load):
    rows = [*map(line, range(9)), line(9).replace("29,24.5", ",")]
    faces = load(whole(*rows))
    assert faces.table.visible[9].tolist() == [True, True, False, True]
    np.testing.assert_allclose(faces.table.keypoints[9], face(9), atol=0.01)
    assert any("of the points are not known" in remark for remark in faces.remarks)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "expected rows, found none"),
        (HEADER + "\n", "expected rows, found none"),
        (whole().replace(",", ";"), "line 1: expected columns with commas between them, found 'file;right_x"),
        (whole(header=line(0)), "line 1: expected a header, found a row, 'p0.png, 10,"),
        (whole(line(0), line(1)[:-5]), "line 3: expected 9 columns, as the header has, found 8"),
        (whole(line(0), line(1, "7")), "line 3: expected 9 columns, as the header has, found 10"),
        (whole(line(0), line(1).rpartition(",")[0]), "line 3: expected 9 columns, as the header has, found 8"),
        (whole(line(0), line(1).replace("21,20.5", "left,20.5")), "x of point 2 (column nose_x), found 'left'"),
        (whole(line(0), line(1).replace("21,20.5", "1e8,20.5")), "line 3: expected pixels of the image as point 2"),
        (whole(line(0), "../" + line(1)), "found '../p1.png'"),
        (whole(line(0), "/" + line(1)), "found '/p1.png'"),
        (whole(line(0), "no" + line(1)), "nop1.png is missing"),
        (whole(line(0), line(1)[6:]), "line 3: expected the name of an image below"),
        (whole().replace("file", "image"), "expected a column file, found 9: image, right_x"),
        (whole().encode("utf-16"), "expected a CSV file in UTF-8"),
        (whole(line(0), line(1) + "\0"), "expected a number as y of point 3"),
    ],
)
def test_a_broken_table_is_one_line(load, text, found):
    with pytest.raises(UserError) as error:
        load(text)
    assert found in str(error.value)
    assert "t.csv" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (4, "expected 8 columns, x and y of 4 points, from column 4 on, found 5;"),
        (-1, "expected 8 columns, x and y of 4 points"),
        (["{name}_x"], "expected the first column's number, or the headers of x and y"),
        ("{name}_x", "expected the first column's number"),
        (["{who}_x", "{name}_y"], "expected {name} or {i} in both headers"),
        (["{name}_a", "{name}_b"], "expected a column right_a"),
    ],
)
def test_wrong_columns_are_named(load, columns, found):
    with pytest.raises(UserError) as error:
        load(whole(), columns)
    assert found in str(error.value)


def test_a_mapping_takes_some_of_a_tables_points(load):
    mapping = {"points": 4, "take": ["1-0", 3]}
    three = {"name": "three", "parts": {"all": "0-2"}, "flip": {0: 1}, "normaliser": [0, 1]}
    table = load(whole(), schema=three, mapping=mapping).table
    np.testing.assert_allclose(table.keypoints[2], face(2)[[1, 0, 3]])


PIXELS = np.random.default_rng(0).integers(0, 256, (6, 96, 96))


def kaggle_csv(rows: int = 6) -> str:
    header = ",".join(f"{name}_{axis}" for name in NAMES for axis in "xy") + ",Image"
    lines = [
        ",".join([*(f"{v:g}" for v in face(i).ravel()), " ".join(map(str, PIXELS[i].ravel()))]) for i in range(rows)
    ]
    return "\n".join([header, *lines]) + "\n"


def load_kaggle(root: Path, fileset, text: str, **changes):
    (root / "training.csv").write_text(text)
    return kaggle(fileset(**changes), "training.csv", ["{name}_x", "{name}_y"])


@pytest.mark.parametrize("channels", [1, 3])
def test_images_inside_the_file(root, fileset, channels):
    faces = load_kaggle(root, fileset, kaggle_csv(), channels=channels)
    for i in range(6):
        image = faces.images[faces.table.images[i]]
        assert image.shape == ((96, 96) if channels == 1 else (96, 96, 3))
        assert np.array_equal(image if channels == 1 else image[..., 1], PIXELS[i])
        np.testing.assert_allclose(faces.table.keypoints[i], face(i))


def test_images_inside_the_file_are_known_by_their_pixels(root, fileset):
    grey, again, colour = (load_kaggle(root, fileset, kaggle_csv(), channels=channels) for channels in (1, 1, 3))
    hashes = grey.table.image_hashes.tolist()
    assert len({0, *hashes}) == 7
    assert again.table.image_hashes.tolist() == colour.table.image_hashes.tolist() == hashes


def test_rows_that_are_left_out_take_no_image_from_others(root, fileset):
    lines = kaggle_csv().splitlines()
    lines[2] = ",," + lines[2].split(",", 2)[2]  # the second row lacks its right eye
    faces = load_kaggle(root, fileset, "\n".join(lines))
    assert len(faces.table) == len(faces.images) == 5
    for row, i in enumerate([0, 2, 3, 4, 5]):
        assert np.array_equal(faces.images[faces.table.images[row]], PIXELS[i])


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda text: text.replace(",Image", ",Img"), "expected a column Image"),
        (lambda text: text[:-20] + "\n", "line 7: expected 96 x 96 values from 0 to 255 as Image, found 92"),
        (lambda text: text.rpartition(" ")[0] + " 256\n", "line 7: expected 96 x 96 values"),
        (lambda text: text.rpartition(" ")[0] + " -1\n", "line 7: expected 96 x 96 values"),
        (lambda text: text.rpartition(" ")[0] + " x\n", "line 7: expected 96 x 96 values"),
    ],
)
def test_broken_pixels_are_one_line(root, fileset, tmp_path, change, found):
    with pytest.raises(UserError) as error:
        load_kaggle(root, fileset, change(kaggle_csv()))
    assert found in str(error.value)
    assert not [*(tmp_path / "cache").glob("*.images")]


def test_images_belong_to_their_rows_whichever_are_left_out(root, fileset, tmp_path):
    load_kaggle(root, fileset, kaggle_csv())
    for left_out in (1, 4):
        exclude = tmp_path / "exclude.txt"
        exclude.write_text(f"training.csv/{left_out + 2:07}\n")
        faces = kaggle(fileset(exclude=str(exclude)), "training.csv", ["{name}_x", "{name}_y"])
        for row, i in enumerate(i for i in range(6) if i != left_out):
            assert np.array_equal(faces.images[faces.table.images[row]], PIXELS[i])
    assert len([*(tmp_path / "cache").glob("*.images")]) == 1


@pytest.mark.parametrize("channels", [1, 3])
def test_broken_pixels_may_be_left_out(root, fileset, tmp_path, channels):
    (tmp_path / "exclude.txt").write_text("training.csv/0000002\n")
    first, *others = kaggle_csv().split("\n", 2)[1:]
    text = "\n".join([kaggle_csv().partition("\n")[0], f"{first} 256", *others])
    faces = load_kaggle(root, fileset, text, channels=channels, exclude=str(tmp_path / "exclude.txt"))
    assert len(faces.table) == 5
    for row in range(5):
        image = faces.images[faces.table.images[row]]
        assert np.array_equal(image if channels == 1 else image[..., 0], PIXELS[row + 1])
    with pytest.raises(UserError, match="line 2: expected 96 x 96 values"):
        load_kaggle(root, fileset, text, channels=channels)


def test_more_points_than_the_schema_has_are_not_read_as_its_first(load):
    rows = [line(i) + ",1,2" for i in range(10)]
    with pytest.raises(UserError, match="expected 8 columns, x and y of 4 points, from column 1 on, found 10"):
        load(whole(*rows, header=f"{HEADER},more_x,more_y"))


def test_a_column_of_texts_behind_the_points_is_left_out_by_the_cure_that_the_error_names(load):
    rows = whole(*(f"{line(i)},clear" for i in range(10)), header=f"{HEADER},quality")
    with pytest.raises(UserError) as error:
        load(rows)
    (columns,) = re.findall(r"'data.columns=(\[.*\])'$", str(error.value))
    assert len(load(rows, json.loads(columns)).table) == 10
    with pytest.raises(UserError) as error:  # Udacity's columns have numbers as names
        load(rows.replace(HEADER, ",".join(["", *map(str, range(HEADER.count(",")))])).replace(",quality", ",8,9"))
    assert "data.columns" not in str(error.value)


@pytest.mark.parametrize("change", [("21,20.5", ",20.5"), ("21,20.5", "21,")])
def test_half_a_point_is_a_mistake(load, change):
    with pytest.raises(UserError, match=r"line 3: expected both x and y of point 2, or neither, found one"):
        load(whole(line(0), line(1).replace(*change), *map(line, range(2, 10))))


def test_a_subject_has_a_name(load):
    rows = [line(i, "" if i == 3 else f"subject {i}") for i in range(10)]
    with pytest.raises(UserError, match=r"line 5: expected the name of a subject \(column who\), found none"):
        load(whole(*rows, header=f"{HEADER},who"), subject="who")


def test_predictions_are_labels_whatever_their_images_are_called(root, fileset):
    schema = schema_of(FOUR)
    names = ["p0.png", "bytes\udcff.png", "two\nlines.png", 'a "quote", ä.png']
    with writing(root, schema, csv=True, pts=False) as writer:
        for i, name in enumerate(names):
            (root / f"p{i}.png").rename(root / name)
            writer.add(Entry(name, None, 9, 9, [Face(schema, np.float32([0, 0, 9, 9]), None, face(i))]))
    table = csv_table(fileset(), None, None, "predictions.csv", ".", "image", ["x{i}", "y{i}"], None).table
    assert table.paths.tolist() == names
    for i, keypoints in enumerate(table.keypoints):
        np.testing.assert_allclose(keypoints, face(i), atol=1e-3)


def test_row_by_row_gives_what_arrow_gives(root, fileset, monkeypatch):
    """Both readers, on a file with quotes, blank lines and points that nobody knows."""
    rows = [*map(line, range(8)), line(8).replace("28,24", ","), '"p9.png",' + line(9).partition(",")[2]]
    (root / "t.csv").write_text("\ufeff" + whole(*rows[:5], "", *rows[5:]).replace("\n", "\r\n"), newline="")
    table = Table(fileset(), root / "t.csv", "file", ["{name}_x", "{name}_y"])
    fast = table.listing("train")
    monkeypatch.setattr(Table, "_read_by_arrow", lambda self: (_ for _ in ()).throw(_BrokenError))
    slow = table.listing("train")
    assert [*fast.images] == [*slow.images]
    assert np.array_equal(fast.keypoints, slow.keypoints)
    assert np.array_equal(fast.visible, slow.visible)
    assert not fast.visible.all()
    assert [fast.where(row) for row in range(10)] == [slow.where(row) for row in range(10)]


@pytest.mark.parametrize("images", [1, None])
def test_a_folder_that_is_none_is_one_line(load, images):
    with pytest.raises(UserError, match=rf"data\.images={images}: expected a folder"):
        load(whole(), images=images)


def test_kaggles_file_must_be_named(fileset):
    with pytest.raises(UserError, match=r"data\.train=None: expected a CSV file"):
        kaggle(fileset(), None, ["{name}_x", "{name}_y"])
