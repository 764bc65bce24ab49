import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from fkd.data.face_data import Faces
from fkd.data.sources import FileSet, coco, imglab, pts
from fkd.data.sources.annotation_list import Listing, Row
from fkd.data.sources.exclusion_list import Exclusion
from fkd.data.sources.missing_points import filled
from fkd.errors import UserError
from fkd.io import images
from fkd.io.csv_lines import csv_lines

from .conftest import FOUR, face


def row(i: int, split: str = "train", **changes: object) -> Row:
    values = {"where": f"file line {i}", "image": f"p{i}.png", "keypoints": face(i), "visible": np.ones(4, bool)}
    return Row(**(values | {"split": split} | changes))


def rows(split: str = "train") -> list[Row]:
    return [row(i, split) for i in range(10)]


def faces_of(files: FileSet, rows: list[Row]) -> Faces:
    return files.faces(Listing.of(rows, files.count), {row.split for row in rows})


class TestSplits:
    @pytest.mark.parametrize("split", ["val", "test"])
    def test_a_named_split_without_faces_is_no_reason_to_hold_others_out(self, fileset, split):
        unseen = row(9, split, visible=np.zeros(4, bool))
        with pytest.raises(UserError, match=rf"data\.{split}: expected annotated faces, found none"):
            faces_of(fileset(), [*rows()[:9], unseen])

    def test_what_files_name_is_kept_and_the_rest_held_out(self, fileset):
        given = [row(i, "test" if i < 3 else "train") for i in range(10)]
        faces = faces_of(fileset(), given)
        assert faces.splits["test"].tolist() == [0, 1, 2]
        assert sorted([*faces.splits["train"], *faces.splits["val"]]) == [*range(3, 10)]
        assert len(faces.splits["val"]) == 1

    def test_all_three_named(self, fileset):
        names = ["train", "val", "test", "val"]
        faces = faces_of(fileset(), [row(i, name) for i, name in enumerate(names)])
        assert {name: part.tolist() for name, part in faces.splits.items()} == {
            "train": [0],
            "val": [1, 3],
            "test": [2],
        }

    @pytest.mark.parametrize("split", ["val", "test"])
    def test_a_set_may_have_one_split_alone(self, fileset, tmp_path, split):
        faces = faces_of(fileset(), [row(0, split), row(1, split)])
        others = {name: rows.tolist() for name, rows in faces.splits.items() if name != split}
        assert [*others.values()] == [[], []]
        assert faces.splits[split].tolist() == [0, 1]
        sizes = ", ".join(f"{2 * (name == split)} {name}" for name in ("train", "val", "test"))
        assert faces.remarks[0] == f"2 faces ({sizes}) of 2 subjects"
        (tmp_path / "list").write_text("p1.png\n")
        less = faces_of(fileset(exclude=str(tmp_path / "list")), [row(0, split), row(1, split)])
        assert less.splits[split].tolist() == [0]

    def test_subjects_stay_together(self, fileset):
        with pytest.raises(UserError, match=r"file line 5: expected an image name that data\.subject="):
            faces_of(fileset(subject=r"^p([0-4])|(?=)"), rows())
        subjects = faces_of(fileset(subject=r"p\d*([02468]|[13579])"), rows()).table.subjects
        assert set(subjects) == set("0123456789")

    def test_too_few_subjects_to_hold_some_out(self, fileset):
        with pytest.raises(
            UserError,
            match=r"more than 2 subjects in data\.train, found 2 .* name data\.val and data\.test.* data\.train=null",
        ):
            faces_of(fileset(), [row(0), row(1)])
        assert len(faces_of(fileset(), [row(0), row(0, "val"), row(0, "test")]).table) == 3


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"root": "/nowhere"}, "data.root=/nowhere: found no such folder"),
        ({"root": None}, "data.root=None: expected a folder"),
        ({"schema": "ninety"}, "schema=ninety: expected ibug68 or a schema"),
        ({"schema": FOUR | {"flip": {0: 9}}}, "flip: expected as many points (below 4)"),
        ({"subject": "("}, "data.subject=(: expected image, folder or a pattern"),
        ({"subject": "subject"}, "or a pattern with a group in brackets"),
        ({"subject": 7}, "data.subject=7"),
    ],
)
def test_a_wrong_setting_names_its_key(fileset, changes, found):
    with pytest.raises(UserError) as error:
        fileset(**changes)
    assert found in str(error.value)


