"""What a net is trained to do: its loss, its optimizer with a schedule, a teacher, and a loss of its heatmaps."""

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
        interval: steps after each optimizer step or after each epoch.
        length: the scheduler's argument that takes the number of optimizer steps of the whole training, if it has one.
        monitor: the logged value it looks at, if it does.
    """

    scheduler: Callable[..., LRScheduler]
    interval: Literal["step", "epoch"]
    length: str | None
    monitor: str | None

    def __post_init__(self) -> None:
        if self.interval not in ("step", "epoch"):
            raise UserError(f"scheduler.interval={self.interval}: expected step or epoch")

    def of(self, optimizer: Optimizer, steps: int | None) -> dict[str, Any]:
        """The scheduler of an optimizer, in Lightning's words.

        Args:
            optimizer: whose groups may have an "lr_factor", which the schedule keeps.
            steps: of the whole training; needed if there is a `length`.

        Raises:
            UserError: the scheduler refuses its settings.
        """
        length = {} if self.length is None else {self.length: steps}
        try:
            chosen = {"scheduler": self.scheduler(optimizer, **length), "interval": self.interval}
        except (TypeError, ValueError) as error:
            raise UserError(f"scheduler: {error}") from error
        if "max_lr" in optimizer.param_groups[0]:  # one cycle gives all groups one learning rate
            _scale_lr(optimizer, ("lr", "initial_lr", "max_lr", "min_lr"))
        return chosen if self.monitor is None else chosen | {"monitor": self.monitor}


@dataclass(frozen=True)
class Teacher:
    """A trained net whose answers are learned beside the labels (Hinton et al., arXiv:1503.02531, section 2).

    Attributes:
        net: (B, C, size, size) uint8 crops -> (B, K, 2) pixels of these crops; in evaluation mode.
        size: width and height of its crops, which need not be the pupil's.
        weight: share of its answers in the loss.
        subjects, image_hashes: the subjects and the images that it was trained on.
    """

    net: nn.Module
    size: int
    weight: float
    subjects: Sequence[str] = ()
    image_hashes: Hashes = field(default_factory=lambda: UNKNOWN)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: it does not change, and a running mean of the pupil needs no second one."""
        return self

    def __call__(self, images: Tensor) -> Tensor:
        """(B, C, S, S) uint8 -> (B, K, 2) pixels of these crops."""
        size = images.shape[-1]
        if size != self.size:
            larger = functional.interpolate(images.float(), (self.size,) * 2, mode="bilinear", antialias=True)
            images = larger.round().to(torch.uint8)
        with torch.no_grad():
            answers: Tensor = self.net(images)
        return (answers + 0.5) * (size / self.size) - 0.5


@dataclass(frozen=True)
class HeatmapLoss:
    """Trains the heatmaps that a net reads its coordinates off: a Gaussian about each point on the crop.

    Attributes:
        weight: of this loss, `fkd.losses.heatmap_kl`, beside that of the coordinates.
        sigma: standard deviation of the Gaussian in cells of the heatmap.
    """

    weight: float
    sigma: float

    def __call__(self, heatmaps: Tensor, batch: Batch) -> Tensor:
        """The weighted loss of heatmaps (B, K, cells, cells); points beside the crop have no place on them."""
        size = batch.image.shape[-1]
        target = Heatmaps(size, size // heatmaps.shape[-1], self.sigma, decode="dark").encode(batch.keypoints)
        inside = ((batch.keypoints > -0.5) & (batch.keypoints < size - 0.5)).all(dim=-1)
        return self.weight * heatmap_kl(heatmaps, target, batch.visible & inside)


@dataclass(frozen=True)
class Objective:
    """What training adds to a net.

    Attributes:
        loss: (raw, target, visible) -> scalar.
        optimizer: makes the optimizer from the parameters.
        schedule: of the learning rate, or None for a constant one.
        teacher: whose answers are learned beside the labels, or None.
        heatmap_loss: of the heatmaps that the net reads its coordinates off, or None.
        frozen: names of parts of the net that stay as they are, running means of BatchNorm included.
        lr_factors: name of a part of the net -> factor of the learning rate there; the longest name that fits counts.
    """

    loss: Loss
    optimizer: Callable[..., Optimizer]
    schedule: Schedule | None
    teacher: Teacher | None = None
    heatmap_loss: HeatmapLoss | None = None
    frozen: Sequence[str] = ()
    lr_factors: Mapping[str, float] = field(default_factory=dict)

    def optimizer_of(self, net: nn.Module) -> Optimizer:
        """The optimizer of what learns in a net; each of its groups has its "lr_factor"."""
        optimizer = self.optimizer([*self._groups(net)])
        _scale_lr(optimizer, ("lr",))
        return optimizer

    def _groups(self, net: nn.Module) -> Iterator[dict[str, Any]]:
        """Parameters that learn, by the factor of their learning rate; those of factor 1 first."""
        groups: dict[float, list[nn.Parameter]] = {1.0: []}
        for name, parameter in net.named_parameters():
            if parameter.requires_grad:
                parts = [part for part in self.lr_factors if within(name, part)]
                factor = self.lr_factors[max(parts, key=len)] if parts else 1.0
                groups.setdefault(factor, []).append(parameter)
        return ({"params": params, "lr_factor": factor} for factor, params in groups.items() if params)


def within(name: str, part: str) -> bool:
    """Whether a parameter of this name belongs to a part of the net."""
    return name == part or name.startswith(part + ".")


def _scale_lr(optimizer: Optimizer, keys: Sequence[str]) -> None:
    for group in optimizer.param_groups:
        group.update({key: group[key] * group["lr_factor"] for key in keys})
