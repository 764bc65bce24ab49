"""Faces of another source in the training split."""

from dataclasses import replace
from pathlib import Path

import hydra
import numpy as np
import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from fkd.cli.command import CONF
from fkd.data.cache import Keyed
from fkd.data.combine import beside, mixed
from fkd.data.face_data import Faces
from fkd.errors import UserError
from fkd.schema import IBUG68
from fkd.synthetic.dataset import synthetic_faces
from fkd.types import Annotations


@pytest.fixture
def sources(tmp_path: Path) -> tuple[Faces, Faces]:
    def draw(seed: int, subjects: int) -> Faces:
        return synthetic_faces(str(tmp_path), subjects, 2, 96, seed, 0.2, 0.2, channels=1)

    return draw(0, 6), draw(1, 4)


def test_all_faces_of_the_other_source_are_trained_on(sources: tuple[Faces, Faces]) -> None:
    first, second = sources
    both = beside(first, second)
    added = both.splits["train"][len(first.splits["train"]) :]
    assert len(both.table) == len(first.table) + len(second.table) == len(both.images)
    assert np.array_equal(both.splits["train"][: len(first.splits["train"])], first.splits["train"])
    for row, other in zip(added, range(len(second.table)), strict=True):
        image = second.images[int(second.table.images[other])]
        assert np.array_equal(both.images[int(both.table.images[row])], image)
        assert np.array_equal(both.table.keypoints[row], second.table.keypoints[other])
    for row in range(len(first.table)):
        assert np.array_equal(both.images[int(both.table.images[row])], first.images[int(first.table.images[row])])


def test_images_are_known_as_those_of_their_source(sources: tuple[Faces, Faces]) -> None:
    first, second = sources
    expected = [*first.table.image_hashes.tolist(), *second.table.image_hashes.tolist()]
    assert beside(first, second).table.image_hashes.tolist() == expected
    assert mixed({"a": {"source": first}, "b": {"source": second}}, None).table.image_hashes.tolist() == expected
    assert len({0, *expected}) == 21


def test_validation_and_test_stay_as_they_are(sources: tuple[Faces, Faces]) -> None:
    first, second = sources
    before, after = first.fingerprints(), beside(first, second).fingerprints()
    assert (before["val"], before["test"]) == (after["val"], after["test"])
    assert before["train"] != after["train"]


def test_subjects_keep_their_names_and_are_counted_once(sources: tuple[Faces, Faces]) -> None:
    first, second = sources
    both = beside(first, second)
    assert both.table.subjects.tolist() == [*first.table.subjects.tolist(), *second.table.subjects.tolist()]
    train = len(first.splits["train"]) + 8
    assert both.remarks[0].startswith(f"20 faces ({train} train, ")
    assert "of 10 subjects; test shares none" in both.remarks[0]
    assert both.remarks[1:] == (*first.remarks[1:], "8 faces of synthetic are trained on, too")


@pytest.mark.parametrize("split", ["val", "test"])
def test_nobody_who_is_mixed_in_is_validated_or_tested_on(sources: tuple[Faces, Faces], split: str) -> None:
    first, _ = sources
    held = first.subset(split).subjects
    other = replace(first, table=first.table.take(first.splits[split]), name="other")
    nobody = "expected nobody of data=synthetic's val and test splits"
    message = rf"^extra_train: {nobody}, found 1 .* in other \({held[0]}, "
    with pytest.raises(UserError, match=message):
        beside(first, other)


def test_subjects_of_the_training_split_alone_can_be_mixed_in(sources: tuple[Faces, Faces]) -> None:
    first, _ = sources
    known = first.subset("train")
    both = beside(first, replace(first, table=known))
    assert len(both.splits["train"]) == 2 * len(known)
    assert f"of {len(set(first.table.subjects))} subjects; test shares none" in both.remarks[0]


def test_other_images_of_a_source_have_another_key(sources: tuple[Faces, Faces]) -> None:
    first, second = sources
    images = [beside(*pair).images for pair in ((first, second), (first, second), (second, first))]
    assert all(isinstance(each, Keyed) for each in images)
    assert images[0].key == images[1].key != images[2].key  # type: ignore[attr-defined]