@pytest.mark.parametrize(
    ("mapping", "found"),
    [
        ({"points": 4}, "expected points and take"),
        ({"points": 0, "take": [0]}, "expected how many points the files have, found 0"),
        ({"points": 4, "take": [0, 1, 2]}, "expected 4 of the 4 points of the files, found 3"),
        ({"points": 4, "take": [0, 1, 2, 4]}, "found 4 of 4, up to number 4"),
        ({"points": 4, "take": "x"}, "expected points and take"),
        ("foo", "data.mapping=foo: expected points and take"),
        ({"points": 9, "take": "0-3"}, "file line 0: expected 9 points, found 4"),
    ],
)
def test_a_wrong_mapping_is_one_line(fileset, mapping, found):
    with pytest.raises(UserError) as error:
        faces_of(fileset(mapping=mapping), rows())
    assert found in str(error.value)


class TestExclusion:
    def faces(self, fileset, tmp_path: Path, text: str) -> list[str]:
        path = tmp_path / "exclude.txt"
        path.write_text(text)
        twice = [*rows(), row(3, keypoints=face(4))]
        kept = faces_of(fileset(exclude=str(path)), twice)
        return [
            f"{path}{int(points[0, 0]) - 10}"
            for path, points in zip(kept.table.paths, kept.table.keypoints, strict=True)
        ]

    def test_images_and_single_faces(self, fileset, tmp_path):
        everything = {*(f"p{i}.png{i}" for i in range(10)), "p3.png4"}
        left = self.faces(fileset, tmp_path, "# swapped\np5.png\n\np3.png\t0\n")
        assert set(left) == everything - {"p5.png5", "p3.png3"}
        left = self.faces(fileset, tmp_path, "p3.png\n")
        assert set(left) == everything - {"p3.png3", "p3.png4"}

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("p77.png\n", "line 1: expected a face of the set, found 'p77.png', which it does not have"),
            ("p3.png\t2\n", "found face 2 of 'p3.png', which it does not have"),
            ("p3.png\tx\n", "line 1: expected a face's number after the tab, found 'x'"),
            ("".join(f"p{i}.png\n" for i in range(10)), "expected to leave faces for train, found none"),
        ],
    )
    def test_a_wrong_list_is_one_line(self, fileset, tmp_path, text, found):
        with pytest.raises(UserError) as error:
            self.faces(fileset, tmp_path, text)
        assert found in str(error.value)

    def test_those_that_stay_are_split_as_before(self, fileset, tmp_path):
        path, given = tmp_path / "exclude.txt", [*rows()[:8], row(8, "test"), row(9, "test")]
        whole = faces_of(fileset(), given)
        out = {str(path) for path in whole.subset("train").paths[:3]} | {"p9.png"}
        path.write_text("\n".join(out))
        kept = faces_of(fileset(exclude=str(path)), given)
        assert any("4 faces left out by" in line and "test among them: their scores" in line for line in kept.remarks)
        for split in ("train", "val", "test"):
            before = [str(path) for path in whole.subset(split).paths]
            assert [str(path) for path in kept.subset(split).paths] == [name for name in before if name not in out]

    def test_a_missing_list_is_named(self, fileset):
        with pytest.raises(UserError, match=r"nowhere\.txt: expected a list of faces, found no such file"):
            faces_of(fileset(exclude="nowhere.txt"), rows())


def test_faces_whose_size_is_not_known_are_left_out(fileset):
    blind = np.array([True, False, True, True])
    same = face(1).copy()
    same[1] = same[0]
    faces = faces_of(fileset(), [row(0, visible=blind), row(1, keypoints=same), *(row(i) for i in range(2, 10))])
    assert len(faces.table) == 8
    assert any("2 of 10 faces left out, " in line and "right and left must be known" in line for line in faces.remarks)


class TestFilled:
    """Faces that are turned, scaled and moved copies of one shape: what is hidden is known exactly."""

    @pytest.fixture
    def shapes(self) -> np.ndarray:
        rng = np.random.default_rng(0)
        shape = rng.normal(size=(4,)) + 1j * rng.normal(size=(4,))
        moved = shape * np.exp(rng.normal(size=(50, 1)) + 2j * rng.normal(size=(50, 1))) + 30 * rng.normal(size=(50, 1))
        return np.stack([moved.real, moved.imag], -1).astype(np.float32)

    def test_hidden_points_stand_where_the_shape_has_them(self, shapes):
        visible = np.ones((50, 4), bool)
        visible[::2, 2] = visible[::3, 3] = False
        hidden = np.where(visible[..., None], shapes, np.float32(999))
        np.testing.assert_allclose(filled(hidden, visible, (0, 1)), shapes, atol=1e-3)

    def test_known_points_stay_to_the_bit(self, shapes):
        visible = np.random.default_rng(1).random((50, 4)) < 0.7
        visible[:, :2] = True
        after = filled(shapes, visible, (0, 1))
        assert np.array_equal(after[visible], shapes[visible])
        assert np.isfinite(after).all()

    def test_one_face_whose_eyes_coincide_moves_nobody_else(self, shapes):
        visible = np.ones((50, 4), bool)
        visible[::2, 2] = False
        before = filled(shapes, visible, (0, 1))
        shapes[7, 1] = shapes[7, 0] + np.float32(1e-3)
        after = filled(shapes, visible, (0, 1))
        np.testing.assert_allclose(np.delete(after, 7, 0), np.delete(before, 7, 0), atol=1e-2)

    def test_a_point_that_no_face_has_stands_between_the_two(self, shapes):
        visible = np.ones((50, 4), bool)
        visible[:, 3] = False
        after = filled(shapes, visible, (0, 1))
        np.testing.assert_allclose(after[:, 3], shapes[:, :2].mean(axis=1), atol=0.2 * np.ptp(shapes))


