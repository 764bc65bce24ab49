"""Comparison of runs by their configs: which settings differ, which differ in the seed only, which may resume."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fkd.errors import UserError
from fkd.training.runs.command_line import is_learned
from fkd.training.runs.run_folder import whole_checkpoints

_SAME_ON_RESUME = (
    *("loss", "augmentation", "data", "extra_train", "distill", "overfit", "seed", "callbacks.ema"),
    *(f"trainer.{key}" for key in ("gradient_clip_val", "gradient_clip_algorithm", "accumulate_grad_batches")),
    *(f"trainer.{key}" for key in ("limit_train_batches", "overfit_batches")),
)
"""Parts of the config that must not change when a run resumes, besides those that the states of the checkpoint need."""


def settings(cfg: DictConfig, choices: Mapping[str, str], overrides: Sequence[str]) -> dict[str, Any]:
    """The settings that distinguish runs: chosen options, numbers that are often swept, and all overrides.

    Args:
        choices: group -> chosen option.
        overrides: overrides of the command line.
    """
    groups = ("model", "loss", "optimizer", "scheduler", "data", "crop", "augmentation")
    numbers = ("optimizer.lr", "data.batch_size", "crop.size", "trainer.max_epochs", "seed")
    keys = (override.lstrip("+~").split("=")[0] for override in overrides)
    given = [key for key in keys if is_learned(key) and key != "ckpt_path"]
    chosen = {group: choices[group] for group in (*groups, *given) if group in choices}
    values = {key: OmegaConf.select(cfg, key) for key in (*numbers, *given) if key not in choices}
    return chosen | {k: v if isinstance(v, int | float | str | None) else str(v) for k, v in values.items()}


def digest(cfg: DictConfig, start: str | None) -> str:
    """Hash of the config without seed, paths and hardware settings.

    Args:
        cfg: the config; interpolations, which may refer to the seed, are not resolved.
        start: the checkpoint from which training started.
    """
    leaves = dict(_leaves(OmegaConf.to_container(cfg, resolve=False))) | {"ckpt_path": start}
    kept = {key: value for key, value in leaves.items() if is_learned(key) and key != "seed"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()[:16]


def check_resume(cfg: DictConfig, path: str | Path, own: bool) -> Mapping[str, str]:
    """Check that training can resume from a checkpoint.

    Args:
        cfg: the config.
        path: the checkpoint.
        own: whether the checkpoint belongs to this run, so that data, loss and seed must be the same.

    Returns:
        Split -> hash of the faces that it was trained on; empty for a checkpoint of an older fkd.

    Raises:
        UserError: the file is broken, holds weights only, or belongs to a different training.
    """
    from fkd import checkpoint  # loads torch, which the other functions do without

    try:
        content = checkpoint.read(path, "ckpt_path")
    except UserError as error:
        others = whole_checkpoints(Path(path).parent)
        whole = "".join(f"; weights={other} is whole (epoch {epoch}), for a new run" for other, epoch in others.items())
        raise UserError(f"{error}{whole}") from None
    checkpoint.check_paths(content.get("callbacks", {}), f"ckpt_path={path}")
    check_labels(cfg, content["config"])
    if cfg.train and "optimizer_states" not in content:
        raise UserError(f"ckpt_path={path}: holds weights only; training resumes from the last.ckpt beside it")
    parts = ["model", "crop", "schema", "channels"]
    parts += ["optimizer", "scheduler"] if cfg.train else []  # their states depend on their settings
    parts += _SAME_ON_RESUME if cfg.train and own else []
    if (difference := first_difference(content["config"], cfg, parts, training=cfg.train)) is not None:
        key, then, now = difference
        raise UserError(
            f"ckpt_path={path}: expected the run's own {key}={then}, found {now}; give the overrides of that run, or "
            "start another one"
        )
    then, now = content["config"]["trainer"]["max_epochs"], cfg.trainer.max_epochs
    if cfg.train and cfg.scheduler is not None and cfg.scheduler.length is not None and then != now:
        raise UserError(
            f"ckpt_path={path}: expected trainer.max_epochs={then}, which its schedule of the learning rate was made "
            f"for, found {now}; keep it, or start another run from the checkpoint: ckpt_path=FILE scheduler=none"
        )
    faces: dict[str, str] = content.get("faces", {})
    return faces


def check_faces(path: str | Path, then: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Check that a run resumes with the faces that it started with.

    Args:
        path: the run's own checkpoint.
        then, now: split -> hash of the faces, of the checkpoint and of the data.

    Raises:
        UserError: some hashes differ, since images, labels or the exclusion list have changed.
    """
    if changed := [split for split in then if then[split] != now.get(split)]:
        raise UserError(
            f"ckpt_path={path}: expected the faces that this run started with, found others in {', '.join(changed)} "
            "(files of data.root or of data.exclude have changed); restore them, or start another run"
        )