def test_points_of_another_meaning_are_refused(sources: tuple[Faces, Faces]) -> None:
    first, second = sources
    schema = replace(second.table.schema, name="other")
    other = replace(second, table=replace(second.table, schema=schema))
    with pytest.raises(UserError, match=r"extra_train: .* points of data=synthetic, ibug68, found other"):
        beside(first, other)


def test_grey_and_coloured_images_are_not_mixed(sources: tuple[Faces, Faces]) -> None:
    """They were: OpenCV left the crops of one kind as the memory was."""
    first, second = sources
    coloured = replace(second, images=[np.dstack([image] * 3) for image in second.images])  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"^channels: .* found grey in synthetic, RGB in coloured; "):
        beside(first, replace(coloured, name="coloured"))


class TestMixed:
    @pytest.fixture
    def parts(self, sources: tuple[Faces, Faces]) -> dict[str, dict[str, Faces]]:
        return {name: {"source": faces} for name, faces in zip("ab", sources, strict=True)}

    def test_every_split_is_made_of_theirs(self, parts: dict[str, dict[str, Faces]]) -> None:
        both = mixed(parts, None)
        for split in ("train", "val", "test"):
            expected = [path for part in parts.values() for path in part["source"].subset(split).paths]
            assert both.subset(split).paths.tolist() == expected
        second = parts["b"]["source"]
        for row, path in enumerate(second.table.paths):
            (at,) = np.flatnonzero(both.table.paths == path)
            image = both.images[int(both.table.images[at])]
            assert np.array_equal(image, second.images[int(second.table.images[row])])
            assert np.array_equal(both.table.keypoints[at], second.table.keypoints[row])

    @pytest.mark.parametrize("weights", [{"a": 1, "b": 1}, {"a": 1, "b": 3}, {"a": 5, "b": 0.5}])
    def test_weights_are_the_shares_of_an_epoch_and_no_face_is_missing(self, parts, weights) -> None:
        both = mixed(parts, weights)
        rows, counts = np.unique(both.splits["train"], return_counts=True)
        assert rows.tolist() == sorted(mixed(parts, None).splits["train"].tolist())
        of_a = rows < len(parts["a"]["source"].table)
        assert abs(counts[of_a].sum() / weights["a"] - counts[~of_a].sum() / weights["b"]) <= 1 / min(weights.values())
        for counted in (counts[of_a], counts[~of_a]):
            assert counted.max() - counted.min() <= 1  # as evenly as whole numbers allow

    def test_a_source_that_only_tests_is_shown_in_no_epoch(self, parts) -> None:
        faces, nothing = parts["b"]["source"], np.arange(0)
        tested = replace(faces, splits={"train": nothing, "val": nothing, "test": np.arange(len(faces.table))})
        both = mixed({**parts, "b": {"source": tested}}, {"a": 1, "b": 50})
        assert both.splits["train"].tolist() == parts["a"]["source"].splits["train"].tolist()
        assert len(both.splits["test"]) == len(parts["a"]["source"].splits["test"]) + len(faces.table)
        assert "a's 1 times, b's 0 times" in both.remarks[-1]

    @pytest.mark.parametrize(
        "weights", [{"a": 1}, {"a": 1, "b": 0}, {"a": 1, "b": "x"}, {"a": 1, "b": 1, "c": 1}, [1, 2], 3, "a"]
    )
    def test_wrong_weights_are_one_line(self, parts, weights) -> None:
        with pytest.raises(UserError, match=r"data\.weights: expected a number above 0 for each of a, b, found"):
            mixed(parts, weights)

    def test_nobody_is_trained_on_here_and_tested_on_there(self, parts) -> None:
        one = parts["a"]["source"]
        other = replace(one, splits={"train": np.arange(len(one.table)), "val": np.arange(0), "test": np.arange(0)})
        with pytest.raises(UserError, match=r"expected nobody of a's val and test splits in b's training, found 2"):
            mixed({"a": {"source": one}, "b": {"source": other}}, None)

    def test_points_must_mean_the_same(self, parts) -> None:
        faces = parts["b"]["source"]
        other = replace(faces, table=replace(faces.table, schema=replace(faces.table.schema, name="other")))
        with pytest.raises(UserError, match=r"expected synthetic with the points of synthetic, ibug68, found other"):
            mixed({**parts, "b": {"source": other}}, None)

    def test_something_else_is_no_source(self) -> None:
        with pytest.raises(UserError, match=r"data\.sources\.a: expected a data set as in conf/data, found None"):
            mixed({"a": {}}, None)
        with pytest.raises(UserError, match=r"data\.sources: expected one or more data sets"):
            mixed({}, None)
        with pytest.raises(UserError, match=r"data\.sources: expected one or more data sets"):
            mixed([1], None)  # type: ignore[arg-type]

    def test_weights_far_apart_do_not_fill_the_memory(self, parts) -> None:
        count = len(mixed(parts, None).splits["train"])
        assert len(mixed(parts, {"a": 1, "b": 50}).splits["train"]) < 100 * count
        for weights in ({"a": 1e-6, "b": 1}, {"a": 1, "b": 1e-300}):
            with pytest.raises(
                UserError, match=rf"^data\.weights: expected an epoch of at most 100 times the {count} "
            ):
                mixed(parts, weights)