class TestHashes:
    @staticmethod
    def expected(root: Path, table) -> list[int]:
        digests = [hashlib.blake2b((root / path).read_bytes(), digest_size=8) for path in table.paths]
        return [int.from_bytes(each.digest(), "little") for each in digests]

    def test_each_face_has_that_of_its_file(self, root, fileset):
        listed = [*rows(), row(3, keypoints=face(4))]
        for channels in (1, 3):
            table = faces_of(fileset(channels=channels), listed).table
            assert table.image_hashes.tolist() == self.expected(root, table)
            assert len({*table.image_hashes.tolist()}) == 10

    def test_files_are_read_for_them_once(self, root, fileset, tmp_path, monkeypatch):
        before = faces_of(fileset(), rows()).table.image_hashes
        monkeypatch.setattr("fkd.data.sources.decoding.file_hash", lambda path: pytest.fail("a file was read"))
        (tmp_path / "list").write_text("p3.png\n")
        after = faces_of(fileset(exclude=str(tmp_path / "list")), rows()).table.image_hashes
        np.testing.assert_array_equal(after, np.delete(before, 3))

    def test_a_cache_of_a_version_without_them_gets_them(self, root, fileset, tmp_path):
        table = faces_of(fileset(), rows()).table
        (hashes,) = (tmp_path / "cache").glob("*.hashes.np[yz]")
        hashes.unlink()
        again = faces_of(fileset(), rows()).table
        assert again.image_hashes.tolist() == table.image_hashes.tolist() == self.expected(root, table)
        assert hashes.exists()

    @pytest.mark.parametrize(
        "damage",
        [
            lambda _: b"",
            lambda _: b"x",
            lambda content: content[:-9],
            lambda content: content.replace(b"(10,)", b"(9,) "),
            lambda content: content.replace(b"<u8", b"<i8"),
            lambda content: content[:200] + bytes(8) + content[208:],
        ],
    )
    def test_a_damaged_file_of_them_is_made_again(self, root, fileset, tmp_path, damage):
        table = faces_of(fileset(), rows()).table
        (hashes,) = (tmp_path / "cache").glob("*.hashes.np[yz]")
        content = hashes.read_bytes()
        hashes.write_bytes(damage(content))
        assert faces_of(fileset(), rows()).table.image_hashes.tolist() == table.image_hashes.tolist()
        assert hashes.read_bytes() == content

    def test_a_folder_that_cannot_keep_them_is_no_error(self, root, fileset, tmp_path):
        table = faces_of(fileset(), rows()).table
        (hashes,) = (tmp_path / "cache").glob("*.hashes.np[yz]")
        hashes.unlink()
        hashes.mkdir()
        assert faces_of(fileset(), rows()).table.image_hashes.tolist() == table.image_hashes.tolist()

    def test_an_image_that_was_left_out_unread_has_one_when_it_is_read(self, root, fileset, tmp_path):
        (root / "p2.png").rename(tmp_path / "p2.png")
        (tmp_path / "list").write_text("p2.png\n")
        less = faces_of(fileset(exclude=str(tmp_path / "list")), rows()).table
        assert less.image_hashes.tolist() == self.expected(root, less)
        (tmp_path / "p2.png").rename(root / "p2.png")
        table = faces_of(fileset(), rows()).table
        assert table.image_hashes.tolist() == self.expected(root, table)


def test_several_faces_of_a_image_share_it(fileset: FileSet):
    faces = faces_of(fileset(), [*rows(), row(3, keypoints=face(4))])  # type: ignore[operator]
    assert len(faces.table) == 11
    assert len(faces.images) == 10
    assert faces.table.images[3] == faces.table.images[10]


