"""Codecs against formulas written out, and against their own inverse."""

import math

import numpy as np
import pytest
import torch

from fkd.codecs import Codec, Coordinates, Heatmaps, SimCC
from fkd.errors import UserError


def test_the_notebooks_target_is_k_minus_100_over_50() -> None:
    codec = Coordinates(center=100, unit=50)
    keypoints = torch.tensor([[[100.0, 50.0], [0.0, 224.0]]])
    assert torch.allclose(codec.encode(keypoints), torch.tensor([[[0.0, -1.0], [-2.0, 2.48]]]))


@pytest.mark.parametrize("shape", [(4, 136), (4, 68, 2)])
def test_decode_undoes_encode_whatever_the_nets_shape(shape: tuple[int, ...]) -> None:
    codec, keypoints = Coordinates(center=47.5, unit=48), torch.rand(4, 68, 2) * 96
    assert torch.allclose(codec.decode(codec.encode(keypoints).reshape(shape)), keypoints, atol=1e-4)


def test_bfloat16_output_is_decoded_in_float32() -> None:
    assert Coordinates(100, 50).decode(torch.zeros(1, 136, dtype=torch.bfloat16)).dtype == torch.float32


def test_a_unit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="unit above 0"):
        Coordinates(center=0, unit=0)


def inside(faces: int, margin: float, size: int) -> torch.Tensor:
    """Keypoints at least so many pixels within a crop."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(faces, 68, 2, generator=generator) * (size - 1 - 2 * margin) + margin


def test_a_heatmap_is_a_gaussian_about_the_points_true_place() -> None:
    codec = Heatmaps(size=32, stride=4, sigma=1.5, decode="dark")
    keypoints = torch.tensor([[[10.3, 21.7], [-0.4, 31.4]]])  # the second in the corner of the crop
    maps = codec.encode(keypoints)
    assert maps.shape == (1, 2, 8, 8)
    for k, (x, y) in enumerate(keypoints[0].tolist()):
        for row, column in np.ndindex(8, 8):
            # the cell's centre in crop pixels: of pixels 4c to 4c + 3
            dx, dy = (4 * column + 1.5 - x) / 4, (4 * row + 1.5 - y) / 4
            expected = math.exp(-(dx**2 + dy**2) / (2 * 1.5**2))
            assert maps[0, k, row, column].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("decode", "sigma", "tolerance"), [("dark", 1.0, 0.02), ("dark", 1.5, 0.05), ("soft_argmax", 1.0, 0.1)]
)
def test_a_heatmap_is_read_within_a_fraction_of_a_cell(decode: str, sigma: float, tolerance: float) -> None:
    codec = Heatmaps(size=96, stride=4, sigma=sigma, decode=decode)
    keypoints = inside(20, margin=20, size=96)
    assert (codec.decode(codec.encode(keypoints)) - keypoints).abs().max() < tolerance  # of 4 pixels to a cell


@pytest.mark.parametrize(("decode", "tolerance"), [("dark", 3.5), ("soft_argmax", 4.5)])
def test_a_point_outside_is_read_at_the_crops_edge(decode: str, tolerance: float) -> None:
    codec = Heatmaps(size=96, stride=4, sigma=1.0, decode=decode)
    generator = torch.Generator().manual_seed(3)
    keypoints = torch.rand(20, 68, 2, generator=generator) * 96 - 0.5
    keypoints[:10, :, 0] += 97  # beyond the right edge
    keypoints[5:, :, 1] -= 97  # above the upper one, some both
    maps = codec.encode(keypoints)
    found = codec.decode(maps + 0.01 * torch.randn(maps.shape, generator=generator))
    nearest = torch.stack([keypoints[..., 0].clamp(-0.5, 95.5), keypoints[..., 1].clamp(-0.5, 95.5)], dim=-1)
    assert (found - nearest).norm(dim=-1).max() < tolerance  # about one cell


@pytest.mark.parametrize(("decode", "least", "most"), [("dark", -0.5, 31.5), ("soft_argmax", 1.5, 29.5)])
def test_any_map_is_read_as_a_place_on_it(decode: str, least: float, most: float) -> None:
    """DARK up to the crop's edge; a centre of mass between the centres of the outermost cells."""
    codec = Heatmaps(size=32, stride=4, sigma=1.0, decode=decode)
    noise = torch.randn(3, 68, 8, 8, generator=torch.Generator().manual_seed(1))
    for maps in (noise, torch.zeros(1, 68, 8, 8), -noise.abs(), noise.bfloat16()):
        found = codec.decode(maps)
        assert found.dtype == torch.float32
        assert found.min() >= least
        assert found.max() <= most