def one_face_each(names: list[str], seed: int, **splits: list[int]) -> Faces:
    """Grey faces that nobody has names for."""
    rng = np.random.default_rng(seed)
    table = Annotations(
        schema=IBUG68,
        paths=np.array(names),
        images=np.arange(len(names)),
        keypoints=rng.random((len(names), 68, 2), np.float32) * 90,
        visible=np.ones((len(names), 68), bool),
        subjects=np.array(names),
        label_shift=np.zeros((len(names), 2), np.float32),
    )
    rows = {name: np.array(splits.get(name, []), np.int64) for name in ("train", "val", "test")}
    images = [rng.integers(0, 256, (96, 96), np.uint8) for _ in names]
    return Faces(table, rows, images, f"set {seed}", ("subjects",))  # type: ignore[arg-type]


class TestImagesForSubjects:
    NAMES = ("p1.png", "p2.png", "p3.png")

    def test_images_of_one_name_are_several_subjects(self) -> None:
        first = one_face_each([*self.NAMES], 0, train=[0], val=[1], test=[2])
        second = one_face_each([*self.NAMES], 1, train=[2], val=[0], test=[1])
        both = mixed({"a": {"source": first}, "b": {"source": second}}, None)
        assert both.table.subjects.tolist() == [f"{part}/{name}" for part in "ab" for name in self.NAMES]
        assert both.table.paths.tolist() == [*self.NAMES, *self.NAMES]
        assert "of 6 subjects; test shares none" in both.remarks[0]
        assert first.table.subjects.tolist() == [*self.NAMES]

    def test_names_that_are_alone_stay_so_that_a_net_is_still_known_to_have_seen_them(self) -> None:
        first = one_face_each([*self.NAMES], 0, train=[0], val=[1], test=[2])
        second = one_face_each(["q1.png"], 1, train=[0])
        both = mixed({"a": {"source": first}, "b": {"source": second}}, None)
        assert both.table.subjects.tolist() == [*self.NAMES, "q1.png"]

    @pytest.mark.parametrize("rows", [[0, 1, 2], [0, 2]])
    def test_the_very_same_images_are_the_same_subjects(self, rows: list[int]) -> None:
        first = one_face_each([*self.NAMES], 0, train=[0], val=[1], test=[2])
        others = {"train": np.array([len(rows) - 1]), "val": np.arange(0), "test": np.array([0])}
        again = replace(first, table=first.table.take(np.array(rows)), splits=others)
        with pytest.raises(UserError, match=r"expected nobody of a's val and test splits in b's training"):
            mixed({"a": {"source": first}, "b": {"source": again}}, None)

    def test_the_same_images_with_labels_rounded_otherwise_are_the_same_subjects(self) -> None:
        first = one_face_each([*self.NAMES], 0, train=[0], val=[1], test=[2])
        rounded = replace(first.table, keypoints=np.rint(first.table.keypoints))
        again = replace(
            first, table=rounded, splits={"train": np.array([2]), "val": np.arange(1), "test": np.arange(0)}
        )
        with pytest.raises(UserError, match=r"expected nobody of a's val and test splits in b's training, found 1"):
            mixed({"a": {"source": first}, "b": {"source": again}}, None)
        both = mixed({"a": {"source": first}, "b": {"source": replace(again, splits=first.splits)}}, None)
        assert both.table.subjects.tolist() == [*self.NAMES, *self.NAMES]

    def test_the_same_labels_of_images_compressed_otherwise_are_the_same_subjects(self) -> None:
        first = one_face_each([*self.NAMES], 0, train=[0], val=[1], test=[2])
        again = replace(first, images=[image ^ 1 for image in first.images])  # type: ignore[attr-defined,arg-type]
        both = mixed({"a": {"source": first}, "b": {"source": again}}, None)
        assert both.table.subjects.tolist() == [*self.NAMES, *self.NAMES]

    def test_the_same_subjects_keep_one_name_beside_others_who_have_it_too(self) -> None:
        first = one_face_each([*self.NAMES], 0, train=[0], val=[1], test=[2])
        second = one_face_each([*self.NAMES], 1, train=[0], val=[1], test=[2])
        parts = {"a": {"source": first}, "b": {"source": second}, "c": {"source": first}}
        both = mixed(parts, None)
        assert both.table.subjects.tolist() == [f"{part}/{name}" for part in "aba" for name in self.NAMES]
        parts["c"] = {"source": replace(first, splits={**first.splits, "train": np.array([2])})}
        with pytest.raises(UserError, match=r"expected nobody of a's val and test splits in c's training"):
            mixed(parts, None)

    def test_only_images_of_shared_names_are_read(self) -> None:
        first = one_face_each([*self.NAMES], 0, train=[0], val=[1], test=[2])
        second, read = one_face_each(["q1.png", "p2.png", "q3.png"], 1, train=[0, 2], val=[1]), []

        class Counted:
            def __getitem__(self, index: int) -> np.ndarray:
                read.append(index)
                return second.images[index]

            def __len__(self) -> int:
                return 3

        mixed({"a": {"source": first}, "b": {"source": replace(second, images=Counted())}}, None)  # type: ignore[arg-type]
        assert sorted(read) == [0, 1]  # of the first one is seen whether it is grey