def test_all_unreadable_images_are_named_at_once(root: Path, fileset, tmp_path):
    for i in (2, 7):
        (root / f"p{i}.png").write_bytes((root / f"p{i}.png").read_bytes()[:30])
    with pytest.raises(UserError, match=r"p2\.png: .*; 2 of 10 images cannot be read: p2\.png, p7\.png;"):
        faces_of(fileset(), rows())
    exclude = tmp_path / "exclude.txt"
    exclude.write_text("p2.png\np7.png\n")
    assert len(faces_of(fileset(exclude=str(exclude)), rows()).table) == 8


@pytest.mark.parametrize("kind", ["cut off", "empty", "folder", "pipe", "link to nothing", "link to itself"])
def test_an_image_that_cannot_be_read_is_named_with_the_way_to_leave_it_out(root: Path, fileset, tmp_path, kind: str):
    path, content = root / "p2.png", (root / "p2.png").read_bytes()
    path.unlink()
    {
        "cut off": lambda: path.write_bytes(content[:30]),
        "empty": path.touch,
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "link to nothing": lambda: path.symlink_to("nothing"),
        "link to itself": lambda: path.symlink_to("p2.png"),
    }[kind]()
    with pytest.raises(UserError, match=r"p2\.png.*; or name p2\.png in a file that data\.exclude=FILE leaves out$"):
        faces_of(fileset(), rows())
    (tmp_path / "exclude.txt").write_text("p2.png\n")
    assert len(faces_of(fileset(exclude=str(tmp_path / "exclude.txt")), rows()).table) == 9


