"""Losses against NumPy formulas, one coordinate at a time."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

import fkd.config.resolvers  # noqa: F401 (YAML files call its functions)
from fkd import losses
from fkd.errors import UserError

CONF = Path(__file__).parents[1] / "conf"
BETA, WIDTH, CURVATURE, LINEAR = 0.3, 0.5, 0.2, 0.1


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


def one_soft_wing(error):
    if abs(error) < LINEAR:
        return abs(error)
    return LINEAR + WIDTH * math.log((1 + abs(error) / CURVATURE) / (1 + LINEAR / CURVATURE))


CASES = [
    pytest.param(losses.MSE(), one_mse, id="mse"),
    pytest.param(losses.L1(), one_l1, id="l1"),
    pytest.param(losses.SmoothL1(BETA), one_smooth_l1, id="smoothl1"),
    pytest.param(losses.Wing(WIDTH, CURVATURE), one_wing, id="wing"),
    pytest.param(losses.SoftWing(LINEAR, WIDTH, CURVATURE), one_soft_wing, id="softwing"),
]
PAIR = (1, 4)
INTERVAL = losses.Interval(1e-3, PAIR)  # of cells so small that errors are beyond them


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


@pytest.mark.parametrize("loss", [*(pytest.param(case.values[0], id=case.id) for case in CASES), INTERVAL])
@pytest.mark.parametrize("hidden", [1e6, math.nan, math.inf])
def test_invisible_points_take_no_part(loss, batch, hidden):
    raw, target, visible = batch
    assert not visible[:, PAIR].all()
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
        (lambda: losses.SoftWing(0.0, 1.0, 1.0), r"loss=softwing: expected loss.linear above 0, found 0.0"),
        (lambda: losses.Interval(0.0, (0, 1)), r"loss=interval: expected loss.pitch above 0, found 0.0"),
        (lambda: losses.AdaptiveWing(2, 14, 1, 0.5, 10), r"adaptive_wing: expected loss.alpha above 2, found 2"),
        (lambda: losses.AdaptiveWing(2.1, 14, 1, 0.5, -1), r"adaptive_wing: expected loss.weight from 0 on, found -1"),
        (lambda: losses.AdaptiveWing(2.1, 14, 0, 0.5, 1), r"adaptive_wing: expected loss.epsilon above 0, found 0"),
    ],
)
def test_a_constant_that_cannot_be_is_the_users_error(build, message):
    with pytest.raises(UserError, match=message):
        build()


def one_interval(error, half):
    return max(abs(error) - half, 0)


def test_interval_costs_nothing_inside_the_labels_cell(batch):
    raw, target, visible = batch
    pitch, (first, second) = 0.8, PAIR
    visible[:2, PAIR], visible[2] = True, torch.tensor([True, True, True, True, False, True, True])
    value = losses.Interval(pitch, [first, second])(raw, target, visible)
    expected = []
    for face, point in np.argwhere(visible.numpy()):
        eyes = target[face, first] - target[face, second]
        known = visible[face, first] and visible[face, second]
        half = pitch / 2 * math.hypot(*eyes.tolist()) if known else 0
        expected += [one_interval(float(raw[face, point, a] - target[face, point, a]), half) for a in (0, 1)]
    assert 0 in expected
    assert value.item() == pytest.approx(sum(expected) / len(expected), rel=1e-5)
    assert losses.interval(raw, target, torch.zeros_like(visible), pitch, (first, second)).item() == 0


ALPHA, OMEGA, EPSILON, THETA, WEIGHT = 2.1, 14.0, 1.0, 0.5, 10.0
AWING = losses.AdaptiveWing(ALPHA, OMEGA, EPSILON, THETA, WEIGHT)


def one_adaptive_wing(error, y):
    """The paper's equation 3, with A and C as it gives them."""
    power = ALPHA - y
    if abs(error) < THETA:
        return OMEGA * math.log(1 + (abs(error) / EPSILON) ** power)
    a = OMEGA * (1 / (1 + (THETA / EPSILON) ** power)) * power * (THETA / EPSILON) ** (power - 1) / EPSILON
    c = THETA * a - OMEGA * math.log(1 + (THETA / EPSILON) ** power)
    return a * abs(error) - c


@pytest.fixture
def maps():
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 3, 6, 5, generator=generator) ** 6  # few cells reach 0.2
    raw = target + torch.randn(target.shape, generator=generator) * 0.5
    return raw, target, torch.tensor([[True, False, True], [True, True, False]])


