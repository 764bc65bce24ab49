"""Shared by all tests: the sample data, a small set of faces in Udacity's format, scripts run in this process."""

import csv
import io
import runpy
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra

import fkd
import fkd.config.resolvers
from fkd.errors import UserError
from fkd.inference.predictor import Found, Photo
from fkd.io import images
from fkd.schema import IBUG68
from fkd.synthetic import face
from fkd.types import Face

PROJECT = Path(__file__).parents[1]
SHARED = PROJECT.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of sample data beside the checkout, if it is there."""
    if not SHARED.is_dir():
        pytest.skip("needs the sample data in ../shared, which is not beside this checkout")
    return SHARED


torch.set_num_threads(1)  # small nets gain nothing from more, and lose much when they share the processor


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def write_faces(root: Path, subjects: int, frames: int) -> Path:
    """A folder in Udacity's format with synthetic faces: a subject's last frame tests, the others train."""
    rows: dict[str, list[list[object]]] = {"training": [], "test": []}
    for part in rows:
        (root / part).mkdir(parents=True)
    for subject in range(subjects):
        for frame in range(frames):
            part = "test" if frame == frames - 1 else "training"
            image, points = face(0, subject, frame, 128)
            name = f"Subject_{subject}_{frame}.png"
            images.write(root / part / name, image)
            rows[part].append([name, *points.ravel().tolist()])
    for part, lines in rows.items():
        with (root / f"{part}_frames_keypoints.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["", *range(136)], *lines])
    return root


@pytest.fixture(scope="session")
def faces_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten subjects with four frames each; tests that change it make their own with `write_faces`."""
    return write_faces(tmp_path_factory.mktemp("faces") / "set", subjects=10, frames=4)


@dataclass(frozen=True)
class Outcome:
    """What a script left: its exit status and what it printed."""

    status: int
    out: str
    err: str


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Outcome]:
    """Runs scripts/<name>.py with arguments in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, *arguments: str) -> Outcome:
        GlobalHydra.instance().clear()
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
        out, err, status = io.StringIO(), io.StringIO(), 0
        with redirect_stdout(out), redirect_stderr(err):
            try:
                runpy.run_path(str(PROJECT / "scripts" / f"{name}.py"), run_name="__main__")
            except SystemExit as stop:
                status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        return Outcome(status, out.getvalue(), err.getvalue())

    return run


SHAPE = np.random.default_rng(0).uniform(0.1, 0.9, (68, 2))
NOISE = np.random.default_rng(1)


class StandIn:
    """A predictor that finds one face in the middle half of every image that is not black, trembling a little."""

    schema, has_errors, has_visibility = IBUG68, False, False
    options: dict

    def __init__(self, noise: float = 0.0) -> None:
        self.noise = noise
        self.before: Callable[[int], None] = lambda number: None

    def stream(self, photos: Iterable[Photo]) -> Iterator[Found]:
        for number, photo in enumerate(photos):
            self.before(number)
            try:
                pixels = photo if isinstance(photo, np.ndarray) else images.read(photo, 3)
            except UserError as error:
                yield Found(None, [], error)
                continue
            yield Found(pixels, [self.face(pixels)] if pixels.any() else [], None)

    def track(self, frames: Iterable[Photo], detect_every: int) -> Iterator[Found]:
        return self.stream(frames)

    def face(self, pixels: np.ndarray) -> Face:
        height, width = pixels.shape[:2]
        side = min(height, width) / 2
        corner = np.array([width - side, height - side]) / 2
        points = corner + side * (SHAPE + NOISE.normal(0, self.noise, (68, 2)))
        return Face(IBUG68, np.float32([*corner, *(corner + side)]), 0.75, np.float32(points))


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    predictor = StandIn()

    def load(path: Path, **options: object) -> StandIn:
        predictor.options = {"path": path, **options}
        return predictor

    monkeypatch.setattr(fkd, "load", load)
    return predictor