def first_difference(
    trained: Mapping[str, Any], cfg: DictConfig, parts: Sequence[str], training: bool = True
) -> tuple[str, Any, Any] | None:
    """The first learned key in which the config of a net differs from the current one.

    Args:
        trained: config of the net.
        cfg: current config.
        parts: dotted keys of the compared parts.
        training: whether to compare keys that change the training of a net, but not its predictions.

    Returns:
        The key, its value in the net's config and its current value; None if the parts are equal.
    """
    ignored = {"model.lr", "model.starts_at_mean_shape"}
    if not training:
        ignored |= {"model.net.dropout", "model.net.init"}
    then, now = (
        {key: value for key, value in _leaves(config) if any(f"{key}.".startswith(f"{part}.") for part in parts)}
        for config in (trained, plain(cfg))
    )
    old, new = (schema if isinstance(schema, str) else schema["name"] for schema in (trained["schema"], cfg.schema))
    if "schema" in parts and old != new:
        return "schema", old, new
    for key in sorted(then | now, key=lambda key: not key.endswith(".name")):  # a model's name first
        if then.get(key) != now.get(key) and is_learned(key) and key not in ignored:
            return key.removesuffix(".name"), then.get(key), now.get(key)
    return None


def check_labels(cfg: DictConfig, trained: Mapping[str, Any]) -> None:
    """Check that a net is scored or trained with the same kind of labels as before.

    Raises:
        UserError: the `label_shift` of a dataset differs, so that all points would be off by the shift.
    """
    then = {name: shift for _, name, shift in _label_shifts(trained["data"])}
    for key, name, now in _label_shifts(plain(cfg)["data"]):
        if name in then and then[name] != now:
            raise UserError(f"{key}={now}: expected {then[name]}, as this net was trained with; set {key}={then[name]}")


def other_data(cfg: DictConfig, trained: Mapping[str, Any]) -> str | None:
    """The name of the data that a net was trained on; None if that of `cfg` is it or a part of it, or it is unknown."""
    data = trained.get("data")
    if not isinstance(data, Mapping) or not isinstance(name := data.get("name"), str):
        return None
    sources = data.get("sources")
    parts = sources.values() if isinstance(sources, Mapping) else ()
    return None if cfg.data.name in (name, *(part.get("name") for part in parts if isinstance(part, Mapping))) else name


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The config as dicts, lists and scalars, all interpolations resolved."""
    content = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def _label_shifts(data: Any, key: str = "data") -> Iterator[tuple[str, str, Any]]:
    """Dotted key, dataset's name and value of each `label_shift`, without the copies in the sources."""
    if isinstance(data, Mapping):
        if "label_shift" in data:
            yield f"{key}.label_shift", str(data.get("name")), data["label_shift"]
        for name, child in data.items():
            if name != "source":
                yield from _label_shifts(child, f"{key}.{name}")


def _leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of each leaf."""
    if isinstance(node, Mapping):
        for name, child in node.items():
            yield from _leaves(child, f"{key}.{name}" if key else str(name))
    else:
        yield key, node
