"""A network that starts with another one's weights."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from fkd.checkpoint import build
from fkd.models.transfer import keypoint_axes, same_points, transfer
from fkd.schema import IBUG68, KeypointSchema
from tests.config.test_conf import compose

MODELS = ("compact", "heatmap", "simcc", "simple", "batchnorm", "naimish", "naimish_bn", "conv5", "mobilenet_v3_small")


def builder(model: str) -> Callable[[int], nn.Module]:
    from fkd.training.runs.compatibility import plain

    config: dict[str, Any] = dict(plain(compose(f"model={model}", "crop.size=64"))["model"]["net"])

    def make(keypoints: int) -> nn.Module:
        net: nn.Module = build(config | {"keypoints": keypoints})
        return net.eval()

    return make


def dense(inputs: int, keypoints: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 3), nn.Linear(3, 2 * keypoints))


def test_rows_of_shared_keypoints_are_taken() -> None:
    old, new = dense(4, 2), dense(4, 3)
    before = {name: tensor.clone() for name, tensor in new.state_dict().items()}
    axes = keypoint_axes(lambda keypoints: dense(4, keypoints), 2)
    assert axes == {"0.weight": {}, "0.bias": {}, "1.weight": {0: 2}, "1.bias": {0: 2}}
    done = transfer(new, old.state_dict(), axes, [1, None, 0])
    assert (done.taken, done.total, done.fresh) == (4, 4, 1)
    assert str(done) == "4 of 4 tensors; 1 point starts fresh"
    found, given = new.state_dict(), old.state_dict()
    assert torch.equal(found["0.weight"], given["0.weight"])
    for name in ("1.weight", "1.bias"):
        assert torch.equal(found[name][0:2], given[name][2:4])
        assert torch.equal(found[name][2:4], before[name][2:4])
        assert torch.equal(found[name][4:6], given[name][0:2])


def test_tensors_of_another_shape_start_fresh() -> None:
    old, new = dense(5, 2), dense(4, 2)
    before = new[0].weight.clone()  # type: ignore[index]
    done = transfer(new, old.state_dict(), keypoint_axes(lambda keypoints: dense(5, keypoints), 2), [0, 1])
    assert (done.taken, done.total) == (3, 4)
    assert torch.equal(new[0].weight, before)  # type: ignore[index]
    assert str(done) == "3 of 4 tensors"


def test_without_shared_keypoints_no_row_of_them_is_taken() -> None:
    new = dense(4, 3)
    before = {name: tensor.clone() for name, tensor in new.state_dict().items()}
    done = transfer(new, dense(4, 2).state_dict(), keypoint_axes(lambda k: dense(4, k), 2), [None] * 3)
    assert (done.taken, done.fresh) == (2, 3)
    assert [name for name, tensor in new.state_dict().items() if torch.equal(tensor, before[name])] == [
        "1.weight",
        "1.bias",
    ]


@pytest.mark.parametrize("model", MODELS)
def test_keypoints_in_another_order_are_found_in_that_order(model: str) -> None:
    """Of every model: 5 of its 9 points, in another order, come out as the net with 9 gives them."""
    make, order = builder(model), [7, 2, 8, 0, 4]
    torch.manual_seed(0)
    old, new = make(9), make(5)
    if model == "compact":
        nn.init.zeros_(old.coordinates.correction.weight)  # type: ignore[union-attr,arg-type]
    done = transfer(new, old.state_dict(), keypoint_axes(make, 9), order)
    assert (done.taken, done.fresh) == (done.total, 0)
    image = torch.rand(2, 1, 64, 64)
    expected, found = old(image), new(image)
    each = expected.reshape(2, 9, -1)[:, order]
    torch.testing.assert_close(found.reshape(2, 5, -1), each, rtol=1e-4, atol=1e-5)


def test_a_constructor_that_reads_its_tensors_is_built_for_real() -> None:
    """As torchvision's RegNet does, which cannot be made on the meta device."""

    def build(keypoints: int) -> nn.Module:
        return nn.Linear(int(torch.linspace(1, 4, 4).sum().tolist()), 2 * keypoints)

    assert keypoint_axes(build, 3) == {"weight": {0: 2}, "bias": {0: 2}}


def schema(**parts: list[str]) -> KeypointSchema:
    names = [name for part in parts.values() for name in part]
    content = {"name": "mine", "names": names, "parts": parts, "normaliser": names[:2]}
    return KeypointSchema.from_dict({**content, "flip": {}, "lines": []})


def test_points_are_the_same_by_name() -> None:
    here = schema(middle=["nose", "chin"], jaw=["jaw_0", "jaw_1"], brow=["brow_0"])
    there = schema(brow=["brow_0"], jaw=["jaw_0", "jaw_1", "jaw_2"], rest=["chin", "ear"])
    assert same_points(here, there) == [None, 4, None, None, 0]  # jaw_1 of two points is not that of three
    assert same_points(IBUG68, IBUG68) == list(range(68))
