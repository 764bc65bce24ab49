"""The speed of training: a hand-written loop, fkd, and a bare loop with the steps of fkd alone.

Each side is a separate process, so that the memory settings of one do not help another. They alternate: one computes,
the others wait.
"""

import copy
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.profilers import Profiler
from torch import Tensor, nn
from torch.utils.data import DataLoader

from benchmarks.figures import Row
from benchmarks.notebook import notebook_dataset
from fkd import distributed
from fkd.config import CONF, checks
from fkd.config.build_module import build_module
from fkd.config.faces import build_data, build_faces
from fkd.config.trainer import build_trainer
from fkd.data.datamodule import KeypointDataModule
from fkd.errors import UserError
from fkd.models import layers
from fkd.terminal import progress
from fkd.training.module import KeypointModule
from fkd.training.precision import choose
from fkd.types import Batch

_MARK = "@ "
"""Start of the lines of a side's output that have its figures."""
_IN_MEMORY = 8
"""Batches of the bare loop."""
_WORK = {"load": "loading", "step": "step", "whole": "both"}
_NAMES = {
    "notebook, both": ("notebook", "whole"),
    "fkd, both": ("fkd", "whole"),
    "notebook, step": ("notebook", "step"),
    "fkd, step": ("bare", "step"),
    "notebook, loading": ("notebook", "load"),
    "fkd, loading": ("bare", "load"),
}
"""Name of a row -> side, kind of work. The step of fkd is that of the bare loop on batches in memory."""


def measure(cfg: DictConfig, scratch: Path) -> dict[str, list[Row]]:
    """Both sides of every case, and the time from the command to the end of the first batch, for the last case."""
    turns = checks.whole(cfg, "turns", least=2)
    if cfg.trainer.accelerator != "cpu":
        raise UserError(f"trainer.accelerator={cfg.trainer.accelerator}: expected cpu, where all sides can be compared")
    cases = _cases(cfg)
    rows: dict[str, list[Row]] = {}
    with progress("turns", (len(cases) + 1) * turns) as advance:
        for number, (title, (case, steps)) in enumerate(cases.items()):
            rows[title] = list(compare(cfg, case, steps, scratch / str(number), advance))
        starts = []
        for turn in range(turns):
            start = time.perf_counter()
            with Side("fkd", cfg, case, scratch / f"start{turn}") as side:
                side.run("whole", 0)
                starts.append(time.perf_counter() - start)
            advance()
    rows["start"] = [Row.of("from the command to the end of the first batch", starts, "s")]
    return rows


def _cases(cfg: DictConfig) -> dict[str, tuple[list[str], int]]:
    """Title -> overrides, and steps of a turn."""
    if cfg.cases is None:
        return {"as given": ([], checks.whole(cfg, "steps", least=1))}
    if not isinstance(cfg.cases, DictConfig):
        raise UserError(f"cases: expected name: {{overrides, steps}}, or null, found {cfg.cases!r}; give cases=null")
    cases: dict[str, tuple[list[str], int]] = {}
    for title, case in cfg.cases.items():
        steps = case.get("steps") if isinstance(case, DictConfig) else None
        if not isinstance(steps, int) or steps < 1 or not isinstance(case.get("overrides"), str):
            raise UserError(
                f"cases: {title!s}: expected overrides and steps from 1 on, found {case!r}; or give cases=null"
            )
        cases[str(title)] = case.overrides.split(), steps
    return cases


def compare(
    cfg: DictConfig, case: Sequence[str], steps: int, scratch: Path, advance: Callable[[], None]
) -> Iterator[Row]:
    """Images per second of all sides of one case, in turns of `steps` steps, and the ratios of each turn."""
    speeds: dict[tuple[str, str], list[float]] = {key: [] for key in _NAMES.values()}
    waits = []
    with ExitStack() as stack:
        sides = {
            name: stack.enter_context(Side(name, cfg, case, scratch / name)) for name in ("notebook", "bare", "fkd")
        }
        for _ in range(cfg.turns):
            for name, work in speeds:
                figures = sides[name].run(work, steps)
                speeds[name, work].append(figures["images"] / figures["seconds"])
                waits += [100 * figures["waiting"] / figures["seconds"]] if name == "fkd" else []
            advance()
    found = {key: np.array(values) for key, values in speeds.items()}
    for name, (side, work) in _NAMES.items():
        yield Row.of(name, found[side, work].tolist(), "crops a second" if work == "load" else "images a second")
    for work, ours in (("load", "bare"), ("step", "bare"), ("whole", "fkd")):
        yield Row.of(f"ratio, {_WORK[work]}", (found[ours, work] / found["notebook", work]).tolist(), "x")
    tax = 100 * (found["bare", "step"] / found["fkd", "whole"] - 1)
    yield Row.of("tax: both over step", tax.tolist(), "% of the step")
    yield Row.of("waiting for data", waits, "% of both")


