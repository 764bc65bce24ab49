"""Predicted and true points on validation faces, and the error of each part of the face."""

from dataclasses import dataclass
from typing import NamedTuple, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from fkd.io import images
from fkd.models.keypoint_net import KeypointNet
from fkd.schema import KeypointSchema
from fkd.training.callbacks.loggers import log_image
from fkd.types import Batch, Image, Prediction
from fkd.visualization import draw

_COLUMNS = 4


class _Faces(NamedTuple):
    """N faces of the validation set and what the net found on them."""

    image: Tensor  # (N, C, S, S) uint8
    preds: Tensor  # (N, K, 2) crop pixels
    target: Tensor  # (N, K, 2) crop pixels
    visible: Tensor  # (N, K) bool
    error: Tensor  # (N,) NME as a fraction
    row: Tensor  # (N,) int64


@dataclass
class _Validation:
    """What one validation gathers, on the device of the errors."""

    draws: bool
    first: _Faces | None = None
    worst: _Faces | None = None


class Overlays(Callback):
    """Shows in TensorBoard (or wandb, or MLflow) what the net sees and where it fails.

    After every n-th validation: "val/faces", the first faces of the validation set, and "val/worst", the worst of them
    all, each with its row and its error. In distributed training, those of the first process.

    Args:
        faces: how many faces "val/faces" shows.
        worst: how many faces "val/worst" shows.
        every_n_epochs: images are made at the first, every n-th following and the last validated epoch.
        zoom: whole factor that enlarges the crops.
        file: a file that always holds the latest "val/faces", or None.
    """

    def __init__(self, faces: int, worst: int, every_n_epochs: int, zoom: int, file: str | None) -> None:
        self.faces, self.worst, self.every_n_epochs, self.zoom, self.file = (
            faces,
            worst,
            every_n_epochs,
            zoom,
            file,
        )
        self._validations = 0
        self._gathered = _Validation(draws=False)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        is_due = self._validations % self.every_n_epochs == 0 or trainer.current_epoch + 1 == trainer.max_epochs
        self._gathered = _Validation(draws=is_due and trainer.is_global_zero)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Prediction,  # type: ignore[override]
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if not _is_training(trainer):
            return
        gathered = self._gathered
        if gathered.draws:
            error = torch.where(batch.visible, outputs.errors, 0).sum(dim=1) / batch.visible.sum(dim=1).clamp(min=1)
            found = _Faces(batch.image, outputs.keypoints, batch.keypoints, batch.visible, error, batch.row)
            missing = self.faces - (0 if gathered.first is None else len(gathered.first.row))
            if missing > 0:
                gathered.first = _join(gathered.first, _take(found, torch.arange(min(missing, len(error)))))
            gathered.worst = _worst(_join(gathered.worst, _worst(found, self.worst)), self.worst)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not _is_training(trainer):
            return
        self._validations += 1
        gathered, schema = self._gathered, cast(KeypointNet, pl_module.model).schema
        if gathered.first is not None:
            image = self._show(trainer, "val/faces", gathered.first, schema)
            if self.file is not None:
                images.write(self.file, image)
        if gathered.worst is not None and self.worst > 0:
            self._show(trainer, "val/worst", gathered.worst, schema)

    def _show(self, trainer: pl.Trainer, tag: str, faces: _Faces, schema: KeypointSchema) -> Image:
        """The faces as one sheet, given to every logger that takes images."""
        tiles = [
            draw.face(
                pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0),
                preds,
                target,
                visible=visible,
                schema=schema,
                zoom=self.zoom,
            )
            for pixels, preds, target, visible in zip(*(field.cpu().numpy() for field in faces[:4]), strict=True)
        ]
        captions = [
            f"row {row}: {100 * error:.1f} %"
            for row, error in zip(faces.row.tolist(), faces.error.tolist(), strict=True)
        ]
        sheet = draw.sheet(tiles, _COLUMNS, captions)
        for logger in trainer.loggers:
            log_image(logger, tag, sheet, trainer.global_step)
        return sheet


def _is_training(trainer: pl.Trainer) -> bool:
    """Whether this validation is one of a training, and not its check at the start."""
    return trainer.state.fn == "fit" and not trainer.sanity_checking


def _take(faces: _Faces, rows: Tensor) -> _Faces:
    return _Faces(*(field[rows.to(field.device)] for field in faces))


def _join(faces: _Faces | None, more: _Faces) -> _Faces:
    return more if faces is None else _Faces(*(torch.cat(pair) for pair in zip(faces, more, strict=True)))


def _worst(faces: _Faces, count: int) -> _Faces:
    """The `count` faces of the largest error (NaN is larger than any), worst first."""
    return _take(faces, faces.error.topk(min(count, len(faces.error))).indices)