@pytest.mark.parametrize("weight", [0.0, WEIGHT])
def test_adaptive_wing_is_the_papers_equation(maps, weight):
    raw, target, visible = (tensor.numpy() for tensor in maps)
    values = []
    for face, point in np.argwhere(visible):
        for row, column in np.ndindex(6, 5):
            around = target[face, point, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
            y = float(target[face, point, row, column])
            one = one_adaptive_wing(float(raw[face, point, row, column]) - y, y)
            values.append(one * (1 + weight * bool(around.max() >= 0.2)))
    found = losses.adaptive_wing(*maps, ALPHA, OMEGA, EPSILON, THETA, weight)
    assert found.item() == pytest.approx(sum(values) / len(values), rel=1e-5)


def test_heatmap_kl_is_the_divergence_of_each_visible_points_two_distributions(maps):
    raw, target, visible = maps
    found = losses.heatmap_kl(raw, target, visible)
    expected = []
    for face, point in visible.nonzero():
        shown, wanted = (array[face, point].double().numpy().ravel() for array in (raw, target))
        shown, wanted = np.exp(shown) / np.exp(shown).sum(), wanted / wanted.sum()
        expected.append(sum(w * math.log(w / s) for s, w in zip(shown, wanted, strict=True) if w > 0))
    assert float(found) == pytest.approx(np.mean(expected), rel=1e-5)
    assert float(losses.heatmap_kl(target.log(), target, visible)) == pytest.approx(0, abs=1e-6)


def test_heatmap_mse_is_the_mean_over_the_cells_of_visible_points(maps):
    raw, target, visible = (tensor.numpy() for tensor in maps)
    assert losses.HeatmapMSE()(*maps).item() == pytest.approx(((raw - target)[visible] ** 2).mean(), rel=1e-5)


@pytest.fixture
def bins():
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(2, 3, 2, 9, generator=generator).softmax(dim=-1)
    target[0, 0, 0] = torch.eye(9)[4]  # zeros in a target cost nothing
    raw = torch.randn(target.shape, generator=generator)
    return raw, target, torch.tensor([[True, False, True], [True, True, False]])


def test_simcc_kl_is_torchs_divergence_of_each_axis(bins):
    raw, target, visible = bins
    values = [
        torch.nn.functional.kl_div(raw[b, k, a].log_softmax(0), target[b, k, a], reduction="sum").item()
        for b, k in visible.nonzero().tolist()
        for a in (0, 1)
    ]
    assert losses.SimCCKL()(*bins).item() == pytest.approx(sum(values) / len(values), rel=1e-5)
    exact = target.clamp(min=1e-20).log()
    assert losses.SimCCKL()(exact, target, visible).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("loss", "sample"),
    [
        pytest.param(AWING, "maps", id="awing"),
        (losses.HeatmapMSE(), "maps"),
        (losses.heatmap_kl, "maps"),
        (losses.SimCCKL(), "bins"),
    ],
)
@pytest.mark.parametrize("hidden", [1e6, math.nan])
def test_invisible_points_of_maps_and_bins_take_no_part(loss, sample, hidden, request):
    raw, target, visible = request.getfixturevalue(sample)
    raw.requires_grad_()
    before = loss(raw, target, visible)
    after = loss(raw, target.masked_fill(~visible[..., None, None], hidden), visible)
    after.backward()
    assert after.item() == before.item()
    assert (raw.grad[~visible] == 0).all()
    assert raw.grad[visible].abs().sum() > 0
    nothing = loss(raw, target, torch.zeros_like(visible))
    assert nothing.item() == 0


def test_shapes_of_maps_and_bins_are_named(maps, bins):
    with pytest.raises(ValueError, match=r"raw: expected shape \(B, K, H, W\), found \(2, 3, 30\)"):
        losses.heatmap_mse(maps[0].flatten(2), *maps[1:])
    with pytest.raises(ValueError, match=r"raw: expected shape \(B, K, 2, L\), found \(2, 3, 6, 5\)"):
        losses.simcc_kl(*maps)


@pytest.mark.parametrize(
    ("name", "gives"),
    [("adaptive_wing", "heatmaps"), ("heatmap_mse", "heatmaps"), ("simcc_kl", "bins")],
)
def test_the_group_builds_the_loss_of_its_codec(name, gives):
    assert instantiate(OmegaConf.load(CONF / "loss" / f"{name}.yaml")).compares == gives


@pytest.mark.parametrize("name", ["mse", "l1", "smoothl1", "wing", "softwing"])
def test_the_group_builds_a_loss_on_coordinates(name, batch):
    loss = instantiate(OmegaConf.load(CONF / "loss" / f"{name}.yaml"))
    assert loss.compares == "coordinates"
    assert loss(*batch).item() > 0


@pytest.mark.parametrize(("schema", "pair"), [("ibug68", [36, 45]), ("kaggle15", [1, 0]), ("wflw98", [60, 72])])
def test_the_intervals_pair_is_the_normaliser_of_the_schema(schema, pair):
    content = OmegaConf.load(CONF / "schema" / f"{schema}.yaml")
    config = {"schema": content.get("schema", content), "loss": OmegaConf.load(CONF / "loss" / "interval.yaml")}
    loss = instantiate(OmegaConf.create(config).loss)
    assert (loss.settings["pair"], loss.compares) == (tuple(pair), "coordinates")