_OF_FKD = (
    *("++trainer.limit_val_batches=0", "trainer.max_epochs=1000"),
    *("callbacks.best=null", "callbacks.overlays=null"),
)
"""Without validation, as in the other sides."""


class Side:
    """A process that computes on request.

    Args:
        name: "notebook", "bare" or "fkd".
        cfg: with the overrides of the command line, which the process also gets.
        case: further overrides.
        folder: its run folder, where its output is kept.
    """

    def __init__(self, name: str, cfg: DictConfig, case: Sequence[str], folder: Path) -> None:
        self.folder = folder
        script = CONF.parent / "scripts" / "benchmark.py"
        self._command = [sys.executable, str(script), *case, *cfg.overrides]
        self._command += [*(_OF_FKD if name == "fkd" else ()), f"side={name}", f"hydra.run.dir={folder}"]

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True)
        self._log = (self.folder / "log").open("w+")
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def run(self, work: str, steps: int) -> dict[str, float]:
        """Run some steps and return `images`, `seconds`, and `waiting`: those seconds that it waited for batches.

        Raises:
            UserError: the process has ended; the message is its last line.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # it has ended: its last line is read below
            print(work, steps, file=self._process.stdin, flush=True)
        for line in self._process.stdout:
            if line.startswith(_MARK):
                images, seconds, waiting = map(float, line.removeprefix(_MARK).split())
                return {"images": images, "seconds": seconds, "waiting": waiting}
        self._log.seek(0)
        lines = self._log.read().split("\n")
        last = next((line for line in reversed(lines) if line.strip()), f"{self._command}: ended")
        raise UserError(last.removeprefix("error: "))


def serve(cfg: DictConfig) -> None:
    """Compute the requests on standard input, line by line, as one side."""
    torch.manual_seed(cfg.seed)
    distributed.share_threads()
    if cfg.side == "notebook":
        _answer(Notebook(cfg))
    distributed.keep_memory()
    if cfg.side == "bare":
        _answer(Bare(cfg))
    if cfg.side == "fkd":
        train(cfg)
    raise UserError(f"side={cfg.side}: expected none; a benchmark sets it for the processes that it starts")


def _answer(side: "Notebook | Bare") -> NoReturn:
    for line in sys.stdin:
        work, steps = line.split()
        batches: Iterator[int] = getattr(side, work)()
        next(batches)  # not timed, since other sides have filled the processor's caches
        start = time.perf_counter()
        images = sum(itertools.islice(batches, int(steps)))
        _send(images, time.perf_counter() - start, 0.0)
    sys.exit(0)


def _send(images: int, seconds: float, waiting: float) -> None:
    print(f"{_MARK}{images} {seconds} {waiting}", flush=True)


class Notebook:
    """A hand-written loop: one file for each item, read in the training process, everything in float32."""

    def __init__(self, cfg: DictConfig) -> None:
        if "fused" in cfg.optimizer:
            cfg.optimizer.fused = None
        module = build_module(cfg)
        self.net, objective = as_written(module.model.net), module.objective
        self.optimizer, self.loss = objective.optimizer(self.net.parameters()), objective.loss
        dataset = notebook_dataset(cfg, build_faces(cfg), Path(cfg.run_dir))
        self.batches = _endless(DataLoader(dataset, cfg.data.batch_size, shuffle=True, drop_last=True))

    def load(self) -> Iterator[int]:
        for images, _ in self.batches:
            yield len(images)

    def step(self) -> Iterator[int]:
        return self._train(itertools.repeat(next(self.batches)))

    def whole(self) -> Iterator[int]:
        return self._train(self.batches)

    def _train(self, batches: Iterable[tuple[Tensor, Tensor]]) -> Iterator[int]:
        for images, targets in batches:
            visible = torch.ones(len(images), targets[0].numel() // 2, dtype=torch.bool)
            target = targets.reshape(len(targets), -1, 2)
            loss = self.loss(self.net(images).reshape(target.shape), target, visible)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            yield len(images)


class Bare:
    """A loop with the net, loss, optimizer, precision and memory format of fkd, and nothing else."""

    def __init__(self, cfg: DictConfig) -> None:
        self.data, self.module = _data(cfg), build_module(cfg).train()
        self.optimizer = self.module.objective.optimizer(self.module.parameters())
        precision, _ = choose(cfg.trainer.precision, cfg.trainer.accelerator)
        if precision not in ("bf16-mixed", "32-true"):
            raise UserError(f"trainer.precision={precision}: expected auto, bf16-mixed or 32-true")
        self.autocast = precision == "bf16-mixed"
        self.batches = _endless(self.data.train_dataloader())
        self.in_memory = list(itertools.islice(self.batches, _IN_MEMORY))

    def load(self) -> Iterator[int]:
        for batch in self.batches:
            yield len(batch.image)

    def step(self) -> Iterator[int]:
        for batch in itertools.cycle(self.in_memory):
            with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
                loss, _ = self.module.training_loss(batch)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            yield len(batch.image)


def train(cfg: DictConfig) -> None:
    """A training of fkd without validation, as in the other loops, that pauses between turns."""
    trainer = build_trainer(cfg, sweep=False)
    waiting = _Waiting()
    trainer.profiler = waiting  # type: ignore[attr-defined]
    trainer.callbacks.append(_Turns(waiting))  # type: ignore[attr-defined]
    module: KeypointModule = build_module(cfg)
    trainer.fit(module, datamodule=_data(cfg))


class _Turns(Callback):
    """Pauses a training until a turn is requested; the first batch of a turn is not timed."""

    def __init__(self, waiting: "_Waiting") -> None:
        self._waiting = waiting
        self._steps = self._left = self._images = 0
        self._start = 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        if self._left > self._steps:
            self._start, self._images, self._waiting.seconds = time.perf_counter(), 0, 0.0
        else:
            self._images += len(batch.image)
        self._left -= 1
        if self._left == 0:
            _send(self._images, time.perf_counter() - self._start, self._waiting.seconds)
        while self._left <= 0:
            if not (line := sys.stdin.readline()):
                os._exit(0)  # no more requests; nothing ends a training faster
            self._steps = int(line.split()[1])
            if self._steps:
                self._left = self._steps + 1
            else:  # the request was for the first batch only
                _send(0, 0.0, 0.0)


class _Waiting(Profiler):
    """Measures the time that the training waits for batches."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = self._start = 0.0

    def start(self, action_name: str) -> None:
        self._start = time.perf_counter()

    def stop(self, action_name: str) -> None:
        if action_name.endswith("train_dataloader_next"):
            self.seconds += time.perf_counter() - self._start


def as_written(net: nn.Module) -> nn.Module:
    """The same network as usually written: layers of torch, activations before pooling, channels first."""
    net = copy.deepcopy(net).to(memory_format=torch.contiguous_format)
    for stack in [module for module in net.modules() if isinstance(module, nn.Sequential)]:
        for i, layer in enumerate(stack):
            if isinstance(layer, layers.Dropout):
                stack[i] = nn.Dropout(layer.p).train(layer.training)
            elif isinstance(layer, layers.ELU | layers.SELU):
                stack[i] = nn.ELU() if isinstance(layer, layers.ELU) else nn.SELU()
        for i, (first, second) in enumerate(itertools.pairwise(list(stack))):
            if isinstance(first, nn.MaxPool2d) and isinstance(second, nn.ReLU | nn.ELU | nn.SELU):
                stack[i], stack[i + 1] = second, first
    return net


def _data(cfg: DictConfig) -> KeypointDataModule:
    return build_data(cfg, build_faces(cfg))


def _endless(loader: Iterable[Any]) -> Iterator[Any]:
    while True:
        yield from loader
