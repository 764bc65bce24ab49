"""The data loading of hand-written projects: one image file for each item, each step a call of OpenCV or numpy."""

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from omegaconf import DictConfig
from torch import Tensor
from torch.utils.data import Dataset

from fkd.codecs import Coordinates
from fkd.config.build_parts import build_crop
from fkd.config.instantiate import instantiate
from fkd.data.cache import Images
from fkd.data.crop_plans import CropPlan, FrameCrop
from fkd.data.face_data import Faces
from fkd.errors import UserError
from fkd.geometry import square_around
from fkd.io import images
from fkd.terminal import progress
from fkd.types import Image, Points


class NotebookDataset(Dataset[tuple[Tensor, Tensor]]):
    """Crops of image files and their scaled keypoints, as in the notebooks of the Udacity set.

    With `crop=frame` the image's short side is rescaled and a random square is cut out. With other crops the window
    around the points is cut out, as far as it lies on the image, and rescaled.

    Item i is an image (C, S, S) float32 from 0 to 1 and a target (2K,) float32; it raises UserError if OpenCV cannot
    read file i.

    Args:
        files: N image files.
        keypoints: (N, K, 2) photo pixels.
        crop: the kind of crop, with its sizes.
        center: crop pixel that becomes 0 in the target.
        unit: distance in crop pixels that becomes 1 in the target.
        channels: C, 1 for grey or 3 for RGB.
    """

    def __init__(
        self, files: Sequence[Path], keypoints: Points, crop: CropPlan, center: float, unit: float, channels: int
    ) -> None:
        self.files, self.keypoints, self.crop, self.center, self.unit = files, keypoints, crop, center, unit
        self.channels = channels

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        name = os.fsencode(self.files[index])  # OpenCV ends the process at a text that is no UTF-8
        if (pixels := cv2.imread(name)) is None:  # type: ignore[call-overload]
            raise UserError(
                f"{self.files[index]}: expected an image, found a file that OpenCV cannot read; save it as PNG"
            )
        image: Image = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
        points = self.keypoints[index]
        if isinstance(self.crop, FrameCrop):
            image, points = from_frame(image, points, self.crop.short_side, self.crop.size)
        else:
            image, points = from_window(image, points, self.crop.window(square_around(points)), self.crop.size)
        if self.channels == 1:
            image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]  # type: ignore[assignment]
        scaled = torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32) / 255)
        target = ((points - self.center) / self.unit).astype(np.float32)
        return scaled, torch.from_numpy(target.ravel())


def notebook_dataset(cfg: DictConfig, faces: Faces, scratch: Path) -> NotebookDataset:
    """The training split, from the source's files below `data.root`, or from JPEG files written to `scratch`.

    Raises:
        UserError: the model's codec is not `Coordinates`.
    """
    train, codec = faces.some("train"), instantiate(cfg.model.codec, "model.codec")
    if not isinstance(codec, Coordinates):
        raise UserError(
            f"model={cfg.model.name}: expected the codec fkd.codecs.Coordinates, the notebooks' own, found "
            f"{type(codec).__name__}; choose another model"
        )
    files = [Path(str(cfg.data.get("root") or "")) / path for path in train.paths]
    if not all(file.is_file() for file in files):
        files = write_images(faces.images, train.images, scratch / "images")
    crop = build_crop(cfg.crop)
    return NotebookDataset(files, train.keypoints, crop, codec.center, codec.unit, cfg.channels)


def write_images(cache: Images, rows: npt.NDArray[np.int64], folder: Path) -> list[Path]:
    """Write a JPEG file of quality 95 for each image and return the file of each row (N,) of the cache."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {row: folder / f"{row:07}.jpg" for row in rows.tolist()}
    with progress("Writing images", len(files)) as advance:
        for row, file in files.items():
            images.write(file, cache[row])
            advance()
    return [files[row] for row in rows.tolist()]


def from_frame(image: Image, points: Points, short_side: int, size: int) -> tuple[Image, Points]:
    """A random square of `size` pixels from the image with its short side rescaled, and the points in it."""
    old = np.array(image.shape[1::-1])
    width, height = np.rint(old * (short_side / old.min())).astype(int).tolist()
    left, top = (int(torch.randint(extent - size + 1, ())) for extent in (width, height))
    rescaled = cv2.resize(image, (width, height))[top : top + size, left : left + size]
    return rescaled, points * ((width, height) / old) - (left, top)  # type: ignore[return-value]


def from_window(image: Image, points: Points, window: Points, size: int) -> tuple[Image, Points]:
    """The part of the window (4,) on the image, rescaled to a square of `size` pixels, and the points in it."""
    extent = np.array(image.shape[1::-1])
    low = np.clip(np.floor(window[:2]).astype(int), 0, extent - 1)
    high = np.clip(np.ceil(window[2:]).astype(int), low + 1, extent)
    part = image[low[1] : high[1], low[0] : high[0]]
    return cv2.resize(part, (size, size)), (points - low) * (size / (high - low))  # type: ignore[return-value]
