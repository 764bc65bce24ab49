"""Time and memory of an epoch by number of faces, batch size, crop size and number of data workers.

Each epoch is trained in a separate process, so that memory of earlier epochs does not count.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from omegaconf import DictConfig
from pytorch_lightning.callbacks import Callback

from benchmarks import starting
from benchmarks.figures import Row
from benchmarks.own_process import figures_of, memory, send
from fkd.config.build_module import build_module
from fkd.config.checks import whole
from fkd.config.faces import build_data, build_faces
from fkd.config.trainer import build_trainer
from fkd.data.datamodule import KeypointDataModule
from fkd.data.face_data import Faces
from fkd.distributed import keep_memory, share_threads
from fkd.errors import UserError
from fkd.terminal import progress

_IMAGES = 500
"""Different images, which are repeated."""


@dataclass(frozen=True)
class Epoch:
    """Time and memory of one epoch.

    Attributes:
        seconds: from its start to the end of its last training batch.
        images_per_s: training images per second in that time.
        peak, anonymous: MB at its end, see `benchmarks.own_process.memory`.
    """

    seconds: float
    images_per_s: float
    peak: float
    anonymous: float


def measure(cfg: DictConfig, scratch: Path) -> dict[str, list[Row]]:
    """Epochs at each number of faces; with `rows` faces at each batch size, crop size and number of workers.

    And starts of an epoch of shards at each number of `starts`.

    Raises:
        UserError: the value of a key is wrong, an epoch failed, or the system does not report a process's memory.
    """
    if not Path("/proc/self/smaps_rollup").exists():
        raise UserError("what=scale: expected Linux, which reports the memory of a process in /proc")
    turns, groups, starts = whole(cfg, "scale_turns", least=1), settings(cfg), _whole_numbers(cfg, "starts", 500)
    if not groups and not starts:
        raise UserError("faces, batch_sizes, sizes, workers, starts: expected something to compare, found empty lists")
    data = build_faces(cfg)  # images are decoded or drawn here, before the epochs
    rows: dict[str, list[Row]] = {}
    with progress("epochs", turns * sum(map(len, groups.values())) + len(starts)) as advance:
        for title, group in groups.items():
            epochs: dict[str, list[Epoch]] = {name: [] for name in group}
            for turn in range(turns):
                for number, (name, overrides) in enumerate(group.items()):
                    folder = scratch / f"{len(rows)}-{turn}-{number}"
                    figures = figures_of("epoch", [*cfg.overrides, *overrides], folder)
                    epochs[name].append(Epoch(**figures))
                    advance()
            rows[title] = [row for name, found in epochs.items() for row in _figures(name, found)]
            rows[title] += _growth(epochs)
        for number in starts:
            rows[f"the start of an epoch, {number:,} faces"] = [*starting.measure(cfg, data, number, turns, scratch)]
            advance()
    return rows


def settings(cfg: DictConfig) -> dict[str, dict[str, list[str]]]:
    """Title -> name -> overrides of the compared settings; an empty list leaves its title out.

    Raises:
        UserError: the value of a key is no list of whole numbers.
    """
    rows, size = f"rows={whole(cfg, 'rows', least=2)}", f"crop.size={whole(cfg, 'faces_size', least=1)}"
    faces, batches, sizes, workers = (
        _whole_numbers(cfg, key, least)
        for key, least in (("faces", 2), ("batch_sizes", 1), ("sizes", 1), ("workers", 0))
    )
    groups = {
        "an epoch by faces": {f"{n:,} faces": [size, f"rows={n}"] for n in faces},
        "an epoch by batch size": {f"batches of {n:,}": [rows, f"data.batch_size={n}"] for n in batches},
        "an epoch by size of the crops": {f"{n} x {n} pixels": [rows, f"crop.size={n}"] for n in sizes},
        "an epoch by processes that load": {f"num_workers={n}": [rows, f"data.num_workers={n}"] for n in workers},
    }
    return {title: group for title, group in groups.items() if group}


def _whole_numbers(cfg: DictConfig, key: str, least: int) -> list[int]:
    if not isinstance(values := cfg[key], Sequence) or isinstance(values, str):
        raise UserError(f"{key}: expected a list of whole numbers, found {values!r}")
    return [whole(cfg, f"{key}[{i}]", least) for i in range(len(values))]


def _figures(name: str, epochs: Sequence[Epoch]) -> Iterator[Row]:
    yield Row.of(f"{name}: time", [epoch.seconds for epoch in epochs], "s")
    yield Row.of(f"{name}: speed", [epoch.images_per_s for epoch in epochs], "images a second")
    yield Row.of(f"{name}: at the peak", [epoch.peak for epoch in epochs], "MB")
    yield Row.of(f"{name}: anonymous", [epoch.anonymous for epoch in epochs], "MB")


def _growth(epochs: dict[str, list[Epoch]]) -> Iterator[Row]:
    """The memory of the last setting relative to the first."""
    (first, *_), (*_, last) = epochs, epochs
    if first == last:
        return
    for what, held in (("at the peak", attrgetter("peak")), ("anonymous", attrgetter("anonymous"))):
        ratios = [held(b) / held(a) for a, b in zip(epochs[first], epochs[last], strict=True)]
        yield Row.of(f"{last} over {first}: {what}", [100 * (ratio - 1) for ratio in ratios], "% more")


def serve(cfg: DictConfig) -> None:
    """Train one epoch as `scripts/train.py` does, or its first batch, and send the figures."""
    send(starting.start(cfg) if cfg.side == "start" else asdict(train(cfg)))


def train(cfg: DictConfig) -> Epoch:
    """Train one epoch with callbacks, loggers and validation."""
    share_threads()
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    cfg.trainer.max_epochs, cfg.trainer.num_sanity_val_steps = 1, 0
    trainer = build_trainer(cfg, sweep=False)
    trainer.callbacks.append(watch := _Watch())  # type: ignore[attr-defined]
    module = build_module(cfg)
    faces = repeated(build_faces(cfg), cfg.rows)
    faces.fingerprints()
    data = build_data(cfg, faces)
    table, rows = faces.table, faces.splits["train"]
    module.learn_about(data.mean_shape(), faces.sample("train"), table.subjects[rows], table.image_hashes[rows])
    keep_memory()
    trainer.fit(module, datamodule=data)
    return watch.epoch


def repeated(faces: Faces, rows: int) -> Faces:
    """The data with `rows` training rows, which repeat the first 500, so that only the number of rows matters.

    Val and test are unchanged.
    """
    train, kept = faces.splits["train"][:_IMAGES], [faces.splits["val"], faces.splits["test"]]
    table = faces.table.take(np.concatenate([*kept, np.resize(train, rows)]))
    places = np.split(np.arange(len(table)), np.cumsum([len(part) for part in kept]))
    return replace(faces, table=table, splits=dict(zip(("val", "test", "train"), places, strict=True)))


class _Watch(Callback):
    """Measures an epoch."""

    epoch: Epoch

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start = time.perf_counter()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.is_last_batch:
            self._seconds = time.perf_counter() - self._start

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, KeypointDataModule)
        images = int(trainer.num_training_batches) * data.batch_size
        self.epoch = Epoch(self._seconds, images / self._seconds, **memory())
