"""Images of predicted and true points on validation faces, with the error of each face."""

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
    """N validation faces with predictions."""

    image: Tensor  # (N, C, S, S) uint8
    preds: Tensor  # (N, K, 2) crop pixels
    target: Tensor  # (N, K, 2) crop pixels
    visible: Tensor  # (N, K) bool
    error: Tensor  # (N,) NME as a fraction
    row: Tensor  # (N,) int64


class Overlays(Callback):
    """Logs images of predictions to TensorBoard, wandb or MLflow.

    "val/faces" shows the first faces of the validation set, "val/worst" those with the largest errors, each with its
    row and its error. In distributed training, they are faces of global rank 0.

    Args:
        faces: number of faces in "val/faces".
        worst: number of faces in "val/worst".
        every_n_epochs: images are logged after the first, every n-th following and the last validation.
        zoom: integer factor that enlarges the crops.
        file: file of the latest "val/faces", or None.
    """

    def __init__(self, faces: int, worst: int, every_n_epochs: int, zoom: int, file: str | None) -> None:
        self.faces, self.worst, self.every_n_epochs = faces, worst, every_n_epochs
        self.zoom, self.file = zoom, file
        self._validations = 0
        self._draws = False  # in this validation
        self._first: _Faces | None = None
        self._worst: _Faces | None = None

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        is_due = self._validations % self.every_n_epochs == 0 or trainer.current_epoch + 1 == trainer.max_epochs
        self._draws = _is_training(trainer) and is_due and trainer.is_global_zero
        self._first = self._worst = None

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Prediction,  # type: ignore[override]
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if not self._draws:
            return
        error = torch.where(batch.visible, outputs.errors, 0).sum(dim=1) / batch.visible.sum(dim=1).clamp(min=1)
        found = _Faces(batch.image, outputs.keypoints, batch.keypoints, batch.visible, error, batch.row)
        missing = self.faces - (0 if self._first is None else len(self._first.row))
        if missing > 0:
            self._first = _join(self._first, _take(found, torch.arange(min(missing, len(error)))))
        self._worst = _worst(_join(self._worst, _worst(found, self.worst)), self.worst)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._validations += _is_training(trainer)
        schema = cast(KeypointNet, pl_module.model).schema
        if self._first is not None:
            image = self._log(trainer, "val/faces", self._first, schema)
            if self.file is not None:
                images.write(self.file, image)
        if self._worst is not None and self.worst > 0:
            self._log(trainer, "val/worst", self._worst, schema)

    def _log(self, trainer: pl.Trainer, tag: str, faces: _Faces, schema: KeypointSchema) -> Image:
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
        rows = zip(faces.row.tolist(), faces.error.tolist(), strict=True)
        sheet = draw.sheet(tiles, _COLUMNS, [f"row {row}: {100 * error:.1f} %" for row, error in rows])
        for logger in trainer.loggers:
            log_image(logger, tag, sheet, trainer.global_step)
        return sheet


def _is_training(trainer: pl.Trainer) -> bool:
    """Whether this validation belongs to a training and is not the sanity check at its start."""
    return trainer.state.fn == "fit" and not trainer.sanity_checking


def _take(faces: _Faces, rows: Tensor) -> _Faces:
    return _Faces(*(field[rows.to(field.device)] for field in faces))


def _join(faces: _Faces | None, more: _Faces) -> _Faces:
    return more if faces is None else _Faces(*(torch.cat(pair) for pair in zip(faces, more, strict=True)))


def _worst(faces: _Faces, count: int) -> _Faces:
    """The `count` faces with the largest errors, worst first; NaN counts as the largest."""
    return _take(faces, faces.error.topk(min(count, len(faces.error))).indices)
