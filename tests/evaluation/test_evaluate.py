import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from fkd.codecs import Coordinates
from fkd.data.face_data import Faces
from fkd.detect import Detections
from fkd.errors import UserError
from fkd.evaluation.evaluate import Candidate, evaluate, squares_of
from fkd.geometry import Jitter, Window, adjust, square_around
from fkd.inference.metadata import Metadata
from fkd.inference.torch_net import TorchNet
from fkd.models.error_model import ErrorModel
from fkd.models.keypoint_net import KeypointNet
from fkd.schema import IBUG68
from fkd.shape_model import ShapeModel
from fkd.types import Annotations

SIZE = 64


class Nobody:
    """A detector that finds no face."""

    jitter = Jitter(0.1, 0.1, 0.04)
    limit = None

    def __call__(self, image: np.ndarray, path: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)


N = 12


class Answer(nn.Module):
    """Always the same keypoints, whatever the image."""

    def __init__(self, keypoints: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("keypoints", torch.from_numpy(keypoints))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.keypoints.expand(len(image), -1, -1)


@pytest.fixture
def faces() -> Faces:
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 256, (150, 120), np.uint8) for _ in range(N)]
    table = Annotations(
        schema=IBUG68,
        paths=np.array([f"{i}.png" for i in range(N)]),
        images=np.arange(N),
        keypoints=rng.uniform(30, 90, (N, 68, 2)).astype(np.float32),
        visible=np.ones((N, 68), bool),
        subjects=np.array([f"subject {i % 5}" for i in range(N)]),
        label_shift=np.tile(np.array([0.2, 0.0274], np.float32), (N, 1)),
    )
    rows = np.arange(N)
    return Faces(table, {"train": rows[:4], "val": rows[4:6], "test": rows[6:]}, photos, "made up", ())


def net_of(answer: np.ndarray, shapes: np.ndarray | None = None) -> TorchNet:
    """Always answers the same (68, 2); plausible are `shapes` (N, 68, 2)."""
    model = KeypointNet(Answer(answer), Coordinates(0, 1), IBUG68, SIZE, 1)
    plausible = None if shapes is None else ShapeModel.fit(shapes)
    metadata = Metadata("answer", IBUG68, SIZE, 1, Window(1.35, 0.0), plausible, {})
    return TorchNet(model, metadata, subjects=["subject 1", "subject 3", "somebody else"])


@pytest.fixture
def net() -> TorchNet:
    answer, mean = (np.random.default_rng(seed).uniform(10, 50, (68, 2)).astype(np.float32) for seed in (1, 2))
    net = net_of(answer, np.stack([mean, mean + 1]))
    net.model.mean_shape.copy_(torch.from_numpy(mean))
    return net


