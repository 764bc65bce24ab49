"""What makes a run the one that it is: for names and tables, for averages over seeds, and for going on with it."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fkd import checkpoint
from fkd.errors import UserError
from fkd.training.runs.command_line import is_learned

_OF_ITS_OWN = (
    *("loss", "augmentation", "data", "extra_train", "distill", "overfit", "seed", "callbacks.ema"),
    *(f"trainer.{key}" for key in ("gradient_clip_val", "gradient_clip_algorithm", "accumulate_grad_batches")),
    *(f"trainer.{key}" for key in ("limit_train_batches", "overfit_batches")),
)
"""What a run that was cut must resume with, beside what its checkpoint's states depend on."""


def settings(cfg: DictConfig, choices: Mapping[str, str], overrides: Sequence[str]) -> dict[str, Any]:
    """What tells runs apart: the chosen option of each group, the numbers people sweep over, and all that was given.

    Args:
        choices: the option of each group.
        overrides: of the command line, in Hydra's words.
    """
    groups = ("model", "loss", "optimizer", "scheduler", "data", "crop", "augmentation")
    numbers = ("optimizer.lr", "data.batch_size", "crop.size", "trainer.max_epochs", "seed")
    keys = (override.lstrip("+~").split("=")[0] for override in overrides)
    given = [key for key in keys if is_learned(key) and key != "ckpt_path"]
    chosen = {group: choices[group] for group in (*groups, *given) if group in choices}
    values = {key: OmegaConf.select(cfg, key) for key in (*numbers, *given) if key not in choices}
    return chosen | {k: v if isinstance(v, int | float | str | None) else str(v) for k, v in values.items()}


def digest(cfg: DictConfig, start: str | None) -> str:
    """Digits that two runs share only if they differ in nothing but the seed, and where and how fast they computed.

    Args:
        cfg: the config, in which references to the seed are not resolved.
        start: the checkpoint where training began.
    """
    leaves = dict(_leaves(OmegaConf.to_container(cfg, resolve=False))) | {"ckpt_path": start}
    kept = {key: value for key, value in leaves.items() if is_learned(key) and key != "seed"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()[:16]


def check_resume(cfg: DictConfig, path: str | Path, own: bool) -> Mapping[str, str]:
    """Makes sure that training can go on from a checkpoint.

    Args:
        cfg: the config.
        path: the checkpoint.
        own: whether it is the run's own, so that the same must be learned from the same faces; another run's may begin
            something new.

    Returns:
        Fingerprints of the faces that it was trained on, by split; none of a checkpoint from before they were kept.

    Raises:
        UserError: the file is broken, holds weights only, or was trained in another way.
    """
    content = checkpoint.read(path, "ckpt_path")
    checkpoint.check_paths(content.get("callbacks", {}), f"ckpt_path={path}")
    check_labels(cfg, content["config"])
    if cfg.train and "optimizer_states" not in content:
        raise UserError(f"ckpt_path={path}: holds weights only; training goes on from the last.ckpt beside it")
    parts = ["model", "crop", "schema", "channels"]
    parts += ["optimizer", "scheduler"] if cfg.train else []  # whose settings are part of their states
    parts += _OF_ITS_OWN if cfg.train and own else []
    if (difference := first_difference(content["config"], cfg, parts, training=cfg.train)) is not None:
        key, then, now = difference
        raise UserError(
            f"ckpt_path={path}: expected the run's own {key}={then}, found {now}; give the overrides of that run, or "
            "begin another one"
        )
    then, now = content["config"]["trainer"]["max_epochs"], cfg.trainer.max_epochs
    if cfg.train and cfg.scheduler is not None and cfg.scheduler.length is not None and then != now:
        raise UserError(
            f"ckpt_path={path}: expected trainer.max_epochs={then}, which its schedule of the learning rate was made "
            f"for, found {now}; keep it, or begin another run that trains on: ckpt_path=FILE scheduler=none"
        )
    faces: dict[str, str] = content.get("faces", {})
    return faces


def check_faces(path: str | Path, then: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Makes sure that a run goes on with the faces it began with.

    Args:
        path: the run's own checkpoint.
        then, now: fingerprints by split, of the checkpoint's faces and of those that are there.

    Raises:
        UserError: some differ, be it that files have changed, or a list of faces to leave out.
    """
    if changed := [split for split in then if then[split] != now.get(split)]:
        raise UserError(
            f"ckpt_path={path}: expected the faces that this run began with, found others in {', '.join(changed)} "
            "(files of data.root or of data.exclude have changed); put them back, or begin another run"
        )


def first_difference(
    trained: Mapping[str, Any], cfg: DictConfig, parts: Sequence[str], training: bool = True
) -> tuple[str, Any, Any] | None:
    """The first learned key of some parts of a config (dotted keys) in which a net was trained otherwise.

    Args:
        trained: the config of the net.
        cfg: the config now.
        parts: what is compared.
        training: whether keys count that change a training of the net and not its answers.

    Returns:
        The key, its value then and its value now.
    """
    ignored = {"model.lr"} if training else {"model.lr", "model.net.dropout", "model.net.init"}
    then, now = (
        {key: value for key, value in _leaves(config) if any(f"{key}.".startswith(f"{part}.") for part in parts)}
        for config in (trained, plain(cfg))
    )
    old, new = (schema if isinstance(schema, str) else schema["name"] for schema in (trained["schema"], cfg.schema))
    if "schema" in parts and old != new:
        return "schema", old, new
    for key in sorted(then | now, key=lambda key: not key.endswith(".name")):  # a model's name says more than its class
        if then.get(key) != now.get(key) and is_learned(key) and key not in ignored:
            return key.removesuffix(".name"), then.get(key), now.get(key)
    return None


def check_labels(cfg: DictConfig, trained: Mapping[str, Any]) -> None:
    """Makes sure that a net is scored, or trained on, with labels of the kind that its config says it learned.

    Raises:
        UserError: the `label_shift` of a set differs between the two, be it alone or part of a mix, so that all points
            would lie off by the shift.
    """
    then = {name: shift for _, name, shift in _label_shifts(trained["data"])}
    for key, name, now in _label_shifts(plain(cfg)["data"]):
        if name in then and then[name] != now:
            raise UserError(f"{key}={now}: expected {then[name]}, as this net was trained with; set {key}={then[name]}")


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The config as dicts, lists and scalars, all interpolations resolved."""
    content = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def _label_shifts(data: Any, key: str = "data") -> Iterator[tuple[str, str, Any]]:
    """Dotted key, set's name and value of each `label_shift` that sets have, without the copies in their sources."""
    if isinstance(data, Mapping):
        if "label_shift" in data:
            yield f"{key}.label_shift", str(data.get("name")), data["label_shift"]
        for name, child in data.items():
            if name != "source":
                yield from _label_shifts(child, f"{key}.{name}")


def _leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of all that is not a mapping."""
    if isinstance(node, Mapping):
        for name, child in node.items():
            yield from _leaves(child, f"{key}.{name}" if key else str(name))
    else:
        yield key, node
