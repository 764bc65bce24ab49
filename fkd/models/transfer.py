"""Starting a network with the weights of another one, whose keypoints or layers may differ."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fkd.schema import KeypointSchema

Points = Sequence[int | None]
"""For each of the network's K keypoints the number of the same point in the other network; None: it has none."""
Axes = Mapping[str, Mapping[int, int]]
"""Name of a tensor -> axis that grows with the number of keypoints -> its entries for each keypoint."""


@dataclass(frozen=True)
class Transfer:
    """What a network took from another one.

    Attributes:
        taken: tensors of which all that the keypoints share was taken.
        total: tensors that the network has.
        fresh: keypoints that the other network does not have.
    """

    taken: int
    total: int
    fresh: int

    def __str__(self) -> str:
        points = f"; {self.fresh} {'point starts' if self.fresh == 1 else 'points start'} fresh" if self.fresh else ""
        return f"{self.taken} of {self.total} tensors{points}"


def same_points(schema: KeypointSchema, other: KeypointSchema) -> list[int | None]:
    """Points of another schema with the names of this one's.

    Points that are numbered in their part, such as jaw_3, are the same only where that part has as many points.
    """
    sizes = ({name: len(points) for name, points in each.parts.items()} for each in (schema, other))
    here, there = sizes
    numbers = {name: number for number, name in enumerate(other.names)}
    for name in schema.names:
        if (numbered := re.fullmatch(r"(.+)_\d+", name)) and here.get(numbered[1]) != there.get(numbered[1]):
            numbers.pop(name, None)
    return [numbers.get(name) for name in schema.names]


def keypoint_axes(build: Callable[[int], nn.Module], keypoints: int) -> Axes:
    """Which axes of a network's tensors belong to its keypoints: those that grow when it has one more.

    Args:
        build: makes the network for a number of keypoints; on torch's meta device, without memory, if it can do that.
        keypoints: K.
    """
    try:
        with torch.device("meta"):
            now, more = (build(count).state_dict() for count in (keypoints, keypoints + 1))
    except (NotImplementedError, RuntimeError):  # a constructor that reads numbers off its tensors
        now, more = (build(count).state_dict() for count in (keypoints, keypoints + 1))
    axes = {}
    for name, tensor in now.items():
        grown = enumerate(zip(tensor.shape, more[name].shape, strict=True))
        axes[name] = {axis: after - before for axis, (before, after) in grown if after != before}
    return axes


def transfer(net: nn.Module, weights: Mapping[str, Tensor], axes: Axes, points: Points) -> Transfer:
    """Copies into a network every tensor that fits by name and shape; of keypoints the entries of shared ones.

    Args:
        net: it is changed in place.
        weights: the other network's state.
        axes: of the other network's tensors.
        points: the other network's number of each of this network's keypoints.
    """
    state, taken = net.state_dict(), 0
    shared = [(here, there) for here, there in enumerate(points) if there is not None]
    for name, target in state.items():
        source = weights.get(name)
        if source is None or source.ndim != target.ndim:
            continue
        here, there = [], []
        for axis, (wide, other) in enumerate(zip(target.shape, source.shape, strict=True)):
            each = axes.get(name, {}).get(axis, 0)
            if each and wide == each * len(points):
                here.append(torch.tensor([each * new + i for new, _ in shared for i in range(each)], dtype=torch.long))
                there.append(torch.tensor([each * old + i for _, old in shared for i in range(each)], dtype=torch.long))
            elif wide == other and not each:
                here.append(torch.arange(wide))
                there.append(torch.arange(wide))
        if len(here) < target.ndim or not all(map(len, here)):
            continue
        taken += 1
        with torch.no_grad():
            if target.ndim == 0:
                target.copy_(source)
            else:
                target[torch.meshgrid(*here, indexing="ij")] = source[torch.meshgrid(*there, indexing="ij")].to(
                    target.device, target.dtype
                )
    return Transfer(taken, len(state), points.count(None))