def composed(folder: Path, content: str) -> DictConfig:
    """A training's config with `data=mine`, whose file has this content."""
    (folder / "data").mkdir()
    (folder / "data" / "mine.yaml").write_text(content)
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return hydra.compose("train", [f"hydra.searchpath=[file://{folder}]", "data=mine", "++run_dir=unused"])


def test_the_mix_that_the_comment_describes_composes(tmp_path: Path) -> None:
    """The commented-out lines of conf/data/mix.yaml, which show how sets of other points are joined."""
    text = (CONF / "data" / "mix.yaml").read_text()
    joined = [line.removeprefix("#   ") for line in text.splitlines() if line.startswith("#   ")]
    assert any("wflw" in line for line in joined)
    body = text.partition("\n  - _self_")[2]
    cfg = composed(tmp_path, "defaults:\n" + "\n".join(f"  {line}" for line in joined) + "\n  - _self_" + body)
    assert cfg.schema == "ibug68"
    files = cfg.data.sources.wflw.files
    assert (files.schema, files.mapping.points) == ("ibug68", 98)
    assert cfg.data.source.sources.wflw.source._target_ == "fkd.data.sources.coco"


def test_shards_can_be_mixed(tmp_path: Path) -> None:
    body = (CONF / "data" / "mix.yaml").read_text().partition("\n  - _self_")[2]
    cfg = composed(tmp_path, "defaults:\n  - shards@sources.large\n  - _self_" + body)
    cfg.data.sources.large.root, cfg.data.sources.large.buffer = "here", 7
    source = OmegaConf.to_container(cfg.data.source, resolve=True)["sources"]["large"]["source"]  # type: ignore[index,call-overload]
    assert (source["root"], source["buffer"]) == ("here", 7)
