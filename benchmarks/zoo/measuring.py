"""Score and time nets, as records."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.figures import one_thread
from benchmarks.prediction import nets
from benchmarks.zoo.records import BOXES, Record
from benchmarks.zoo.trainings import Training
from fkd.config import checks
from fkd.config.build_parts import build_detector
from fkd.config.faces import build_faces
from fkd.data.face_data import Faces
from fkd.data.split import shared_subjects
from fkd.errors import UserError
from fkd.evaluation.evaluate import Candidate, evaluate
from fkd.inference.export import to_onnx
from fkd.inference.onnx_net import OnnxNet
from fkd.inference.predictor import Net
from fkd.inference.torch_net import TorchNet, load_net
from fkd.models.keypoint_net import KeypointNet
from fkd.schema import schema_of
from fkd.terminal import show
from fkd.training.runs import metrics_csv
from fkd.training.runs.compatibility import check_labels, plain
from fkd.training.runs.environment import environment

_SPLIT = ("split", "split_seed", "val_share", "test_share")
"""Keys of `data` that decide which subjects are tested; each run has its own values."""
_CURVES = ("train/loss", "val/loss", "val/nme")
"""The curves that a record keeps."""


def measure(trainings: Sequence[Training], cfg: DictConfig, repeats: int) -> tuple[list[Record], dict[str, str]]:
    """Score the best checkpoint of each run on the run's own test split, and time all nets in turns.

    Args:
        trainings: at least one.
        cfg: with `data`, `detector`, `channels` and `schema`; split, channels and schema are replaced by each net's.
        repeats: calls of each net.

    Returns:
        A record of each run, and the runs left out, with the reason: their net does not fit these labels, or it was
        trained on subjects of its own test split.

    Raises:
        UserError: the data cannot be read, all runs are left out, or `fkd[export]` is not installed.
    """
    score, left_out = _Scoring(cfg), dict[str, str]()
    kept, nets_of = [], dict[tuple[str, str], TorchNet]()
    for training in trainings:
        show(f"scoring {training.run.name}")
        try:
            net, split, metrics = score(training.best)
        except _LeftOut as error:
            left_out[training.run.name] = str(error)
            continue
        kept.append((training, split, metrics, _cost(net.model)))
        nets_of[training.model, training.recipe] = net
    if not kept:
        name, why = next(iter(left_out.items()))
        raise UserError(f"runs: expected one that can be scored, found {len(left_out)} that cannot; {name}: {why}")
    show("timing nets")
    times = dict(zip(nets_of, _milliseconds([*nets_of.values()], repeats), strict=True))
    records = [
        _record(training, split, metrics, cost, times[training.model, training.recipe], cfg.data.name)
        for training, split, metrics, cost in kept
    ]
    return records, left_out


def _cost(model: KeypointNet) -> dict[str, int]:
    return {"parameters": sum(p.numel() for p in model.net.parameters()), "multiply_adds": multiply_adds(model)}


def _record(
    training: Training,
    split: str,
    metrics: Mapping[str, Mapping[str, Any]],
    cost: Mapping[str, int],
    ms: Mapping[str, float],
    data: str,
) -> Record:
    run = training.run
    logged = metrics_csv.read(run.path)
    epochs = range(1, metrics_csv.last_epoch(logged) + 1)
    return Record(
        model=training.model,
        recipe=training.recipe,
        data=data,
        split=split,
        seed=int(run.settings.get("seed", 0)),
        commands=training.commands,
        date=run.started,
        environment=run.environment,
        measured=environment() | {"date": datetime.now().astimezone().isoformat(timespec="seconds")},
        minutes=training.minutes,
        **cost,
        ms=ms,
        mean_shape_nme=_rounded(run.mean_shape_nme),
        best=_rounded({"epoch": run.epoch, "val/loss": run.val_loss, "val/nme": run.val_nme}),
        warnings=run.warnings,
        scores={boxes: _rounded(_without_points(one)) for boxes, one in metrics.items()},
        curve=_rounded({name: [logged[name].get(epoch) for epoch in epochs] for name in _CURVES if name in logged}),
    )


def _without_points(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metrics.items() if key != "per_keypoint"}


def _rounded(content: Any) -> Any:
    """The same with six significant digits."""
    if isinstance(content, float):
        return float(f"{content:.6g}")
    if isinstance(content, Mapping):
        return {key: _rounded(value) for key, value in content.items()}
    return [_rounded(value) for value in content] if isinstance(content, list) else content


class _LeftOut(Exception):  # noqa: N818 (the run is left out, which is no error)
    """The reason why a run is not in the table."""


class _Scoring:
    """Scores checkpoints on the data of the command line, each on its own split."""

    def __init__(self, cfg: DictConfig) -> None:
        self.cfg = cfg
        self.detector = build_detector(cfg)
        self.batch_size = checks.whole(cfg, "data.batch_size", least=1)
        self.faces = cache(self._faces)

    def __call__(self, path: Path) -> tuple[TorchNet, str, Mapping[str, Mapping[str, Any]]]:
        """The net, the name of its split, and boxes -> content of `metrics.json`."""
        try:
            net = load_net(path)
            check_labels(self.cfg, net.config)
            split = self._split(net.config["data"])
        except UserError as error:
            raise _LeftOut(str(error)) from error
        faces, candidate = self._fitting(net.model, split), Candidate.of(net)
        metrics = {
            boxes: evaluate(candidate, faces, "test", boxes, self.detector, self.batch_size).metrics for boxes in BOXES
        }
        name = str(split.get("split", faces.name))
        train, test = (faces.table.subjects[faces.splits[part]] for part in ("train", "test"))
        seen, subjects = (metrics[BOXES[0]][key] for key in ("subjects_in_training", "subjects"))
        if seen and not shared_subjects(test, train):
            raise _LeftOut(f"{name}: of {subjects} subjects of the test split the net was trained on {seen}")
        return net, name, metrics

    def _split(self, trained: Mapping[str, Any]) -> dict[str, str | int | float]:
        """The split in a net's config."""
        split = {key: trained[key] for key in _SPLIT if key in trained and key in self.cfg.data}
        for key, value in split.items():
            if not isinstance(value, str | int | float) or "${" in str(value):
                raise UserError(f"data.{key}: expected a plain value, found {value!r}")
        return split

    def _fitting(self, model: KeypointNet, split: Mapping[str, str | int | float]) -> Faces:
        """The faces with the net's points; a net whose points the data lack is left out."""
        try:
            return self.faces(model.channels, json.dumps(model.schema.to_dict()), **split)
        except UserError as error:
            if model.schema == (own := schema_of(plain(self.cfg)["schema"])):
                raise
            raise _LeftOut(f"its net finds the points of {model.schema.name}, not {own.name}: {error}") from error

    def _faces(self, channels: int, schema: str, **split: str | int | float) -> Faces:
        cfg = OmegaConf.merge(self.cfg, {"channels": channels, "data": split})
        assert isinstance(cfg, DictConfig)
        cfg.schema = json.loads(schema)
        return build_faces(cfg)


def multiply_adds(model: KeypointNet) -> int:
    """Multiply-adds of the net's convolutions, matrix products and attention, for one face."""
    image = torch.zeros(1, model.channels, model.size, model.size, dtype=torch.uint8)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(image)
    return int(counter.get_total_flops()) // 2


def _milliseconds(torch_nets: Sequence[TorchNet], repeats: int) -> list[dict[str, float]]:
    """Milliseconds for one face, of each net in torch and in ONNX Runtime."""
    named: dict[str, Net] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for number, net in enumerate(torch_nets):
            path = Path(scratch, "net.onnx")
            to_onnx(net.model, net.metadata, path)
            named |= {f"{number} torch": net, f"{number} ONNX": OnnxNet(path)}
    one_thread()
    medians = [row.median for row in nets(named, repeats)]
    return [dict(zip(("torch", "ONNX"), pair, strict=True)) for pair in zip(medians[::2], medians[1::2], strict=True)]
