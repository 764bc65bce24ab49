"""Metrics against loops, counts and numeric integration."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from fkd import metrics
from fkd.schema import IBUG68

FACES = 24


@pytest.fixture
def faces():
    """preds, target (24, 68, 2) around a face of 100 px, and visible (24, 68) with a few points hidden."""
    generator = torch.Generator().manual_seed(1)
    target = 100 + 40 * torch.randn(FACES, 68, 2, generator=generator)
    target[:, 36] = torch.tensor([60.0, 80.0]) + torch.randn(FACES, 2, generator=generator)
    target[:, 45] = torch.tensor([140.0, 85.0]) + torch.randn(FACES, 2, generator=generator)
    scale = torch.rand(FACES, 1, 1, generator=generator)
    preds = target + 10 * scale * torch.randn(FACES, 68, 2, generator=generator)
    return preds, target, torch.rand(FACES, 68, generator=generator) < 0.8


def slow_errors(preds, target, visible, normalisers):
    """(face, point) -> error over the face's normaliser, in percent, for visible points."""
    return {
        (n, k): 100 * math.dist(preds[n, k].tolist(), target[n, k].tolist()) / normalisers[n]
        for n in range(len(preds))
        for k in range(preds.shape[1])
        if visible[n, k]
    }


def slow_nme(errors):
    by_face = [[error for (n, _), error in errors.items() if n == face] for face in range(FACES)]
    return np.mean([np.mean(face) for face in by_face])


def slow_interocular(target):
    return [math.dist(face[36].tolist(), face[45].tolist()) for face in target]


def test_normalised_errors_are_those_of_a_loop(faces):
    preds, target, visible = faces
    normaliser = IBUG68.interocular(target)
    expected = slow_errors(preds, target, visible, slow_interocular(target))
    errors = metrics.point_errors(preds, target, normaliser)
    assert errors.shape == (FACES, 68)
    for (n, k), error in expected.items():
        assert 100 * errors[n, k].item() == pytest.approx(error, rel=1e-4)
    per_face = metrics.nme(preds, target, normaliser, visible)
    assert per_face.shape == (FACES,)
    assert 100 * per_face.mean().item() == pytest.approx(slow_nme(expected), rel=1e-5)


def test_interocular_is_the_schemas_own(faces):
    _, target, _ = faces
    np.testing.assert_allclose(IBUG68.interocular(target), IBUG68.interocular(target.numpy()), rtol=1e-6)


def slow_interpupil(target, visible):
    eyes = (range(36, 42), range(42, 48))
    return [
        math.dist(*(np.mean([face[k] for k in eye if seen[k]], axis=0) for eye in eyes))
        for face, seen in zip(target.numpy(), visible.numpy(), strict=True)
    ]


def test_interpupil_is_the_distance_of_the_centres_of_what_the_eyes_show(faces):
    _, target, visible = faces
    found = metrics.interpupil(target.masked_fill(~visible[..., None], math.nan), visible, IBUG68)
    np.testing.assert_allclose(found, slow_interpupil(target, visible), rtol=1e-5)
    visible[5, 42:48] = False
    found = metrics.interpupil(target, visible, IBUG68)
    assert found.isnan().nonzero().flatten().tolist() == [5]


@pytest.mark.parametrize(
    ("name", "hidden"), [("nme_box", range(1, 68)), ("nme_box", range(3, 68)), ("nme_interpupil", range(36, 42))]
)
def test_a_face_without_a_normaliser_is_left_out_of_that_mean_alone(faces, name, hidden):
    """Points on a line (or a single one) have a box without an area; an eye that is hidden has no centre."""
    preds, target, visible = faces
    visible[:, :3] = True
    target[3, :3, 1] = 50.0
    visible[3, list(hidden)] = False
    rest = [n for n in range(FACES) if n != 3]
    found = metrics.summary(preds, target, visible, IBUG68)
    assert found[name] == metrics.summary(preds[rest], target[rest], visible[rest], IBUG68)[name]
    assert math.isfinite(found["nme_interocular"])
    alone = metrics.summary(preds[3:4], target[3:4], visible[3:4], IBUG68)
    assert alone[name] is None
    assert alone["nme_interocular"] > 0
    json.dumps([found, alone], allow_nan=False)