class TestCache:
    """One cache of the decoded images, whatever is left out of the set."""

    @pytest.fixture
    def without(self, fileset, tmp_path: Path):
        """The faces that a list of images to leave out leaves."""

        def make(*left_out: str) -> Faces:
            (path := tmp_path / "exclude.txt").write_text("\n".join(left_out))
            return faces_of(fileset(exclude=str(path)), rows())

        return make

    @staticmethod
    def kept(tmp_path: Path) -> dict[str, int]:
        """Caches and when they were written."""
        return {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache").glob("*.images")}

    def test_other_lists_share_it_and_are_still_other_data(self, fileset, without, tmp_path):
        whole = faces_of(fileset(), rows())
        before, prints = self.kept(tmp_path), [whole.fingerprints()]
        for left_out in (["p0.png"], ["p1.png", "p7.png"], ["p9.png"]):
            faces = without(*left_out)
            prints.append(faces.fingerprints())
            assert set(faces.table.paths) == {f"p{i}.png" for i in range(10)} - {*left_out}
            for path, image in zip(faces.table.paths, faces.table.images, strict=True):
                i = int(path[1])
                assert np.array_equal(faces.images[int(image)], np.full((40 + i, 60 + i), 20 * i))
        assert len(before) == 1
        assert self.kept(tmp_path) == before
        assert len({str(each) for each in prints}) == len(prints)

    def test_the_first_list_makes_the_one_that_all_use(self, fileset, without, tmp_path):
        without("p3.png")
        before = self.kept(tmp_path)
        assert np.array_equal(faces_of(fileset(), rows()).images[3], np.full((43, 63), 60))
        assert self.kept(tmp_path) == before

    @pytest.mark.parametrize("broken", ["cut off", "missing"])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_what_cannot_be_read_may_be_left_out(self, root, fileset, tmp_path, broken, channels):
        path, content = root / "p2.png", (root / "p2.png").read_bytes()
        path.write_bytes(content[:30]) if broken == "cut off" else path.unlink()
        (tmp_path / "two").write_text("p2.png\n")
        (tmp_path / "three").write_text("p2.png\np5.png\n")
        for name, count in (("two", 9), ("three", 8)):
            faces = faces_of(fileset(exclude=str(tmp_path / name), channels=channels), rows())
            shown = {path: faces.images[int(i)] for path, i in zip(faces.table.paths, faces.table.images, strict=True)}
            assert len(shown) == count
            assert all((image == 20 * int(path[1])).all() and image.size for path, image in shown.items())
        assert len(self.kept(tmp_path)) == 1
        with pytest.raises(UserError, match=r"p2\.png.* " + ("missing" if broken == "missing" else "cut off")):
            faces_of(fileset(channels=channels), rows())
        path.write_bytes(content)  # mended
        assert (faces_of(fileset(channels=channels), rows()).images[2] == 40).all()

    def test_what_could_not_be_read_for_a_while_is_read_again(self, fileset, without, tmp_path, monkeypatch):
        """As of a drive that was away: the file itself has not changed."""
        read = images.read
        with monkeypatch.context() as patched:
            patched.setattr(images, "read", lambda path, channels: read(Path("away", path.name), channels))
            with pytest.raises(UserError, match="no such file"):
                without("p2.png")
            patched.setattr(
                images,
                "read",
                lambda path, channels: read(path.with_stem("away") if "p2" in path.name else path, channels),
            )
            assert len(without("p2.png").table) == 9
        assert (faces_of(fileset(), rows()).images[2] == 40).all()

    @pytest.mark.parametrize("subset", ["train", "val", "test"])
    def test_one_split_is_decoded_alone_and_is_the_same(self, root, fileset, tmp_path, monkeypatch, subset):
        whole = faces_of(fileset(cache_dir=str(tmp_path / "other")), rows())
        wanted = {str(whole.table.paths[row]) for row in whole.splits[subset]}
        decoded, read = [], images.read
        monkeypatch.setattr(images, "read", lambda path, channels: (decoded.append(path.name), read(path, channels))[1])
        for i in range(10):
            if f"p{i}.png" not in wanted:
                (root / f"p{i}.png").write_bytes(b"no image")
        for _ in range(2):  # the second time from the cache
            faces = faces_of(fileset(subset=subset), rows())
            assert sorted(decoded) == sorted(wanted)
            assert faces.fingerprints() == whole.fingerprints()
            assert faces.table.paths.tolist() == whole.table.paths.tolist()
            for row in faces.splits[subset]:
                image = int(faces.table.images[row])
                assert np.array_equal(faces.images[image], whole.images[image])
                assert faces.table.image_hashes[row] == whole.table.image_hashes[row] != 0
        with pytest.raises(UserError, match="cannot be read"):
            faces_of(fileset(), rows())
        assert len(self.kept(tmp_path)) == 1

    def test_one_split_is_read_from_the_cache_of_all(self, fileset, tmp_path):
        whole, before = faces_of(fileset(), rows()), self.kept(tmp_path)
        faces = faces_of(fileset(subset="test"), rows())
        assert self.kept(tmp_path) == before
        assert len(before) == 1
        assert np.array_equal(faces.table.image_hashes, whole.table.image_hashes)

    def test_all_are_decoded_after_one_split(self, fileset, tmp_path, capsys):
        for subset in ("test", "all", "test"):
            faces = faces_of(fileset(subset=subset), rows())
        assert all(faces.images[i].size for i in range(10))
        assert len(self.kept(tmp_path)) == 2
        assert "made anew" not in capsys.readouterr().err

    def test_the_sizes_that_files_tell_are_compared_for_decoded_images(self, fileset):
        wrong = [row(0, "train", size=(7, 7)), row(1, "val", size=(61, 41)), row(2, "test")]
        faces_of(fileset(subset="val"), wrong)
        with pytest.raises(UserError, match=r"file line 0: expected p0\.png with 7 x 7 pixels"):
            faces_of(fileset(subset="train"), wrong)

    def test_an_image_outside_of_the_set_is_not_read_to_leave_it_out(self, root, fileset, tmp_path):
        images.write(root.parent / "other.png", np.full((9, 9), 7, np.uint8))
        (tmp_path / "list").write_text("../other.png\n")
        listed = [*rows(), row(3, image="../other.png")]
        faces = faces_of(fileset(exclude=str(tmp_path / "list")), listed)
        assert len(faces.table) == 10
        assert all(faces.images[i].shape != (9, 9) for i in range(len(faces.images)))
        with pytest.raises(UserError, match="expected the name of an image below"):
            faces_of(fileset(), listed)


def test_whom_validation_knows_from_training_is_said(fileset):
    faces = faces_of(fileset(), [*rows(), row(0, "val"), row(1, "val"), row(2, "test")])
    assert "val shares 2 of its 2 subjects with train; test shares 1 of its 1 subjects with train" in faces.remarks[0]


@pytest.mark.parametrize(
    "read",
    [
        lambda files, path: Exclusion.read(str(path)),
        lambda files, path: coco(files, path.name, None, None, ".", True, 0),
        lambda files, path: imglab(files, path.name, None, None),
        lambda files, path: list(csv_lines(path)),
        lambda files, path: pts(files, ["."], None, None, first_pixel=1),
    ],
    ids=["exclude", "coco", "imglab", "csv", "pts"],
)
def test_a_pipe_is_no_file_of_labels(root: Path, fileset, read) -> None:
    """Reading one would wait for ever."""
    os.mkfifo(root / "p0.pts")
    with pytest.raises(UserError, match=r"p0\.pts: expected .*, found a device, a pipe or a socket"):
        read(fileset(), root / "p0.pts")
