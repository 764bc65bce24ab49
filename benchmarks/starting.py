"""Time and memory until the first batch of a very large set of faces is trained."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from omegaconf import DictConfig
from pytorch_lightning.callbacks import Callback

from benchmarks.figures import Row
from benchmarks.own_process import figures_of, memory
from fkd.config.build_module import build_module
from fkd.config.faces import build_data, build_faces
from fkd.config.trainer import build_trainer
from fkd.data.face_data import Faces
from fkd.data.shards import index
from fkd.data.shards.writer import Storage, write
from fkd.data.split import by_subject, shares
from fkd.distributed import share_threads

_IMAGES = 500
"""Different images, which are repeated."""
_FACES = 20
"""Faces of a subject."""
_STEPS = {
    "load": "loading the annotations",
    "split": "splitting by subject",
    "start": "from there to the end of the first batch",
}


def measure(cfg: DictConfig, faces: Faces, rows: int, turns: int, scratch: Path) -> Iterator[Row]:
    """The steps of a start with shards of `rows` rows, each turn in a separate process."""
    folder = scratch / f"shards-{rows}"
    generate(faces, rows, cfg.channels, folder)
    own = [override for override in cfg.overrides if not override.startswith(("data=", "data."))]
    own += ["data=shards", f"data.root='{folder}'", "data.num_workers=4", f"crop.size={cfg.faces_size}"]
    turned = [figures_of("start", own, scratch / f"start-{rows}-{turn}") for turn in range(turns)]
    for key, name in _STEPS.items():
        yield Row.of(f"{rows:,} faces: {name}", [figures[key] for figures in turned], "s")
    yield Row.of(f"{rows:,} faces: at the peak", [figures["peak"] for figures in turned], "MB")
    yield Row.of(f"{rows:,} faces: anonymous", [figures["anonymous"] for figures in turned], "MB")


def generate(faces: Faces, rows: int, channels: int, folder: Path) -> None:
    """Write shards of the first 500 training images; their table repeats the faces to `rows` rows, 20 a subject."""
    folder.mkdir()
    first = faces.splits["train"][:_IMAGES]
    few = replace(faces, table=faces.table.take(first), splits=dict.fromkeys(faces.splits, np.arange(len(first))))
    written = write(few, channels, folder, Storage("raw", 95, size=100, seed=0))
    subjects = np.char.add("subject ", (np.arange(rows) // _FACES).astype(str))
    table = replace(written.table.take(np.resize(np.arange(len(first)), rows)), subjects=subjects)
    splits = by_subject(subjects, shares(val=0.01, test=0.01), 0)
    index.write(folder, replace(written, table=table, splits=splits))


def start(cfg: DictConfig) -> dict[str, float]:
    """Seconds of each step of `scripts/train.py`, and memory after the first batch.

    Steps that do not depend on the data, such as building the net and the trainer, come before and are not timed.
    """
    share_threads()
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    trainer, module = build_trainer(cfg, sweep=False), build_module(cfg)
    trainer.limit_train_batches, trainer.limit_val_batches, trainer.num_sanity_val_steps = 1, 0, 0
    trainer.fit_loop.max_epochs = 1
    trainer.callbacks.append(watch := _Watch())  # type: ignore[attr-defined]
    times = [time.perf_counter()]
    faces = build_faces(cfg)
    times.append(time.perf_counter())
    by_subject(faces.table.subjects, shares(val=0.01, test=0.01), 1)
    times.append(time.perf_counter())
    faces.fingerprints()
    data = build_data(cfg, faces)
    table, rows = faces.table, faces.splits["train"]
    module.learn_about(data.mean_shape(), faces.sample("train"), table.subjects[rows], table.image_hashes[rows])
    trainer.fit(module, datamodule=data)
    times.append(watch.ended)
    return dict(zip(_STEPS, np.diff(times).tolist(), strict=True)) | watch.memory


class _Watch(Callback):
    """The time at which the first batch ended, and the memory at that time."""

    ended: float
    memory: dict[str, float]

    def on_train_batch_end(self, *_: Any) -> None:
        self.ended, self.memory = time.perf_counter(), memory()
