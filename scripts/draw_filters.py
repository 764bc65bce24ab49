"""Draws the pictures of the face filters into conf/filter/, and docs/filters.png, which shows how faces wear them.

python scripts/draw_filters.py
"""

from pathlib import Path

import cv2
import numpy as np
from hydra.utils import instantiate
from omegaconf import OmegaConf

from fkd import art, draw
from fkd.cli import CONF
from fkd.data import synthesis
from fkd.files import whole_file
from fkd.filters import Filter
from fkd.geometry import square_around, transform
from fkd.schema import IBUG68
from fkd.types import Face, Image

NAMES = ("sunglasses", "moustache", "hat", "dog", "blur")
TILE = 256  # pixels
SHOTS = {  # caption -> seed, subject and frame of a generated face, and by how many degrees it is tilted
    "from the front": ((3, 2153, 7), 0),
    "turned by 30 degrees": ((3, 1516, 1), 0),
    "tilted by 30 degrees": ((3, 2827, 2), 30),
}


def shot(who: tuple[int, int, int], tilt: float) -> tuple[Image, Face]:
    """A generated face, tilted clockwise, with its true keypoints."""
    picture, points = synthesis.face(*who, 2 * TILE)
    middle = (TILE - 0.5, TILE - 0.5)
    turn = np.asarray(cv2.getRotationMatrix2D(middle, -tilt, 1), np.float32)
    turned = cv2.warpAffine(picture, turn, (2 * TILE, 2 * TILE), borderMode=cv2.BORDER_REFLECT)
    small = cv2.resize(turned, (TILE, TILE), interpolation=cv2.INTER_AREA)
    points = (transform(points, turn) - np.float32(0.5)) / np.float32(2)
    return np.asarray(small, np.uint8), Face(IBUG68, square_around(points), None, points)


def load(name: str) -> Filter:
    """The filter of conf/filter/<name>.yaml."""
    made: Filter = instantiate(OmegaConf.load(CONF / "filter" / f"{name}.yaml"), _convert_="all")
    made.check(IBUG68)
    return made


def write_small(path: Path, pixels: cv2.typing.MatLike) -> None:
    """A PNG of BGR or BGRA pixels, packed as tightly as can be: half the bytes, as these files are downloaded often."""
    _, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    with whole_file(path) as file:
        file.write(data.tobytes())


def main() -> None:
    for name, drawn in art.PICTURES.items():
        write_small(CONF / "filter" / f"{name}.png", cv2.cvtColor(drawn(), cv2.COLOR_RGBA2BGRA))
    filters = {name: load(name) for name in NAMES}
    tiles, captions = [], []
    for caption, (who, tilt) in SHOTS.items():
        picture, face = shot(who, tilt)
        for name, wear in filters.items():
            tiles.append(wear(picture, [face]))
            captions.append(f"{name}, {caption}")
    sheet = draw.sheet(tiles, len(NAMES), captions)
    write_small(Path(__file__).parents[1] / "docs" / "filters.png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