def test_box_size_is_the_root_of_the_area_of_visible_points():
    target = torch.tensor([[[3.0, 5.0], [7.0, 6.0], [4.0, 14.0], [99.0, math.nan]]])
    visible = torch.tensor([[True, True, True, False]])
    assert metrics.box_size(target, visible).tolist() == pytest.approx([math.sqrt(4 * 9)])


@pytest.mark.parametrize("name", ["nme_interocular", "nme_interpupil"])
def test_similarity_transforms_change_nothing(faces, name):
    preds, target, visible = faces
    angle, scale = 0.7, 3.1
    turn = scale * torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    shift = torch.tensor([-40.0, 11.0])
    moved = metrics.summary(preds @ turn + shift, target @ turn + shift, visible, IBUG68)
    assert moved[name] == pytest.approx(metrics.summary(preds, target, visible, IBUG68)[name], rel=1e-4)


def test_box_nme_ignores_scale_and_shift_of_each_axis_frame(faces):
    preds, target, visible = faces
    moved = metrics.summary(preds * 2.5 + 7, target * 2.5 + 7, visible, IBUG68)
    assert moved["nme_box"] == pytest.approx(metrics.summary(preds, target, visible, IBUG68)["nme_box"], rel=1e-4)


def test_auc_is_the_integral_of_the_cumulative_distribution():
    errors = torch.tensor([0.0, 0.013, 0.02, 0.02, 0.071, 0.1, 0.13, math.inf])
    grid = (np.arange(20_000) + 0.5) / 20_000 * 0.1
    integral = (errors.numpy()[None] <= grid[:, None]).mean()
    assert metrics.auc(errors, 0.1) == pytest.approx(integral, abs=1e-4)
    assert metrics.auc(torch.zeros(3), 0.1) == 1
    assert metrics.auc(torch.ones(3), 0.1) == 0


def test_failure_rate_counts_what_is_above_the_limit():
    assert metrics.failure_rate(torch.tensor([0.01, 0.25, 0.26, math.inf]), 0.25) == 0.5


def test_summary_is_that_of_a_loop(faces):
    preds, target, visible = faces
    found = metrics.summary(preds, target, visible, IBUG68)
    errors = slow_errors(preds, target, visible, slow_interocular(target))
    faces_only = [np.mean([e for (n, _), e in errors.items() if n == face]) for face in range(FACES)]
    assert 0 < sum(error > 10 for error in faces_only) < FACES
    boxes = []
    for points, seen in zip(target.numpy(), visible.numpy(), strict=True):
        (left, top), (right, bottom) = points[seen].min(axis=0), points[seen].max(axis=0)
        boxes.append(math.sqrt((right - left) * (bottom - top)))
    pupils = slow_interpupil(target, visible)
    assert found == {
        "nme_interocular": pytest.approx(np.mean(faces_only), rel=1e-4),
        "nme_interpupil": pytest.approx(slow_nme(slow_errors(preds, target, visible, pupils)), rel=1e-4),
        "nme_box": pytest.approx(slow_nme(slow_errors(preds, target, visible, boxes)), rel=1e-4),
        "auc_10": pytest.approx(np.mean([max(0, 1 - error / 10) for error in faces_only]), rel=1e-4),
        "failure_rate_10": pytest.approx(100 * np.mean([error > 10 for error in faces_only])),
        "per_part": {
            part: pytest.approx(np.mean([e for (_, k), e in errors.items() if k in points]), rel=1e-4)
            for part, points in IBUG68.parts.items()
        },
        "per_keypoint": [
            pytest.approx(np.mean([e for (_, k), e in errors.items() if k == point]), rel=1e-4) for point in range(68)
        ],
    }
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("hidden", [1e9, math.nan])
def test_invisible_points_do_not_count(faces, hidden):
    preds, target, visible = faces
    visible[:, [36, 45]] = True  # the normaliser's own points
    wild = [points.masked_fill(~visible[..., None], hidden) for points in (preds, target)]
    assert metrics.summary(*wild, visible, IBUG68) == metrics.summary(preds, target, visible, IBUG68)


def test_a_face_without_visible_points_does_not_count(faces):
    preds, target, visible = faces
    visible[3] = False
    rest = [n for n in range(FACES) if n != 3]
    expected = metrics.summary(preds[rest], target[rest], visible[rest], IBUG68)
    assert metrics.summary(preds, target, visible, IBUG68) == expected
    metric = metrics.NME()
    metric.update(preds, target, IBUG68.interocular(target), visible)
    assert metric.compute().item() == pytest.approx(expected["nme_interocular"], rel=1e-5)


