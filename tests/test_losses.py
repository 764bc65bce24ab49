"""Losses against NumPy formulas, one coordinate at a time."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from fkd import losses
from fkd.errors import UserError

CONF = Path(__file__).parents[1] / "conf"
BETA, WIDTH, CURVATURE = 0.3, 0.5, 0.2


def one_mse(error):
    return error**2


def one_l1(error):
    return abs(error)


def one_smooth_l1(error):
    return error**2 / (2 * BETA) if abs(error) < BETA else abs(error) - BETA / 2


def one_wing(error):
    if abs(error) < WIDTH:
        return WIDTH * math.log(1 + abs(error) / CURVATURE)
    return abs(error) - (WIDTH - WIDTH * math.log(1 + WIDTH / CURVATURE))


CASES = [
    pytest.param(losses.MSE(), one_mse, id="mse"),
    pytest.param(losses.L1(), one_l1, id="l1"),
    pytest.param(losses.SmoothL1(BETA), one_smooth_l1, id="smoothl1"),
    pytest.param(losses.Wing(WIDTH, CURVATURE), one_wing, id="wing"),
]


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    raw, target = torch.randn(2, 5, 7, 2, generator=generator)
    visible = torch.rand(5, 7, generator=generator) < 0.6
    assert 0 < visible.sum() < 35
    return raw, target, visible


@pytest.mark.parametrize(("loss", "one"), CASES)
def test_is_the_mean_over_coordinates_of_visible_points(loss, one, batch):
    raw, target, visible = (tensor.numpy() for tensor in batch)
    values = [
        one(float(raw[face, point, axis]) - float(target[face, point, axis]))
        for face, point in np.argwhere(visible)
        for axis in (0, 1)
    ]
    assert loss(*batch).item() == pytest.approx(sum(values) / len(values), rel=1e-5)


@pytest.mark.parametrize(("loss", "one"), CASES)
@pytest.mark.parametrize("hidden", [1e6, math.nan, math.inf])
def test_invisible_points_take_no_part(loss, one, batch, hidden):
    raw, target, visible = batch
    raw.requires_grad_()
    before = loss(raw, target, visible)
    after = loss(raw, target.masked_fill(~visible[..., None], hidden), visible)
    after.backward()
    assert after.item() == before.item()
    assert (raw.grad[~visible] == 0).all()
    assert (raw.grad[visible] != 0).all()


@pytest.mark.parametrize(("loss", "one"), CASES)
def test_nothing_visible_gives_zero_and_a_gradient_of_zero(loss, one, batch):
    raw, target, visible = batch
    raw.requires_grad_()
    value = loss(raw, target, torch.zeros_like(visible))
    value.backward()
    assert value.item() == 0
    assert (raw.grad == 0).all()


@pytest.mark.parametrize(("loss", "one"), CASES)
def test_gradient_points_away_from_the_target(loss, one, batch):
    raw, target, visible = batch
    raw.requires_grad_()
    loss(raw, target, visible).backward()
    assert torch.equal(raw.grad[visible].sign(), (raw - target)[visible].sign())


@pytest.mark.parametrize(("loss", "one"), CASES)
def test_perfect_prediction_costs_nothing(loss, one, batch):
    raw, _, visible = batch
    exact = raw.clone().requires_grad_()
    value = loss(exact, raw, visible)
    value.backward()
    assert value.item() == 0
    assert torch.isfinite(exact.grad).all()


@pytest.mark.parametrize(("loss", "one"), CASES)
def test_works_in_float32_on_half_precision_output(loss, one, batch):
    raw, target, visible = batch
    value = loss(raw.bfloat16(), target, visible)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(loss(raw.bfloat16().float(), target, visible).item())


def wing_of(error):
    return losses.wing(*torch.tensor([[[[error, error]]], [[[0.0, 0.0]]]]).double(), torch.ones(1, 1).bool(), 0.5, 0.2)


def test_wing_is_continuous_where_it_becomes_linear():
    below, above = wing_of(WIDTH - 1e-6).item(), wing_of(WIDTH + 1e-6).item()
    assert above - below == pytest.approx(2e-6, rel=0.5)
    assert wing_of(2.5).item() - wing_of(1.5).item() == pytest.approx(1)


def test_wing_in_codec_units_is_the_wing_of_pixels_over_the_unit(batch):
    raw, target, visible = batch
    unit = 112.0
    in_pixels = losses.wing(raw * unit, target * unit, visible, 10, 2)
    assert losses.wing(raw, target, visible, 10 / unit, 2 / unit).item() == pytest.approx(in_pixels.item() / unit)


@pytest.mark.parametrize(("loss", "one"), CASES)
def test_wrong_shapes_are_named(loss, one, batch):
    raw, target, visible = batch
    with pytest.raises(ValueError, match=r"raw: expected shape \(B, K, 2\), found \(5, 14\)"):
        loss(raw.flatten(1), target, visible)
    with pytest.raises(ValueError, match=r"target: expected the shape of raw, \(5, 7, 2\), found \(5, 1, 2\)"):
        loss(raw, target[:, :1], visible)
    with pytest.raises(ValueError, match=r"visible: expected bool of shape \(5, 7\), found torch.bool \(5, 7, 2\)"):
        loss(raw, target, visible[..., None].expand(5, 7, 2))
    with pytest.raises(ValueError, match=r"visible: expected bool of shape \(5, 7\), found torch.float32 \(5, 7\)"):
        loss(raw, target, visible.float())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: losses.SmoothL1(0.0), r"loss=smoothl1: expected loss.beta above 0, found 0.0"),
        (lambda: losses.Wing(-1.0, 0.1), r"loss=wing: expected loss.width above 0, found -1.0"),
        (lambda: losses.Wing(1.0, 0.0), r"loss=wing: expected loss.curvature above 0, found 0.0"),
    ],
)
def test_a_constant_that_cannot_be_is_the_users_error(build, message):
    with pytest.raises(UserError, match=message):
        build()


@pytest.mark.parametrize("name", ["mse", "l1", "smoothl1", "wing"])
def test_the_group_builds_a_loss_on_coordinates(name, batch):
    loss = instantiate(OmegaConf.load(CONF / "loss" / f"{name}.yaml"))
    assert loss.compares == "coordinates"
    assert loss(*batch).item() > 0
