"""The faces of one image as a list that a notebook shows as an image and a table."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2

from fkd.io import images
from fkd.types import Face, Image
from fkd.visualization import draw

_SHOWN, _QUALITY = 720, 85  # longest side of the shown image in pixels; of its JPEG


class FoundFaces(list[Face]):
    """The faces of an image, highest score first.

    Args:
        faces: found on it.
        photo: path of the image, which is read again where it is shown, or its pixels, (H, W) or (H, W, 3).
    """

    def __init__(self, faces: Iterable[Face], photo: str | Path | Image) -> None:
        super().__init__(faces)
        self.photo = photo

    def _repr_html_(self) -> str:
        """The image with the points of each face, and a table of scores and boxes in pixels."""
        pixels = images.read(self.photo, 3) if isinstance(self.photo, str | Path) else self.photo
        canvas = draw.faces(pixels, self)
        scale = min(1.0, _SHOWN / max(canvas.shape[:2]))
        shown = cv2.resize(canvas, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        rows: list[tuple[str, ...]] = [("face", "score", "left", "top", "right", "bottom")]
        for number, face in enumerate(self):
            score = "" if face.score is None else f"{face.score:.2f}"
            rows.append((str(number), score, *(f"{side:.0f}" for side in face.box)))
        table = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
        uri = images.data_uri(shown, _QUALITY)  # type: ignore[arg-type]
        return f'<img alt="faces with their keypoints" src="{uri}"><table>{table}</table>'
