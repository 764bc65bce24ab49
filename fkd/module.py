"""The LightningModule: a net, its codec, and what trains them."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Protocol, Self, cast, runtime_checkable

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import Precision
from pytorch_lightning.utilities import GradClipAlgorithmType
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import CatMetric, MeanMetric

from fkd.codecs import Codec, Heatmaps
from fkd.errors import UserError
from fkd.losses import heatmap_kl
from fkd.metrics import NME, PartNME, point_errors
from fkd.schema import KeypointSchema
from fkd.shape import ShapeModel
from fkd.types import Batch, Points, Prediction

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


@dataclass(frozen=True)
class Teacher:
    """A trained net whose answers are learned beside the labels (Hinton et al., arXiv:1503.02531, section 2).

    Attributes:
        module: the net, in evaluation mode; of the same points and channels, of any crop size and codec.
        weight: share of its answers in the loss.
    """

    module: "KeypointModule"
    weight: float

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: it does not change, and a running mean of the pupil needs no second one."""
        return self

    def __call__(self, images: Tensor) -> Tensor:
        """(B, C, S, S) uint8 -> (B, K, 2) pixels of these crops."""
        size, own = images.shape[-1], self.module.size
        if size != own:
            larger = functional.interpolate(images.float(), (own, own), mode="bilinear", antialias=True)
            images = larger.round().to(torch.uint8)
        with torch.no_grad():
            answers: Tensor = self.module(images)
        return (answers + 0.5) * (size / own) - 0.5


@runtime_checkable
class ReadsMaps(Protocol):
    """A net that reads its coordinates off maps."""

    def with_maps(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, S, S) in [0, 1] -> the net's output, and its maps (B, K, cells, cells) before their softmax."""
        ...


