"""The objective of a training: loss, optimizer with a schedule, teacher, and loss of heatmaps."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from fkd.codecs import Heatmaps
from fkd.errors import UserError
from fkd.losses import heatmap_kl
from fkd.types import UNKNOWN, Batch, Hashes

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Schedule:
    """A torch scheduler and when it steps.

    Attributes:
        scheduler: makes the scheduler from an optimizer (and the length).
        interval: whether it steps after each optimizer step or after each epoch.
        length: the scheduler's argument for the number of optimizer steps in the whole training, or None.
        monitor: the logged value that it depends on, or None.
    """

    scheduler: Callable[..., LRScheduler]
    interval: Literal["step", "epoch"]
    length: str | None
    monitor: str | None

    def __post_init__(self) -> None:
        if self.interval not in ("step", "epoch"):
            raise UserError(f"scheduler.interval={self.interval}: expected step or epoch")

    def of(self, optimizer: Optimizer, steps: int | None) -> dict[str, Any]:
        """The scheduler of an optimizer, as Lightning's `lr_scheduler` dict.

        Args:
            optimizer: its groups may have an "lr_factor", which the schedule respects.
            steps: optimizer steps in the whole training; needed if there is a `length`.

        Raises:
            UserError: the scheduler refuses its arguments.
        """
        length = {} if self.length is None else {self.length: steps}
        try:
            chosen = {"scheduler": self.scheduler(optimizer, **length), "interval": self.interval}
        except (TypeError, ValueError) as error:
            raise UserError(f"scheduler: {error}") from error
        if "max_lr" in optimizer.param_groups[0]:  # OneCycleLR has set the same learning rate for all groups
            _scale_lr(optimizer, ("lr", "initial_lr", "max_lr", "min_lr"))
        return chosen if self.monitor is None else chosen | {"monitor": self.monitor}


@dataclass(frozen=True)
class Teacher:
    """Distillation: a trained net whose predictions are a second target (Hinton et al., arXiv:1503.02531, section 2).

    Attributes:
        net: (B, C, size, size) uint8 crops -> (B, K, 2) pixels of these crops; in evaluation mode.
        size: width and height of its crops, which may differ from the student's.
        weight: weight of the predictions in the loss, from 0 to 1; the labels have the rest.
        subjects, image_hashes: subjects and images of its training data.
    """

    net: nn.Module
    size: int
    weight: float
    subjects: Sequence[str] = ()
    image_hashes: Hashes = field(default_factory=lambda: UNKNOWN)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return the teacher itself: EMA copies the module, and a second teacher would only cost memory."""
        return self

    def __call__(self, images: Tensor) -> Tensor:
        """(B, C, S, S) uint8 -> (B, K, 2) pixels of these crops."""
        size = images.shape[-1]
        if size != self.size:
            resized = functional.interpolate(images.float(), (self.size,) * 2, mode="bilinear", antialias=True)
            images = resized.round().to(torch.uint8)
        with torch.no_grad():
            keypoints: Tensor = self.net(images)
        return (keypoints + 0.5) * (size / self.size) - 0.5


@dataclass(frozen=True)
class HeatmapLoss:
    """Loss of the heatmaps from which a net computes its coordinates; the target is a Gaussian at each point.

    Attributes:
        weight: weight of this loss, `fkd.losses.heatmap_kl`; the loss of the coordinates has weight 1.
        sigma: standard deviation of the Gaussian in cells of the heatmap.
    """

    weight: float
    sigma: float

    def __call__(self, heatmaps: Tensor, batch: Batch) -> Tensor:
        """The weighted loss of heatmaps (B, K, cells, cells), without points outside of the crop."""
        size = batch.image.shape[-1]
        target = Heatmaps(size, size // heatmaps.shape[-1], self.sigma, decode="dark").encode(batch.keypoints)
        inside = ((batch.keypoints > -0.5) & (batch.keypoints < size - 0.5)).all(dim=-1)
        return self.weight * heatmap_kl(heatmaps, target, batch.visible & inside)


@dataclass(frozen=True)
class Objective:
    """Everything that training needs besides net and data.

    Attributes:
        loss: (raw, target, visible) -> scalar.
        optimizer: makes the optimizer from the parameters.
        schedule: schedule of the learning rate, or None for a constant one.
        teacher: net for distillation, or None.
        heatmap_loss: loss of the net's heatmaps, or None.
        frozen: names of submodules that do not change, running means of BatchNorm included.
        lr_factors: name of a submodule -> factor of its learning rate; the longest matching name counts.
    """

    loss: Loss
    optimizer: Callable[..., Optimizer]
    schedule: Schedule | None
    teacher: Teacher | None = None
    heatmap_loss: HeatmapLoss | None = None
    frozen: Sequence[str] = ()
    lr_factors: Mapping[str, float] = field(default_factory=dict)

    def optimizer_of(self, net: nn.Module) -> Optimizer:
        """The optimizer of the net's trainable parameters; each of its groups has an "lr_factor"."""
        optimizer = self.optimizer([*self._groups(net)])
        _scale_lr(optimizer, ("lr",))
        return optimizer

    def _groups(self, net: nn.Module) -> Iterator[dict[str, Any]]:
        """Trainable parameters grouped by the factor of their learning rate; factor 1 comes first."""
        groups: dict[float, list[nn.Parameter]] = {1.0: []}
        for name, parameter in net.named_parameters():
            if parameter.requires_grad:
                parts = [part for part in self.lr_factors if within(name, part)]
                factor = self.lr_factors[max(parts, key=len)] if parts else 1.0
                groups.setdefault(factor, []).append(parameter)
        return ({"params": params, "lr_factor": factor} for factor, params in groups.items() if params)


def within(name: str, part: str) -> bool:
    """Whether a parameter of this name belongs to a submodule."""
    return name == part or name.startswith(part + ".")


def _scale_lr(optimizer: Optimizer, keys: Sequence[str]) -> None:
    for group in optimizer.param_groups:
        group.update({key: group[key] * group["lr_factor"] for key in keys})
