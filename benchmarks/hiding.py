"""Which faces `filter=blur` leaves visible, and what it costs: results/blur.json, in five minutes.

python -m benchmarks.hiding ../shared/data

The folder holds `udacity`, `300w_photos` and `scenes`, as for `python -m benchmarks.detectors`. A face is visible if
less than 90 % of the circle in the square around its points is hidden.
"""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

import fkd
from benchmarks.detectors.pictures import PictureSet, sets, udacity
from benchmarks.script import run
from benchmarks.tables.pages import RESULTS
from fkd.filters import Blur, Filter
from fkd.inference.predictor import Predictor
from fkd.terminal import progress, show
from fkd.training.runs.environment import environment
from fkd.training.runs.run_folder import write_json
from fkd.types import Face, Points

TITLES = {
    "scenes": "photos of crowds that the detector does not learn from",
    "300w": "photos of 300-W's common set, the labelled faces",
    "cut": "photos of 300-W that end in the face (60 to 70 % of its square are left)",
}
"""Sets of `benchmarks.detectors.pictures`."""
_HIDDEN = 0.9  # share of a face from which on it is not visible


def hidden_by(blur: Filter, faces: Sequence[Face], shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """The pixels (H, W) of an image (H, W, 3) that a filter changes: noise is drawn on, where each change is seen."""
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return np.asarray((blur(noise, faces) != noise).any(axis=2))


def visible(squares: Points, hidden: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Of the faces in squares (N, 4) on an image, whether each can be seen; no face outside of the image can."""
    found = np.zeros(len(squares), bool)
    for i, (left, top, right, _) in enumerate(squares.astype(float)):
        circle, radius = np.zeros(hidden.shape, np.uint8), (right - left) / 2
        cv2.circle(circle, (round(left + radius), round(top + radius)), round(radius), 1, cv2.FILLED)
        pixels = hidden[circle == 1]
        found[i] = len(pixels) > 0 and pixels.mean() < _HIDDEN
    return found


def row(title: str, pictures: PictureSet, alone: Predictor, hiding: Predictor, blur: Filter) -> list[Any]:
    """Cells of a set: title, faces, share visible in the faces of `alone` and of `hiding`, area hidden by each."""
    faces, seen, areas = 0, np.zeros(2), np.zeros(2)
    with progress(title, pictures.length) as advance:
        for image, squares, counts in pictures.make():
            faces += int(counts.sum())
            for i, predictor in enumerate((alone, hiding)):
                hidden = hidden_by(blur, predictor(image), image.shape)
                seen[i] += visible(squares[counts], hidden).sum()
                areas[i] += hidden.mean()
            advance()
    shares = (100 * seen / faces).round(2).tolist()
    area = (100 * areas / pictures.length).round(2).tolist()
    return [f"{pictures.length:,} {title}", faces, *shares, area]


def main(words: Sequence[str]) -> None:
    """Measure all sets and write the file."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.hiding", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with udacity, 300w_photos and scenes")
    data = parser.parse_args(words).data
    around = environment()
    found = sets(data, udacity(data / "udacity"), 0, None)
    blur = Filter({"blur": Blur("face", 0.3, 0)})
    alone, hiding = fkd.load(), fkd.load(hiding=True)
    content = {
        "date": datetime.now(UTC).date().isoformat(),
        "environment": around,
        "command": "python -m benchmarks.hiding DIR",
        "columns": {
            "": "",
            "faces": "",
            "visible with the faces of `fkd predict` alone": "{:.1f} %",
            "with `filter=blur`": "{:.1f} %",
            "area that each hides": "{:.0f} %",
        },
        "rows": [row(title, found[name], alone, hiding, blur) for name, title in TITLES.items()],
    }
    path = RESULTS / "blur.json"
    write_json(path, content)
    show(f"{path} is new; python -m benchmarks.tables makes the table of it")


if __name__ == "__main__":
    run(main)