def test_a_point_that_no_face_shows_has_no_error(faces):
    preds, target, visible = faces
    visible[:, list(IBUG68.parts["jaw"])] = False
    found = metrics.summary(preds, target, visible, IBUG68)
    assert found["per_part"]["jaw"] is None
    assert found["per_keypoint"][:18] == [None] * 17 + [found["per_keypoint"][17]]
    json.dumps(found, allow_nan=False)


def test_summary_follows_the_schema(faces):
    preds, target = (tensor[:, :3] for tensor in faces[:2])
    visible = torch.ones(FACES, 3, dtype=torch.bool)
    schema = dataclasses.replace(
        IBUG68,
        names=("a", "b", "c"),
        parts={"left": (0, 2), "right": (1,)},
        flip=(0, 1, 2),
        lines=(),
        normaliser=(0, 2),
        eyes=((0,), (1,)),
    )
    found = metrics.summary(preds, target, visible, schema)
    assert set(found["per_part"]) == {"left", "right"}
    assert len(found["per_keypoint"]) == 3


def test_metrics_over_batches_are_those_over_everything(faces):
    preds, target, visible = faces
    normaliser = IBUG68.interocular(target)
    whole, parts = metrics.NME(), metrics.PartNME(IBUG68.parts)
    for batch in (slice(0, 1), slice(1, 17), slice(17, FACES)):
        for metric in (whole, parts):
            metric.update(preds[batch], target[batch], normaliser[batch], visible[batch])
    expected = metrics.summary(preds, target, visible, IBUG68)
    assert whole.compute().item() == pytest.approx(expected["nme_interocular"], rel=1e-5)
    found = {part: value.item() for part, value in parts.compute().items()}
    assert found == pytest.approx(expected["per_part"], rel=1e-5)


def test_metrics_add_up_over_processes(faces):
    """Summing the states of two processes, as torchmetrics does, gives the figure of all faces."""
    preds, target, visible = faces
    normaliser = IBUG68.interocular(target)
    for build in (metrics.NME, lambda: metrics.PartNME(IBUG68.parts)):
        first, second, both = build(), build(), build()
        first.update(preds[:5], target[:5], normaliser[:5], visible[:5])
        second.update(preds[5:], target[5:], normaliser[5:], visible[5:])
        both.update(preds, target, normaliser, visible)
        assert {reduction.__name__ for reduction in first._reductions.values()} == {"dim_zero_sum"}
        for state in first._defaults:
            setattr(first, state, getattr(first, state) + getattr(second, state))
        first._update_count = 2
        torch.testing.assert_close(first.compute(), both.compute())


def test_wrong_input_is_named(faces):
    preds, target, visible = faces
    normaliser = IBUG68.interocular(target)
    with pytest.raises(ValueError, match=r"preds: expected shape \(N, K, 2\), found \(24, 136\)"):
        metrics.nme(preds.flatten(1), target, normaliser, visible)
    with pytest.raises(ValueError, match=r"target: expected the shape of preds, \(24, 68, 2\), found \(24, 1, 2\)"):
        metrics.nme(preds, target[:, :1], normaliser, visible)
    with pytest.raises(ValueError, match=r"normaliser: expected shape \(24,\), found \(24, 1\)"):
        metrics.nme(preds, target, normaliser[:, None], visible)
    with pytest.raises(ValueError, match=r"visible: expected bool of shape \(24, 68\), found torch.bool \(68,\)"):
        metrics.nme(preds, target, normaliser, visible[0])
    with pytest.raises(ValueError, match=r"errors: expected shape \(N,\) with N of at least 1, found \(0,\)"):
        metrics.auc(torch.empty(0), 0.1)


@pytest.mark.parametrize("value", [0.0, -2.0, math.nan])
def test_a_normaliser_that_is_not_positive_is_named_by_its_index(faces, value):
    preds, target, visible = faces
    normaliser = IBUG68.interocular(target)
    normaliser[7] = value
    with pytest.raises(ValueError, match=rf"normaliser\[7\]: expected a positive distance, found {value:g}"):
        metrics.nme(preds, target, normaliser, visible)
