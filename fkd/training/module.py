"""The LightningModule: how a `KeypointNet` is trained and validated."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, cast

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import Precision
from pytorch_lightning.utilities import GradClipAlgorithmType
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import CatMetric, MeanMetric

from fkd.checkpoint import hashes_of
from fkd.errors import UserError
from fkd.library_internals import lightning
from fkd.metrics import NME, PartNME, point_errors
from fkd.models.error_model import ErrorModel, relative_spread
from fkd.models.keypoint_net import KeypointNet
from fkd.shape_model import ShapeModel
from fkd.training.objective import Objective
from fkd.types import UNKNOWN, Batch, Hashes, Points, Prediction


class KeypointModule(pl.LightningModule):
    """Trains a `KeypointNet`.

    Args:
        model: the net.
        objective: losses, optimizer and schedule.
        config: plain dict that every checkpoint stores; it is enough to build the model again.

    Logs `train/loss` and `val/loss` (of the labels alone, without a teacher's or heatmaps' part), `val/nme` (percent of
    the inter-ocular distance, in photo pixels, against the labels as published), `val/nme_part/<part>` and `lr`.
    """

    def __init__(self, model: KeypointNet, objective: Objective, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.model, self.objective, self.config = model, objective, config
        self.subjects: list[str] = []  # in the training data
        self.image_hashes: Hashes = UNKNOWN[:0]  # of the training images, in ascending order
        self.fingerprints: Mapping[str, str] = {}  # split -> hash of its faces
        self.shapes: ShapeModel | None = None  # of the training faces, scaled by the net's predictions on faces
        self.error_model: ErrorModel | None = None  # of the validation faces
        self._training_shapes: ShapeModel | None = None  # of the training faces, not scaled
        self._steps: float | None = None  # optimizer steps of the training, if the schedule depends on them
        # A NaN stays NaN, so that divergence is seen; nan_strategy="disable" would ignore the weights of the mean.
        self.train_loss, self.val_loss = MeanMetric(nan_strategy=math.nan), MeanMetric(nan_strategy=math.nan)
        self.val_nme, self.val_parts = NME(), PartNME(model.schema.parts)
        self.val_distances = CatMetric()  # from predictions to the training shapes
        # (N, K) error and spread of each point, as `ErrorModel` has them; NaN where the point is invisible
        self.val_errors, self.val_spreads = (CatMetric(nan_strategy="disable") for _ in range(2))

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, S, S) uint8 crops -> (B, K, 2) crop pixels."""
        keypoints: Tensor = self.model(images)
        return keypoints

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss, own = self.training_loss(batch)
        self.train_loss.update(own.detach(), _weight(batch))
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> Prediction:  # type: ignore[override]
        raw, spread = self.model.raw_with_spread(batch.image)
        keypoints = self.model.codec.decode(raw).detach()
        photo = (inverse_points(points, batch.matrix) for points in (keypoints, batch.keypoints))
        preds, target = (self.model.schema.shifted(points, batch.label_shift) for points in photo)
        normaliser = self.model.schema.interocular(target)
        self.val_nme.update(preds, target, normaliser, batch.visible)
        self.val_parts.update(preds, target, normaliser, batch.visible)
        if self._training_shapes is not None:
            distances = self._training_shapes.distance(keypoints.float().cpu().numpy())
            self.val_distances.update(torch.from_numpy(distances).to(keypoints.device, torch.float32))
        errors = point_errors(preds, target, normaliser)
        self.val_errors.update(errors.masked_fill(~batch.visible, math.nan))
        if spread is not None:
            eyes = self.model.schema.interocular(keypoints)
            self.val_spreads.update(relative_spread(spread, eyes, self.model.size))
        size = len(batch.image)
        self.val_loss.update(self._loss(raw, batch), _weight(batch))
        self.log("val/loss", self.val_loss, on_epoch=True, batch_size=size)
        self.log("val/nme", self.val_nme, on_epoch=True, batch_size=size)
        return Prediction(keypoints, errors)

    def on_validation_epoch_end(self) -> None:
        self.log_dict(
            {f"val/nme_part/{part}": value for part, value in self.val_parts.compute().items()}, sync_dist=True
        )
        self.val_parts.reset()
        if self._training_shapes is not None:
            self.shapes = self._training_shapes.in_units_of(self.val_distances.compute().cpu().numpy())
        self.val_distances.reset()
        errors = self.val_errors.compute().cpu().numpy()
        spreads = self.val_spreads.compute().cpu().numpy() if self.model.has_spread else None
        self.error_model = ErrorModel.fit(errors, spreads) if np.isfinite(errors).any() else None
        self.val_errors.reset()
        self.val_spreads.reset()

    def on_fit_start(self) -> None:
        if self.objective.teacher is not None:
            self.objective.teacher.net.to(self.device)  # not a submodule: checkpoints leave it out

    def on_train_start(self) -> None:
        for optimizer in self.trainer.optimizers:  # a checkpoint restores `fused` of the run that saved it
            for group in optimizer.param_groups:
                if "fused" in group:
                    group["fused"] = optimizer.defaults["fused"]

    def on_train_epoch_end(self) -> None:
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"], sync_dist=True)

    def setup(self, stage: str) -> None:
        """Freeze parts of the net before ddp counts the gradients; their running means stay, too."""
        for part in self._frozen():
            part.requires_grad_(False).eval()

    def configure_optimizers(self) -> Any:
        optimizer, schedule = self.objective.optimizer_of(self.model.net), self.objective.schedule
        if schedule is None:
            return optimizer
        steps = None if schedule.length is None else self._steps_of_training()
        return {"optimizer": optimizer, "lr_scheduler": schedule.of(optimizer, steps)}

    def _steps_of_training(self) -> int:
        steps = self.trainer.estimated_stepping_batches
        if self._steps not in (None, steps):
            raise UserError(
                f"scheduler: expected {self._steps} steps, for which the resumed schedule was made, found {steps}; "
                "give the data and data.batch_size of that run, or start another one"
            )
        if not np.isfinite(steps):
            raise UserError(
                "scheduler: expected a number of epochs, found trainer.max_epochs=-1; set it, or another scheduler"
            )
        self._steps = int(steps)
        return self._steps

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for part in self._frozen():
            part.eval()
        return self

    def _frozen(self) -> Iterator[nn.Module]:
        return (part for name, part in self.model.net.named_modules() if name in self.objective.frozen)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip as Lightning does, but also for fused optimizers in bfloat16, whose gradients need no unscaling."""
        if self.trainer.precision != "bf16-mixed":
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif gradient_clip_val is not None:
            algorithm = GradClipAlgorithmType(gradient_clip_algorithm or "norm")
            Precision().clip_gradients(optimizer, gradient_clip_val, algorithm)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        logged = self.trainer.callback_metrics
        scores = {name: float(logged[name]) for name in ("val/loss", "val/nme") if name in logged}
        checkpoint["config"], checkpoint["subjects"] = self.config, self.subjects
        checkpoint["image_hashes"] = torch.from_numpy(self.image_hashes.view(np.int64))
        checkpoint["shapes"] = None if self.shapes is None else self.shapes.to_dict()
        checkpoint["error_model"] = None if self.error_model is None else self.error_model.to_dict()
        checkpoint["scores"] = {"epoch": lightning.started_epochs(self.trainer), **scores}
        checkpoint["steps"], checkpoint["faces"] = self._steps, dict(self.fingerprints)
        own = torch.stack([cast(Tensor, value) for value in self.train_loss.metric_state.values()])
        every = cast(Tensor, self.all_gather(own))  # the mean so far in this epoch, of each process
        checkpoint["train_losses"] = every.reshape(-1, len(own))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the training subjects and images, the mean loss of the epoch, and the length of the schedule."""
        self.add_training(checkpoint["subjects"], hashes_of(checkpoint))
        if (kept := checkpoint.get("train_losses")) is not None:
            self._resume_loss(kept)
        if self.objective.schedule is not None and self.objective.schedule.length is not None:
            self._steps = checkpoint.get("steps")

    def _resume_loss(self, kept: Tensor) -> None:
        """Resume the mean losses (world size, 2) of an interrupted epoch, one for each rank."""
        if len(kept) == self.trainer.world_size:
            kept = kept[self.global_rank]
        else:
            kept = kept.sum(dim=0) if self.global_rank == 0 else torch.zeros_like(kept[0])  # the world size has changed
        for name, value in zip(self.train_loss.metric_state, kept, strict=True):
            setattr(self.train_loss, name, value.to(self.device, copy=True))

    def learn_about(
        self, mean_shape: Points, keypoints: Points, subjects: Iterable[str], image_hashes: Hashes = UNKNOWN
    ) -> None:
        """Store in checkpoints what scores and predictions need of the training faces.

        Args:
            mean_shape: (K, 2) crop pixels, the baseline of every score.
            keypoints: (N, K, 2) in any pixels; predictions are compared with their shapes.
            subjects, image_hashes: see `add_training`.
        """
        self.model.mean_shape.copy_(torch.from_numpy(mean_shape))
        self.shapes = self._training_shapes = ShapeModel.fit(keypoints)
        self.add_training(subjects, image_hashes)

    def add_training(self, subjects: Iterable[str], image_hashes: Hashes) -> None:
        """Add subjects and images to those that the net was trained on; scores on them say so."""
        self.subjects = sorted({*self.subjects, *map(str, subjects)})
        self.image_hashes = np.union1d(self.image_hashes, image_hashes)

    def training_loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss that a step minimises, and the part of the labels, which `val/loss` also is."""
        teacher, heatmap_loss = self.objective.teacher, self.objective.heatmap_loss
        images = batch.image
        raw, heatmaps = (self.model.raw(images), None) if heatmap_loss is None else self.model.raw_with_heatmaps(images)

        def loss(batch: Batch) -> tuple[Tensor, Tensor]:
            own = self._loss(raw, batch)
            return own if heatmap_loss is None or heatmaps is None else own + heatmap_loss(heatmaps, batch), own

        total, own = loss(batch)
        if teacher is not None:
            answers = teacher(images)
            learned, _ = loss(batch._replace(keypoints=answers, visible=torch.ones_like(batch.visible)))
            total = (1 - teacher.weight) * total + teacher.weight * learned
        return total, own

    def _loss(self, raw: Tensor, batch: Batch) -> Tensor:
        target = self.model.codec.encode(batch.keypoints)
        return self.objective.loss(raw.reshape(target.shape), target, batch.visible)


def _weight(batch: Batch) -> Tensor:
    """Weight of the batch in the epoch's mean: visible points / K."""
    return batch.visible.sum() / batch.visible.shape[1]


def inverse_points(keypoints: Tensor, matrix: Tensor) -> Tensor:
    """`fkd.geometry.Crop.inverse_points` for a batch: crop pixels (B, K, 2) and matrices (B, 2, 3) -> photo pixels."""
    photo: Tensor = torch.linalg.solve(matrix[:, :, :2], (keypoints - matrix[:, None, :, 2]).mT).mT
    return photo
