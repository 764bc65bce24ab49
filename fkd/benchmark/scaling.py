"""How the time and the memory of an epoch grow: with the faces, the batch, the crops and the processes that load.

Each epoch is trained by a process of its own, since memory that another one has left behind must not count.
"""

import json
import multiprocessing
import subprocess
import sys
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

from fkd import experiment
from fkd.benchmark.figures import Row
from fkd.cli import CONF
from fkd.data.datamodule import KeypointDataModule
from fkd.data.faces import Faces
from fkd.errors import UserError
from fkd.options import whole
from fkd.processes import keep_memory, share_threads
from fkd.progress import progress

_PICTURES = 500
"""That are shown again and again."""
_MARK = "@ "
"""Begins the line of a process's output that says what its epoch took."""


@dataclass(frozen=True)
class Epoch:
    """What one epoch took.

    Attributes:
        seconds: from its start to the end of its last training batch.
        images_per_s: trained in that time.
        peak: MB that the process has held at most, mapped files such as libraries and decoded pictures included, and
            what its loaders hold alone at the end.
        anonymous: MB without such files that the process and its loaders hold at the end; what they share counts once.
    """

    seconds: float
    images_per_s: float
    peak: float
    anonymous: float


def measure(cfg: DictConfig, scratch: Path) -> dict[str, list[Row]]:
    """An epoch at each number of faces; for `rows` faces at each batch size, crop size and number of loaders.

    Raises:
        UserError: a key is none of what it may be, an epoch failed, or the system does not say what a process holds.
    """
    if not Path("/proc/self/smaps_rollup").exists():
        raise UserError("what=scale: expected Linux, which says in /proc what memory a process holds")
    turns, groups = whole(cfg, "scale_turns", least=1), settings(cfg)
    if not groups:
        raise UserError("faces, batch_sizes, sizes, workers: expected something to compare, found four empty lists")
    experiment.build_faces(cfg)  # what decodes or draws pictures for the first time is no part of an epoch
    rows: dict[str, list[Row]] = {}
    with progress("epochs", turns * sum(map(len, groups.values()))) as advance:
        for title, group in groups.items():
            epochs: dict[str, list[Epoch]] = {name: [] for name in group}
            for turn in range(turns):
                for number, (name, overrides) in enumerate(group.items()):
                    folder = scratch / f"{len(rows)}-{turn}-{number}"
                    epochs[name].append(in_its_own_process([*cfg.overrides, *overrides], folder))
                    advance()
            rows[title] = [row for name, found in epochs.items() for row in _figures(name, found)]
            rows[title] += _growth(epochs)
    return rows


def settings(cfg: DictConfig) -> dict[str, dict[str, list[str]]]:
    """Title -> name -> overrides of what is compared; an empty list leaves its title out.

    Raises:
        UserError: a key is no list of whole numbers.
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


def in_its_own_process(overrides: Sequence[str], folder: Path) -> Epoch:
    """The epoch of a new process with these overrides.

    Raises:
        UserError: it ended without one, with its own last line.
    """
    script = str(CONF.parent / "scripts" / "benchmark.py")
    command = [sys.executable, script, *overrides, "side=epoch", f"hydra.run.dir={folder}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    for line in result.stdout.splitlines():
        if line.startswith(_MARK):
            return Epoch(**json.loads(line.removeprefix(_MARK)))
    said = [line for line in result.stderr.splitlines() if line.strip()]
    raise UserError(f"{' '.join(overrides)}: {said[-1] if said else 'ended'}")


def _figures(name: str, epochs: Sequence[Epoch]) -> Iterator[Row]:
    yield _row(f"{name}: time", [epoch.seconds for epoch in epochs], "s")
    yield _row(f"{name}: speed", [epoch.images_per_s for epoch in epochs], "images a second")
    yield _row(f"{name}: at the peak", [epoch.peak for epoch in epochs], "MB")
    yield _row(f"{name}: anonymous", [epoch.anonymous for epoch in epochs], "MB")


def _growth(epochs: dict[str, list[Epoch]]) -> Iterator[Row]:
    """How much more memory the last setting takes than the first."""
    (first, *_), (*_, last) = epochs, epochs
    if first == last:
        return
    for what, memory in (("at the peak", attrgetter("peak")), ("anonymous", attrgetter("anonymous"))):
        ratios = [memory(b) / memory(a) for a, b in zip(epochs[first], epochs[last], strict=True)]
        yield _row(f"{last} over {first}: {what}", [100 * (ratio - 1) for ratio in ratios], "% more")


def _row(name: str, values: list[float], unit: str) -> Row:
    return Row.of(name, values if len(values) > 1 else values * 2, unit)  # quartiles need two


def serve(cfg: DictConfig) -> None:
    """Trains one epoch as `scripts/train.py` does and prints what it took, for the process that began this one."""
    print(f"{_MARK}{json.dumps(asdict(train(cfg)))}", flush=True)


def train(cfg: DictConfig) -> Epoch:
    """One epoch with all that a training has beside it: callbacks, loggers, validation."""
    share_threads()
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    cfg.trainer.max_epochs, cfg.trainer.num_sanity_val_steps = 1, 0
    trainer = experiment.build_trainer(cfg, sweep=False)
    trainer.callbacks.append(watch := _Watch())  # type: ignore[attr-defined]
    module = experiment.build_module(cfg)
    faces = repeated(experiment.build_faces(cfg), cfg.rows)
    faces.fingerprints()
    data = experiment.build_data(cfg, faces)
    module.learn_about(data.mean_shape(), faces.sample("train"), faces.table.subjects[faces.splits["train"]])
    keep_memory()
    trainer.fit(module, datamodule=data)
    return watch.epoch


def repeated(faces: Faces, rows: int) -> Faces:
    """The data with so many training rows: the first 500 again and again, so that only rows make a difference.

    Val and test stay as they are.
    """
    train, kept = faces.splits["train"][:_PICTURES], [faces.splits["val"], faces.splits["test"]]
    table = faces.table.take(np.concatenate([*kept, np.resize(train, rows)]))
    places = np.split(np.arange(len(table)), np.cumsum([len(part) for part in kept]))
    return replace(faces, table=table, splits=dict(zip(("val", "test", "train"), places, strict=True)))


class _Watch(Callback):
    """Takes the figures of an epoch."""

    epoch: Epoch

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._begun = time.perf_counter()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.is_last_batch:
            self._seconds = time.perf_counter() - self._begun

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, KeypointDataModule)
        loaders = [f"{child.pid}" for child in multiprocessing.active_children()]
        own = [_kilobytes(pid, "smaps_rollup", f"Private_{kind}") for pid in loaders for kind in ("Clean", "Dirty")]
        peak = _kilobytes("self", "status", "VmHWM") + sum(own)
        anonymous = sum(_kilobytes(pid, "smaps_rollup", "Pss_Anon") for pid in ("self", *loaders))
        images = int(trainer.num_training_batches) * data.batch_size
        self.epoch = Epoch(self._seconds, images / self._seconds, peak / 1000, anonymous / 1000)


def _kilobytes(process: str, file: str, field: str) -> float:
    """What /proc says of a process: multiples of 1,024 bytes there, of 1,000 here."""
    for line in Path(f"/proc/{process}/{file}").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1.024
    raise UserError(f"/proc/{process}/{file}: expected {field}, which this system does not say")
