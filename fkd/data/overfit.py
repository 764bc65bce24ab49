"""Overfits a few training faces: the first test of a net, a codec and a loss."""

from dataclasses import replace
from typing import Any

from torch.utils.data import DataLoader

from fkd.data.datamodule import KeypointDataModule
from fkd.data.dataset import Repeated
from fkd.data.face_data import SPLITS, Faces
from fkd.types import Batch


def first_faces(faces: Faces, count: int) -> Faces:
    """The same data with its first `count` training faces (all, if there are fewer) as every split."""
    rows = faces.splits["train"][:count]
    remark = f"the first {len(rows)} training faces are overfitted: figures on them measure no skill"
    return replace(faces, splits=dict.fromkeys(SPLITS, rows), remarks=(remark,))


class OverfitDataModule(KeypointDataModule):
    """Trains on what it validates: the same faces in the same windows, not augmented, `passes` times an epoch."""

    def __init__(self, passes: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.passes = passes

    def train_dataloader(self) -> DataLoader[Batch]:
        return self._loader(Repeated(self.val_set, self.passes), shuffle=False, training=True)