def test_dark_is_better_than_the_highest_cell_under_noise() -> None:
    codec, keypoints = Heatmaps(size=96, stride=4, sigma=1.0, decode="dark"), inside(20, margin=12, size=96)
    maps = codec.encode(keypoints)
    maps = maps + 0.05 * torch.randn(maps.shape, generator=torch.Generator().manual_seed(2))
    highest = maps.flatten(2).argmax(dim=2)
    plain = torch.stack([highest % 24, highest // 24], dim=-1) * 4 + 1.5
    assert (codec.decode(maps) - keypoints).norm(dim=-1).mean() < (plain - keypoints).norm(dim=-1).mean() / 2


def test_simcc_bins_are_a_gaussian_of_sum_1() -> None:
    codec = SimCC(size=16, split=2, sigma=1.5, decode="soft_argmax")
    target = codec.encode(torch.tensor([[[5.2, 9.9]]]))
    assert target.shape == (1, 1, 2, 32)
    for axis, place in enumerate((5.2, 9.9)):
        centres = [(b + 0.5) / 2 - 0.5 for b in range(32)]  # two bins cover pixel 0, which reaches from -0.5 to 0.5
        heights = [math.exp(-((c - place) ** 2) / (2 * 1.5**2)) for c in centres]
        assert target[0, 0, axis].tolist() == pytest.approx([h / sum(heights) for h in heights], abs=1e-6)


@pytest.mark.parametrize(("decode", "tolerance"), [("soft_argmax", 0.01), ("argmax", 0.26)])
def test_simcc_reads_what_it_wrote(decode: str, tolerance: float) -> None:
    codec, keypoints = SimCC(size=96, split=2, sigma=3.0, decode=decode), inside(20, margin=12, size=96)
    logits = codec.encode(keypoints).clamp(min=1e-12).log()
    assert (codec.decode(logits) - keypoints).abs().max() < tolerance  # argmax: half a bin
    assert (codec.decode(logits.flatten(2)) - keypoints).abs().max() < tolerance


def test_simcc_puts_a_point_outside_at_the_edge() -> None:
    codec = SimCC(size=32, split=2, sigma=1.0, decode="argmax")
    target = codec.encode(torch.tensor([[[-30.0, 70.0]]]))
    torch.testing.assert_close(target.sum(dim=-1), torch.ones(1, 1, 2))
    assert codec.decode(target).tolist() == [[[-0.25, 31.25]]]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Heatmaps(96, 5, 1.0, "dark"), "model.codec.stride=5: expected a divisor of crop.size=96, at most"),
        (lambda: Heatmaps(96, 4, 0.0, "dark"), "model.codec.sigma=0.0: expected cells above 0"),
        (lambda: Heatmaps(96, 4, 1.0, "max"), "model.codec.decode=max: expected dark or soft_argmax"),
        (lambda: SimCC(96, 0.33, 1.0, "argmax"), "model.codec.split=0.33: expected bins to a pixel"),
        (lambda: SimCC(96, 2, -1.0, "argmax"), "model.codec.sigma=-1.0: expected pixels above 0"),
        (lambda: SimCC(96, 2, 1.0, "dark"), "model.codec.decode=dark: expected soft_argmax or argmax"),
    ],
)
def test_a_codec_that_cannot_be_is_the_users_error(build: type[Codec], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build()


@pytest.mark.parametrize(
    "codec", [*(Heatmaps(96, 4, 1.0, decode) for decode in ("dark", "soft_argmax")), SimCC(96, 2, 3.0, "soft_argmax")]
)
def test_mixed_precision_leaves_coordinates_as_exact(codec: Heatmaps | SimCC) -> None:
    raw = codec.encode(torch.rand(2, 5, 2) * 80 + 8).log().clamp(min=-20)
    raw = raw.exp() if isinstance(codec, Heatmaps) else raw
    exact = codec.decode(raw)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = codec.decode(raw)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, exact)


def gaussian(places: int, mean: float, sd: float) -> np.ndarray:
    weights = np.exp(-((np.arange(places) - mean) ** 2) / (2 * sd**2))
    return weights / weights.sum()


def spread_by_hand(x: np.ndarray, y: np.ndarray) -> float:
    """Root mean square distance from the mean, by a sum over all pairs of a column and a row."""
    weights = y[:, None] * x[None]
    rows, columns = np.mgrid[: len(y), : len(x)]
    middle = (weights * rows).sum(), (weights * columns).sum()
    return float(np.sqrt((weights * ((rows - middle[0]) ** 2 + (columns - middle[1]) ** 2)).sum()))


@pytest.mark.parametrize(("x", "y"), [((9.3, 1.0), (12.0, 1.0)), ((8.0, 2.0), (10.6, 0.7)), ((0.5, 3.0), (23.0, 3.0))])
def test_the_spread_of_a_heatmap_is_its_standard_deviation(x: tuple[float, float], y: tuple[float, float]) -> None:
    columns, rows = gaussian(24, *x), gaussian(24, *y)
    maps = torch.from_numpy(7 * rows[:, None] * columns[None]).float()[None, None]
    spread = Heatmaps(96, 4, 1.0, "dark").spread(maps)
    assert spread.shape == (1, 1)
    assert spread.item() == pytest.approx(4 * spread_by_hand(columns, rows), rel=1e-3)
    if 3 * x[1] < x[0] < 23 - 3 * x[1]:  # all of it is on the map
        assert spread.item() == pytest.approx(4 * math.hypot(x[1], y[1]), rel=0.01)


@pytest.mark.parametrize("split", [1, 2])
def test_the_spread_of_bins_is_that_of_their_softmax(split: int) -> None:
    columns, rows = gaussian(96 * split, 30.0 * split, 5.0 * split), gaussian(96 * split, 50.0 * split, 2.0 * split)
    logits = torch.from_numpy(np.log(np.stack([columns, rows]) + 1e-30) + 4).float()[None, None]
    spread = SimCC(96, split, 2.0, "soft_argmax").spread(logits)
    assert spread.item() == pytest.approx(spread_by_hand(columns, rows) / split, rel=1e-3)
    assert spread.item() == pytest.approx(math.hypot(5, 2), rel=0.01)
