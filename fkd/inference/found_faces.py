"""The faces of one image as a list that a notebook shows as an image and a table."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from fkd.geometry import similarity, warp
from fkd.io import images
from fkd.types import Face, Image
from fkd.visualization import draw

_SHOWN, _QUALITY = 720, 85  # longest side of the shown image in pixels; of its JPEG
_EYES = ((0.35, 0.4), (0.65, 0.4))  # of the right and of the left eye in an aligned face, as shares of its size


class FoundFaces(list[Face]):
    """The faces of an image, highest score first.

    Args:
        faces: found on it.
        photo: path of the image, which is read again where it is shown, or its pixels, (H, W) or (H, W, 3).
    """

    def __init__(self, faces: Iterable[Face], photo: str | Path | Image) -> None:
        super().__init__(faces)
        self.photo = photo

    def aligned(self, size: int) -> Image:
        """Each face turned upright with its eyes at fixed places, as face recognition and averaging want it.

        Args:
            size: width and height in pixels.

        Returns:
            (N, size, size, 3) RGB, or (N, size, size) for grey pixels; black where the photo ends. The centres of the
            eyes lie at 0.35 and 0.65 of the width and 0.4 of the height. A face without keypoints is all black.

        Raises:
            UserError: the photo cannot be read.
        """
        pixels = self._pixels()
        crops = np.zeros((len(self), size, size, *pixels.shape[2:]), np.uint8)
        places = np.array(_EYES) * size - 0.5
        for face, crop in zip(self, crops, strict=True):
            if face.is_known:
                eyes = np.stack([face.keypoints[list(eye)].mean(axis=0) for eye in face.schema.eyes])
                warp(pixels, similarity(eyes, places), crop)
        return crops

    def _pixels(self) -> Image:
        return images.read(self.photo, 3) if isinstance(self.photo, str | Path) else self.photo

    def _repr_html_(self) -> str:
        """The image with the points of each face, and a table of scores and boxes in pixels."""
        canvas = draw.faces(self._pixels(), self)
        scale = min(1.0, _SHOWN / max(canvas.shape[:2]))
        shown = cv2.resize(canvas, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        rows: list[tuple[str, ...]] = [("face", "score", "left", "top", "right", "bottom")]
        for number, face in enumerate(self):
            score = "" if face.score is None else f"{face.score:.2f}"
            rows.append((str(number), score, *(f"{side:.0f}" for side in face.box)))
        table = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
        uri = images.data_uri(shown, _QUALITY)  # type: ignore[arg-type]
        return f'<img alt="faces with their keypoints" src="{uri}"><table>{table}</table>'