def plain_error(
    crop_points: np.ndarray, window: np.ndarray, truth: np.ndarray, visible: Sequence[bool] = (True,) * 68
) -> float:
    """NME in percent of one face, by a loop over its points: crop -> photo -> shifted as the labels are."""
    side = window[2] - window[0]
    photo = [((x + 0.5) / SIZE * side + window[0], (y + 0.5) / SIZE * side + window[1]) for x, y in crop_points]

    def shifted(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        shift = 0.2 + 0.0274 * math.dist(points[36], points[45])
        return [(x + shift, y) for x, y in points]

    label, found = shifted([tuple(p) for p in truth.tolist()]), shifted(photo)
    total = sum(math.dist(a, b) for a, b, seen in zip(label, found, visible, strict=True) if seen)
    return 100 * total / sum(visible) / math.dist(label[36], label[45])


def window_of(keypoints: np.ndarray) -> np.ndarray:
    low, high = keypoints.min(axis=0), keypoints.max(axis=0)
    centre, half = (low + high) / 2, 1.35 * (high - low).max() / 2
    return np.concatenate([centre - half, centre + half])


def test_scores_are_those_of_a_plain_loop(faces: Faces, net: TorchNet) -> None:
    scores = evaluate(Candidate.of(net), faces, "all", "keypoints", Nobody(), batch_size=5)
    answer, mean = net.model.net.keypoints.numpy(), net.model.mean_shape.numpy()
    expected = [plain_error(answer, window_of(k), k) for k in faces.table.keypoints]
    np.testing.assert_allclose(scores.face_errors, expected, rtol=1e-3)
    assert scores.metrics["nme_interocular"] == pytest.approx(np.mean(expected), rel=1e-4)
    assert scores.metrics["nme_all"] == pytest.approx(np.mean(expected), rel=1e-4)
    assert (scores.metrics["faces"], scores.metrics["missed_faces"], scores.metrics["subjects"]) == (N, 0, 5)
    assert scores.metrics["subjects_in_training"] == 2
    assert (scores.metrics["boxes"], scores.metrics["labels"]) == ("keypoints", "published")
    baseline = [plain_error(mean, window_of(k), k) for k in faces.table.keypoints]
    assert scores.mean_shape["nme_interocular"] == pytest.approx(np.mean(baseline), rel=1e-4)


def test_expected_errors_are_compared_with_the_true_ones(faces: Faces, net: TorchNet) -> None:
    """A net without a spread: each point has one expected error on all faces, here the true mean or ten times it."""
    none = evaluate(Candidate.of(net), faces, "all", "keypoints", Nobody(), batch_size=5)
    assert none.metrics["expected_error"] is None
    assert -1 <= none.metrics["expected_error_cross_validated"]["rank_correlation"] <= 1
    visible = faces.table.visible
    errors = np.linalg.norm(none.preds - none.target, axis=-1) / IBUG68.interocular(none.target)[:, None]
    means = (errors * visible).sum(axis=0) / visible.sum(axis=0)
    for factor in (1, 10):
        net.metadata = replace(net.metadata, error_model=ErrorModel(np.log(factor * means.astype(np.float64)), 0.0))
        scores = evaluate(Candidate.of(net), faces, "all", "keypoints", Nobody(), batch_size=5)
        found = scores.metrics["expected_error"]
        expected = np.tile(means, (len(visible), 1))
        assert found["rank_correlation"] == pytest.approx(spearmanr(expected[visible], errors[visible])[0], abs=1e-3)
        tenths = np.array(found["tenths"])
        assert tenths[:, 0].mean() == pytest.approx(factor * tenths[:, 1].mean(), rel=1e-3)
        assert found["worst_tenth"] > 800 * (factor == 10)
        np.testing.assert_array_equal(scores.face_errors, none.face_errors)


@pytest.mark.parametrize(
    ("subjects", "learned", "shown", "expected"),
    [
        (["subject 1"], [], "all", 1),  # by name
        (["x"], [3, 4, 5], "all", 3),  # by image: subjects 2, 3 and 4
        (["subject 2"], [3, 4, 5], "all", 3),  # both ways, and still one
        (["x"], [77], "all", 0),
        (["x"], [], "all", 0),  # of a net that was trained on nothing
        (["x"], [0, 77], "all", None),  # some that it was trained on are not known
        (["x"], [0, 3], "all", 1),
        (["x"], [77], "some", None),  # some that it is scored on are not known
        (["x"], [0], "none", None),
        (["subject 1"], [0], "none", 1),
        (None, [0], "all", None),
    ],
)
def test_subjects_are_known_by_name_or_image_and_never_said_not_to_be_where_that_is_not_known(
    faces: Faces, net: TorchNet, subjects: list[str] | None, learned: list[int], shown: str, expected: int
) -> None:
    hashes = np.arange(1, N + 1, dtype=np.uint64)  # of subject 0, 1, ..., 4, 0, ...
    hashes[{"all": N, "some": N - 1, "none": 0}[shown] :] = 0
    faces = replace(faces, table=replace(faces.table, image_hashes=hashes))
    known = replace(Candidate.of(net), subjects=subjects, image_hashes=np.array(learned, np.uint64))
    scores = evaluate(known, faces, "all", "keypoints", Nobody(), batch_size=5)
    assert scores.metrics["subjects_in_training"] == scores.mean_shape["subjects_in_training"] == expected


def test_hidden_points_have_no_part_in_scores(faces: Faces, net: TorchNet) -> None:
    """Wherever they were filled in: only the normaliser's points must be known."""
    visible = faces.table.visible
    visible[:] = np.random.default_rng(3).random(visible.shape) < 0.7
    visible[:, [36, 45]] = True
    scores = evaluate(Candidate.of(net), faces, "all", "keypoints", Nobody(), batch_size=5)
    shown, truth, answer = visible, faces.table.keypoints, net.model.net.keypoints.numpy()
    expected = [plain_error(answer, window_of(k), k, v) for k, v in zip(truth, shown, strict=True)]
    np.testing.assert_allclose(scores.face_errors, expected, rtol=1e-3)
    assert scores.metrics["nme_interocular"] == pytest.approx(np.mean(expected), rel=1e-4)
    assert scores.metrics["nme_all"] == pytest.approx(np.mean(expected), rel=1e-4)


def test_a_face_whose_points_lie_on_a_line_costs_its_box_error_alone(faces: Faces, net: TorchNet) -> None:
    faces.table.visible[2] = False
    faces.table.visible[2, [36, 45]] = True
    faces.table.keypoints[2, [36, 45], 1] = 50
    scores = evaluate(Candidate.of(net), faces, "all", "keypoints", Nobody(), batch_size=5)
    assert np.isfinite(scores.face_errors).all()
    others = Faces(faces.table.take(np.delete(np.arange(N), 2)), {}, faces.images, "others", ())
    box = evaluate(Candidate.of(net), others, "all", "keypoints", Nobody(), batch_size=5).metrics["nme_box"]
    assert scores.metrics["nme_box"] == box


def test_a_box_is_one_face_of_a_image_and_a_image_is_looked_at_once(faces: Faces) -> None:
    """Three faces of one image, of which two lie close: the box between them is that of the nearer one."""
    centres = np.array([[40, 40], [48, 40], [90, 100]], np.float32)
    shape = np.random.default_rng(5).uniform(-15, 15, (68, 2)).astype(np.float32)
    shape[:2] = [[-15, -15], [15, 15]]
    table = faces.table.take(np.array([0, 1, 2, 3]))
    table.keypoints[:3] = centres[:, None] + shape
    table.images[:] = [7, 7, 7, 5]
    looked = []

    class Boxes(Nobody):
        def __init__(self, boxes: np.ndarray) -> None:
            self.boxes = boxes.astype(np.float32)

        def __call__(self, image: np.ndarray, path: str | None = None) -> tuple[np.ndarray, np.ndarray]:
            looked.append((next(i for i, other in enumerate(faces.images) if other is image), path))
            boxes = self.boxes if len(looked) % 2 == 0 else self.boxes[:0]  # nothing on image 5
            return boxes, np.ones(len(boxes), np.float32)

    square = square_around(table.keypoints[:3])
    one = square[1:2] - [1, 0, 1, 0]
    for boxes, expected in ((one, [1]), (np.concatenate([one, square[2:]]), [1, 2]), (square[[2, 1, 0]], [0, 1, 2])):
        looked.clear()
        squares, _, found = squares_of(table, faces, "detector", Boxes(boxes))
        assert looked == [(5, "3.png"), (7, "0.png")]
        assert np.flatnonzero(found).tolist() == expected
        for row in expected:
            np.testing.assert_allclose(squares[row], square[row] - ([1, 0, 1, 0] if row == 1 and len(boxes) < 3 else 0))


def test_a_perfect_answer_scores_nought_against_shifted_labels(faces: Faces) -> None:
    """The shift is put back on the prediction: a net that finds the true place makes no error."""
    one = Faces(faces.table.take(np.array([3])), {}, [*faces.images], "one", ())
    keypoints = one.table.keypoints[0]
    window = window_of(keypoints)
    inside = ((keypoints - window[:2]) / (window[2] - window[0]) * SIZE - 0.5).astype(np.float32)
    net = net_of(inside)
    assert evaluate(Candidate.of(net), one, "all", "keypoints", Nobody(), 1).metrics["nme_interocular"] < 1e-3


class Some(Nobody):
    """Finds the exact square on every third photo; on the others nothing, or a square where there is no face."""

    def __init__(self, faces: Faces) -> None:
        self.photos, self.squares = list(faces.images), square_around(faces.table.keypoints)

    def __call__(self, photo: np.ndarray, path: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        row = next(i for i, other in enumerate(self.photos) if other is photo)
        if row % 3 == 0:
            return super().__call__(photo, path)
        if row % 3 == 1:
            return np.array([[0, 0, 8, 8]], np.float32), np.ones(1, np.float32)
        return np.stack([np.array([0, 0, 8, 8], np.float32), self.squares[row]]), np.ones(2, np.float32)


def test_crops_are_turned_as_the_detector_says(faces: Faces, net: TorchNet) -> None:
    """A quarter turn of the crop moves the same answer from (x, y) to (-y, x) about the square's centre."""

    class Turned(Nobody):
        def __init__(self, roll: float) -> None:
            self.photos, self.roll = list(faces.images), roll

        def __call__(self, photo: np.ndarray, path: str | None = None) -> Detections:
            row = next(i for i, other in enumerate(self.photos) if other is photo)
            return Detections(squares[row : row + 1], np.ones(1, np.float32), np.float32([self.roll]))

    faces.table.label_shift[:] = 0
    squares = square_around(faces.table.keypoints)
    centres = ((squares[:, :2] + squares[:, 2:]) / 2)[:, None]
    upright, turned = (
        evaluate(Candidate.of(net), faces, "all", "detector", Turned(roll), 5).preds - centres for roll in (0, 90)
    )
    np.testing.assert_allclose(turned, np.stack([-upright[..., 1], upright[..., 0]], axis=-1), atol=1e-3)


def test_a_missed_face_counts_100_percent(faces: Faces, net: TorchNet) -> None:
    scores = evaluate(Candidate.of(net), faces, "all", "detector", Some(faces), 5)
    for metrics, points in ((scores.metrics, net.model.net.keypoints), (scores.mean_shape, net.model.mean_shape)):
        found = np.array([plain_error(points.numpy(), window_of(k), k) for k in faces.table.keypoints[2::3]])
        assert metrics["missed_faces"] == 8
        assert metrics["nme_all"] == pytest.approx((found.sum() + 8 * 100) / N, rel=1e-4)
        assert metrics["nme_interocular"] == pytest.approx(found.mean(), rel=1e-4)
        assert metrics["failure_rate_10"] == pytest.approx(100 * (8 + (found > 10).sum()) / N)
        assert metrics["auc_10"] == pytest.approx(np.clip(1 - found / 10, 0, 1).sum() / N, abs=1e-6)
    missed = np.arange(N) % 3 != 2
    assert (scores.face_errors[missed] == 100).all()
    assert (scores.mean_shape_errors[missed] == 100).all()
    assert np.isinf(scores.curve).sum() == 8
    assert np.isnan(scores.preds[missed]).all()
    assert np.isfinite(scores.preds[~missed]).all()


def test_the_size_of_a_photo_does_not_change_what_a_missed_face_counts(faces: Faces, net: TorchNet) -> None:
    small = evaluate(Candidate.of(net), faces, "all", "detector", Some(faces), 5)
    photos = [np.pad(photo, ((0, 1500), (0, 2000))) for photo in faces.images]
    large = Faces(faces.table, {}, photos, "made up", ())
    assert evaluate(Candidate.of(net), large, "all", "detector", Some(large), 5).metrics == small.metrics


def test_a_face_that_looks_like_none_is_a_missed_one(faces: Faces, net: TorchNet) -> None:
    """As a predictor would drop it."""

    class Strict(Nobody):
        limit = 1.0

        def __call__(self, image: np.ndarray, path: str | None = None) -> tuple[np.ndarray, np.ndarray]:
            row = next(i for i, other in enumerate(faces.images) if other is image)
            return square_around(faces.table.keypoints[row : row + 1]), np.ones(1, np.float32)

    answer = net.model.net.keypoints.numpy()
    assert net.metadata.shapes is not None
    assert net.metadata.shapes.distance(answer) > 1
    with pytest.raises(UserError, match=r"points that the net finds on them look like no face; .* detector.limit=null"):
        evaluate(Candidate.of(net), faces, "test", "detector", Strict(), 5)
    net = net_of(answer, np.stack([answer, answer * 2]))
    assert evaluate(Candidate.of(net), faces, "test", "detector", Strict(), 5).metrics["missed_faces"] == 0


def test_boxes_that_fit_no_labels_are_not_called_missing(faces: Faces, net: TorchNet) -> None:
    class Elsewhere(Nobody):
        """Finds a much wider box on every second photo."""

        def __call__(self, image: np.ndarray, path: str | None = None) -> tuple[np.ndarray, np.ndarray]:
            row = next(i for i, other in enumerate(faces.images) if other is image)
            return adjust(square_around(faces.table.keypoints[row : row + 1 - row % 2]), 4), np.ones(1 - row % 2)

    with pytest.raises(UserError, match="found boxes on 3 of 6 images, none fits the square around the 68 labelled"):
        evaluate(Candidate.of(net), faces, "test", "detector", Elsewhere(), 5)


def test_jittered_boxes_are_the_same_each_time_and_not_the_perfect_ones(faces: Faces, net: TorchNet) -> None:
    first, again = (evaluate(Candidate.of(net), faces, "test", "jitter", Nobody(), 5) for _ in range(2))
    perfect = evaluate(Candidate.of(net), faces, "test", "keypoints", Nobody(), 5)
    assert (first.windows == again.windows).all()
    assert (first.windows != perfect.windows).all(axis=1).all()  # though the net itself trained on perfect boxes
    assert first.metrics["nme_interocular"] == again.metrics["nme_interocular"]


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_net_that_says_nothing_of_its_training_is_scored_like_any_other(
    faces: Faces, net: TorchNet, split: str
) -> None:
    """Beside it stands the mean of the training faces at hand, each in the window around its own points.

    It is that of the tested faces where the set has no others.
    """
    if split == "test":
        nothing = np.arange(0)
        faces = replace(faces, splits={"train": nothing, "val": nothing, "test": np.arange(4)})
    known = Candidate.of(net)
    exported = Candidate.of_unknown_training(net, faces)
    windows = [window_of(k) for k in faces.table.keypoints[:4]]
    inside = [
        (k - window[:2]) / (window[2] - window[0]) * SIZE - 0.5
        for k, window in zip(faces.table.keypoints[:4], windows, strict=True)
    ]
    np.testing.assert_allclose(exported.mean_shape, np.mean(inside, axis=0), atol=1e-3)
    scores, expected = (evaluate(one, faces, "test", "jitter", Nobody(), 5).metrics for one in (exported, known))
    assert scores.pop("subjects_in_training") is None
    assert expected.pop("subjects_in_training") == 2
    assert scores == expected


def test_wrong_subsets_and_boxes_are_refused(faces: Faces, net: TorchNet) -> None:
    with pytest.raises(UserError, match="subset=tset"):
        evaluate(Candidate.of(net), faces, "tset", "keypoints", Nobody(), 5)
    with pytest.raises(ValueError, match="boxes"):
        evaluate(Candidate.of(net), faces, "test", "perfect", Nobody(), 5)
    with pytest.raises(UserError, match="found none of 6"):
        evaluate(Candidate.of(net), faces, "test", "detector", Nobody(), 5)