@dataclass(frozen=True)
class Maps:
    """What the maps are trained on that a net reads its coordinates off: a Gaussian about each point on the crop.

    Attributes:
        weight: of the maps' loss, `fkd.losses.heatmap_kl`, beside that of the coordinates.
        sigma: standard deviation of the Gaussian in cells of the map.
    """

    weight: float
    sigma: float

    def __call__(self, maps: Tensor, batch: Batch) -> Tensor:
        """The weighted loss of (B, K, cells, cells) maps; points beside the crop have no place on them."""
        size = batch.image.shape[-1]
        target = Heatmaps(size, size // maps.shape[-1], self.sigma, decode="dark").encode(batch.keypoints)
        inside = ((batch.keypoints > -0.5) & (batch.keypoints < size - 0.5)).all(dim=-1)
        return self.weight * heatmap_kl(maps, target, batch.visible & inside)


@dataclass(frozen=True)
class Recipe:
    """What training adds to a net.

    Attributes:
        loss: (raw, target, visible) -> scalar.
        optimizer: makes the optimizer from the parameters.
        schedule: of the learning rate, or None for a constant one.
        teacher: whose answers are learned beside the labels, or None.
        maps: what the net's maps are trained on beside its coordinates, or None; it `ReadsMaps` then.
        frozen: names of parts of the net that stay as they are, running means of BatchNorm included.
        lr_factors: name of a part of the net -> factor of the learning rate there; the longest name that fits counts.
    """

    loss: Loss
    optimizer: Callable[..., Optimizer]
    schedule: Schedule | None
    teacher: Teacher | None = None
    maps: Maps | None = None
    frozen: Sequence[str] = ()
    lr_factors: Mapping[str, float] = field(default_factory=dict)


class KeypointModule(pl.LightningModule):
    """Finds K keypoints on crops.

    Args:
        net: (B, C, S, S) float images in [0, 1] -> raw output.
        codec: between raw output and crop pixels.
        schema: what the K points mean.
        size: S, width and height of the crops the net is made for.
        channels: C, 1 for grey or 3 for RGB.
        config: plain dict stored in every checkpoint, enough to build this module again.
        recipe: needed to train, not to predict.

    Logs `train/loss` and `val/loss` (of the labels, without what a teacher or maps add), `val/nme` (percent of the
    inter-ocular distance, photo pixels against the labels as published), `val/nme_part/<part>` and `lr`.
    """

    mean_shape: Tensor  # (K, 2) crop pixels

    def __init__(
        self,
        net: nn.Module,
        codec: Codec,
        schema: KeypointSchema,
        size: int,
        channels: int,
        config: Mapping[str, Any],
        recipe: Recipe | None = None,
    ) -> None:
        super().__init__()
        self.net = net.to(memory_format=torch.channels_last)
        self.codec, self.schema, self.size, self.channels = codec, schema, size, channels
        self.config, self.recipe = config, recipe
        self.subjects: list[str] = []  # the people it was trained on
        self.shapes: ShapeModel | None = None  # of the training faces, in units of the net's answers on faces
        self._training_shapes: ShapeModel | None = None  # the same in their own unit
        self._steps: float | None = None  # of the training, if its schedule depends on them
        self.scores: dict[str, float] = {}  # of the checkpoint it was loaded from: epoch, val/loss, val/nme
        self.register_buffer("mean_shape", torch.zeros(len(schema), 2))
        # NaN stays, since a loss that is not finite must be seen; torchmetrics' "disable" would forget the weights.
        self.train_loss, self.val_loss = MeanMetric(nan_strategy=math.nan), MeanMetric(nan_strategy=math.nan)
        self.val_nme, self.val_parts = NME(), PartNME(schema.parts)
        self.val_distances = CatMetric()  # of the net's answers from the training shapes

    def raw(self, images: Tensor) -> Tensor:
        """(B, C, S, S) uint8 -> the net's raw output, float32.

        Scaling to [0, 1] is part of it: prediction cannot forget it.
        """
        return cast(Tensor, self.net(self._scaled(images))).float()

    def raw_with_maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The same with the maps that the net `ReadsMaps` off, float32."""
        raw, maps = cast(ReadsMaps, self.net).with_maps(self._scaled(images))
        return raw.float(), maps.float()

    def _scaled(self, images: Tensor) -> Tensor:
        return images.contiguous(memory_format=torch.channels_last).to(self.mean_shape.dtype).div_(255)

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, S, S) uint8 crops -> (B, K, 2) crop pixels."""
        return self.codec.decode(self.raw(images))

    def both_ways(self, images: Tensor) -> Tensor:
        """The mean of the answers on crops and on their mirror images, (B, K, 2) crop pixels."""
        mean: Tensor = (self(images) + self.schema.mirrored(self(images.flip(-1)), self.size)) / 2
        return mean

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss, own = self.training_loss(batch)
        self.train_loss.update(own.detach(), _weight(batch))
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> Prediction:  # type: ignore[override]
        raw = self.raw(batch.image)
        keypoints = self.codec.decode(raw).detach()
        photo = (inverse_points(points, batch.matrix) for points in (keypoints, batch.keypoints))
        preds, target = (self.schema.shifted(points, batch.label_shift) for points in photo)
        normaliser = self.schema.interocular(target)
        self.val_nme.update(preds, target, normaliser, batch.visible)
        self.val_parts.update(preds, target, normaliser, batch.visible)
        if self._training_shapes is not None:
            distances = self._training_shapes.distance(keypoints.float().cpu().numpy())
            self.val_distances.update(torch.from_numpy(distances).to(keypoints.device, torch.float32))
        size = len(batch.image)
        self.val_loss.update(self._loss(raw, batch), _weight(batch))
        self.log("val/loss", self.val_loss, on_epoch=True, batch_size=size)
        self.log("val/nme", self.val_nme, on_epoch=True, batch_size=size)
        return Prediction(keypoints, point_errors(preds, target, normaliser))

    def on_validation_epoch_end(self) -> None:
        self.log_dict(
            {f"val/nme_part/{part}": value for part, value in self.val_parts.compute().items()}, sync_dist=True
        )
        self.val_parts.reset()
        if self._training_shapes is not None:
            self.shapes = self._training_shapes.in_units_of(self.val_distances.compute().cpu().numpy())
        self.val_distances.reset()

    def on_fit_start(self) -> None:
        if self.recipe is not None and self.recipe.teacher is not None:
            self.recipe.teacher.module.to(self.device)  # no part of this module, so that no checkpoint holds it

    def on_train_start(self) -> None:
        for optimizer in self.trainer.optimizers:  # a checkpoint's groups say how its own run computed
            for group in optimizer.param_groups:
                if "fused" in group:
                    group["fused"] = optimizer.defaults["fused"]

    def on_train_epoch_end(self) -> None:
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"], sync_dist=True)

    def setup(self, stage: str) -> None:
        """Frozen parts need no gradients, which ddp must know before it counts them."""
        for part in self._frozen():
            part.requires_grad_(False)

    def configure_optimizers(self) -> Any:
        if self.recipe is None:
            raise ValueError("KeypointModule without a recipe predicts only; give one to train it")
        optimizer, schedule = self.recipe.optimizer([*self._groups(self.recipe)]), self.recipe.schedule
        _scale_lr(optimizer, ("lr",))
        if schedule is None:
            return optimizer
        length = {}
        if schedule.length is not None:
            steps = self.trainer.estimated_stepping_batches
            if self._steps not in (None, steps):
                raise UserError(
                    f"scheduler: expected {self._steps} steps of training, for which its learning rates were made, "
                    f"found {steps}; give the data and data.batch_size of that run, or begin another one"
                )
            self._steps = steps
            if not np.isfinite(steps):
                raise UserError(
                    "scheduler: this one needs to know the end of training, found trainer.max_epochs=-1; set it"
                )
            length = {schedule.length: int(steps)}
        try:
            chosen = {"scheduler": schedule.scheduler(optimizer, **length), "interval": schedule.interval}
        except (TypeError, ValueError) as error:
            raise UserError(f"scheduler: {error}") from error
        if "max_lr" in optimizer.param_groups[0]:  # one cycle gives all groups one learning rate
            _scale_lr(optimizer, ("lr", "initial_lr", "max_lr", "min_lr"))
        if schedule.monitor is not None:
            chosen["monitor"] = schedule.monitor  # type: ignore[assignment]
        return {"optimizer": optimizer, "lr_scheduler": chosen}

    def _groups(self, recipe: Recipe) -> Iterator[dict[str, Any]]:
        """Parameters that learn, by the factor of their learning rate; those of factor 1 first."""
        groups: dict[float, list[nn.Parameter]] = {1.0: []}
        for name, parameter in self.net.named_parameters():
            if parameter.requires_grad:
                parts = [part for part in recipe.lr_factors if within(name, part)]
                factor = recipe.lr_factors[max(parts, key=len)] if parts else 1.0
                groups.setdefault(factor, []).append(parameter)
        return ({"params": params, "lr_factor": factor} for factor, params in groups.items() if params)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for part in self._frozen():
            part.eval()
        return self

    def _frozen(self) -> Iterator[nn.Module]:
        names = () if self.recipe is None else self.recipe.frozen
        return (part for name, part in self.net.named_modules() if name in names)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """As Lightning's, which refuses fused optimizers for bfloat16, too; only float16 has gradients to unscale.

        Raises:
            UserError: a fused optimizer's float16 gradients are to be clipped.
        """
        if self.trainer.precision != "bf16-mixed":
            if self.trainer.precision == "16-mixed" and gradient_clip_val and optimizer.defaults.get("fused"):
                raise UserError(
                    "optimizer.fused=true: expected false with trainer.precision=16-mixed and "
                    "trainer.gradient_clip_val, since fused optimizers unscale gradients after they could be clipped"
                )
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif gradient_clip_val is not None:
            algorithm = GradClipAlgorithmType(gradient_clip_algorithm or "norm")
            Precision().clip_gradients(optimizer, gradient_clip_val, algorithm)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        logged = self.trainer.callback_metrics
        scores = {name: float(logged[name]) for name in ("val/loss", "val/nme") if name in logged}
        checkpoint["config"], checkpoint["subjects"] = self.config, self.subjects
        checkpoint["shapes"] = None if self.shapes is None else self.shapes.to_dict()
        epochs = self.trainer.fit_loop.epoch_progress.current.started  # type: ignore[attr-defined]
        checkpoint["scores"] = {"epoch": epochs, **scores}
        checkpoint["steps"] = self._steps
        with self.train_loss.sync_context():  # of all processes
            checkpoint["train_loss"] = dict(self.train_loss.metric_state)  # of an epoch that is not over

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes over whom the net was trained on; refuses a learning rate schedule that would run past its end."""
        self.subjects = sorted({*self.subjects, *checkpoint["subjects"]})
        if self.global_rank == 0:  # the others add to it
            for name, value in checkpoint.get("train_loss", {}).items():
                setattr(self.train_loss, name, value)
        if self.recipe is None or self.recipe.schedule is None or self.recipe.schedule.length is None:
            return
        self._steps = checkpoint.get("steps")
        then, now = (config["trainer"]["max_epochs"] for config in (checkpoint["config"], self.config))
        if then != now:
            raise UserError(
                f"ckpt_path: expected trainer.max_epochs={then}, which its schedule of the learning rate was made for, "
                f"found {now}; keep it, or begin another run that trains on: ckpt_path=FILE scheduler=none"
            )

    def learn_about(self, mean_shape: Points, keypoints: Points, subjects: Iterable[str]) -> None:
        """Keeps in checkpoints what scores and predictions need to know of the training faces; people add up.

        Args:
            mean_shape: (K, 2) crop pixels, the baseline of every score.
            keypoints: (N, K, 2) in any pixels, whose shapes a prediction is compared with.
            subjects: the people, so that a score on people seen in training can say so.
        """
        self.mean_shape.copy_(torch.from_numpy(mean_shape))
        self.shapes = self._training_shapes = ShapeModel.fit(keypoints)
        self.subjects = sorted({*self.subjects, *map(str, subjects)})

    def training_loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What a step makes smaller, and the recipe's loss of the labels alone, which `val/loss` is, too."""
        recipe = cast(Recipe, self.recipe)
        if recipe.maps is None:
            raw, regularised = self.raw(batch.image), None
        else:
            raw, maps = self.raw_with_maps(batch.image)
            regularised = partial(recipe.maps, maps)

        def loss(batch: Batch) -> tuple[Tensor, Tensor]:
            own = self._loss(raw, batch)
            return own if regularised is None else own + regularised(batch), own

        total, own = loss(batch)
        if recipe.teacher is not None:
            answers = recipe.teacher(batch.image)
            learned, _ = loss(batch._replace(keypoints=answers, visible=torch.ones_like(batch.visible)))
            total = (1 - recipe.teacher.weight) * total + recipe.teacher.weight * learned
        return total, own

    def _loss(self, raw: Tensor, batch: Batch) -> Tensor:
        if self.recipe is None:
            raise ValueError("KeypointModule without a recipe has no loss")
        target = self.codec.encode(batch.keypoints)
        return self.recipe.loss(raw.reshape(target.shape), target, batch.visible)


def _weight(batch: Batch) -> Tensor:
    """What a batch's loss, a mean over its visible points, counts in that of an epoch: so many faces show as many."""
    return batch.visible.sum() / batch.visible.shape[1]


def within(name: str, part: str) -> bool:
    """Whether a parameter of this name belongs to a part of the net."""
    return name == part or name.startswith(part + ".")


def _scale_lr(optimizer: Optimizer, keys: Sequence[str]) -> None:
    for group in optimizer.param_groups:
        group.update({key: group[key] * group["lr_factor"] for key in keys})


def inverse_points(keypoints: Tensor, matrix: Tensor) -> Tensor:
    """`fkd.geometry.Crop.inverse_points` for a batch: crop pixels (B, K, 2) and matrices (B, 2, 3) -> photo pixels."""
    photo: Tensor = torch.linalg.solve(matrix[:, :, :2], (keypoints - matrix[:, None, :, 2]).mT).mT
    return photo
