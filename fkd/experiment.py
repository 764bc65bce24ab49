"""From config to objects, and from a checkpoint back to a net: the one place that knows Hydra's `_target_`."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.errors import HydraException, InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from fkd.data.crops import CropPlan
from fkd.data.datamodule import KeypointDataModule
from fkd.data.faces import Faces
from fkd.errors import UserError
from fkd.evaluation import BOXES, Detector
from fkd.module import KeypointModule, Recipe
from fkd.precision import choose
from fkd.schema import IBUG68

_TRUSTED = ("fkd", "torch.nn", "torch.optim", "torchvision.models")
"""Packages whose classes a checkpoint may name."""


def build_faces(cfg: DictConfig) -> Faces:
    """The source of `data`, split and decoded."""
    faces: Faces = _instantiate(cfg.data.source, "data.source")
    return faces


def build_data(cfg: DictConfig, faces: Faces) -> KeypointDataModule:
    """Loaders over the faces."""
    return KeypointDataModule(
        faces=faces,
        crop=build_crop(cfg.crop),
        augmentation=_instantiate(cfg.augmentation, "augmentation"),
        batch_size=_whole(cfg, "data.batch_size", least=1),
        num_workers=_whole(cfg, "data.num_workers", least=0),
        seed=cfg.seed,
    )


def build_crop(config: Mapping[str, Any] | DictConfig) -> CropPlan:
    """The crop plan of a `crop` group, be it composed now or kept in a checkpoint."""
    plan: CropPlan = _instantiate(config["plan"], "crop.plan")
    return plan


def build_detector(cfg: DictConfig) -> Detector | None:
    """The detector, where `boxes` asks for one.

    Raises:
        UserError: `boxes` is none of the choices.
    """
    if cfg.boxes not in BOXES:
        raise UserError(f"boxes={cfg.boxes}: expected one of {', '.join(BOXES)}")
    return _instantiate(cfg.detector, "detector") if cfg.boxes == "detector" else None


def build_module(cfg: DictConfig) -> KeypointModule:
    """A net that trains.

    Raises:
        UserError: the loss does not fit the model's codec, or the net's output does not fit the schema.
    """
    config = plain(cfg)
    recipe = Recipe(
        loss=_instantiate(cfg.loss, "loss"),
        optimizer=_instantiate(cfg.optimizer, "optimizer"),
        schedule=None if cfg.scheduler is None else _instantiate(cfg.scheduler, "scheduler"),
    )
    module = _module(config, recipe)
    if (compares := getattr(recipe.loss, "compares", module.codec.gives)) != module.codec.gives:
        raise UserError(
            f"model={cfg.model.name} with loss={type(recipe.loss).__name__}: the loss compares {compares}, but this "
            f"model's codec gives {module.codec.gives}; choose a loss for {module.codec.gives} or another model"
        )
    _check_output(module, cfg.model.name)
    try:
        recipe.optimizer(module.parameters())
    except (TypeError, ValueError) as error:
        raise UserError(f"optimizer: {error}") from error
    return module


def build_trainer(cfg: DictConfig) -> pl.Trainer:
    """The trainer with its callbacks and loggers; prints the precision that `auto` stands for."""
    _whole(cfg, "trainer.max_epochs", least=-1)
    precision, why = choose(cfg.trainer.precision, cfg.trainer.accelerator)
    print(f"precision: {precision} ({why})", flush=True)
    settings = OmegaConf.merge(cfg.trainer, {"precision": precision})
    trainer: pl.Trainer = _instantiate(
        settings,
        "trainer",
        callbacks=[_instantiate(c, f"callbacks.{name}") for name, c in cfg.callbacks.items() if c is not None],
        logger=[_instantiate(c, f"logger.{name}") for name, c in cfg.logger.items() if c is not None],
    )
    return trainer


def resume_path(cfg: DictConfig) -> str | None:
    """The checkpoint to go on from, if there is one.

    Raises:
        UserError: it is missing, or there is nothing to train and nothing to score.
    """
    if cfg.ckpt_path is None and not cfg.train:
        raise UserError("train=false: expected a checkpoint to score, found ckpt_path=null; set ckpt_path=PATH")
    if cfg.ckpt_path is not None and not Path(cfg.ckpt_path).is_file():
        raise UserError(f"ckpt_path={cfg.ckpt_path}: expected a checkpoint, found no such file")
    return None if cfg.ckpt_path is None else str(cfg.ckpt_path)


def load(checkpoint: str | Path) -> KeypointModule:
    """The net of a checkpoint, ready to predict; needs nothing but the file.

    Only classes of fkd, torch.nn, torch.optim and torchvision.models are built: a file may not name what it likes.

    Raises:
        UserError: the file is missing, unreadable or no checkpoint of fkd, names other classes, or holds other weights.
    """
    path = Path(checkpoint)
    if not path.is_file():
        raise UserError(f"ckpt={path}: expected a checkpoint, found no such file; give the path of a best.ckpt")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UserError(
            f"ckpt={path}: expected a checkpoint of fkd, found a file that is truncated or of another kind ({reason}); "
            "train again or give another file"
        ) from None
    if not isinstance(content, dict) or not {"config", "state_dict"} <= content.keys():
        raise UserError(f"ckpt={path}: expected a checkpoint of fkd with its config, found a file of another kind")
    config = content["config"]
    try:
        _check_targets([config["model"], config["crop"]], path)
        module = _module(config)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"ckpt={path}: expected the config of a model, found one that lacks or spoils {error}"
        ) from None
    if (points := config["model"]["net"].get("keypoints", len(module.schema))) != len(module.schema):
        raise UserError(
            f"ckpt={path}: expected a net for the {len(module.schema)} points of {module.schema.name}, found one for "
            f"{points}; give another checkpoint"
        )
    try:
        module.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"ckpt={path}: expected weights that fit its own config, found others ({reason})") from None
    return module.eval()


def device(name: str) -> torch.device:
    """A device that is there.

    Raises:
        UserError: torch does not know it, or this machine has none.
    """
    try:
        chosen = torch.device(name)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"device={name}: expected cpu or a device of this machine ({str(error).splitlines()[0]})"
        ) from None
    return chosen


def saved_scores(checkpoint: str | Path) -> dict[str, float]:
    """`epoch`, `val/loss` and `val/nme` of a checkpoint, as they were when it was written."""
    scores: dict[str, float] = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)["scores"]
    return scores


def hyperparameters(cfg: DictConfig, choices: Mapping[str, str]) -> dict[str, Any]:
    """What tells runs apart: the chosen option of each group, and the numbers people sweep over."""
    groups = ("model", "loss", "optimizer", "scheduler", "data", "crop", "augmentation")
    numbers = ("optimizer.lr", "data.batch_size", "crop.size", "trainer.max_epochs", "seed")
    return {group: choices[group] for group in groups} | {key: OmegaConf.select(cfg, key) for key in numbers}


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The config as dicts, lists and scalars, all interpolations resolved."""
    content = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def _module(config: Mapping[str, Any], recipe: Recipe | None = None) -> KeypointModule:
    return KeypointModule(
        net=_instantiate(config["model"]["net"], "model.net"),
        codec=_instantiate(config["model"]["codec"], "model.codec"),
        schema=IBUG68,
        size=config["crop"]["size"],
        channels=config["channels"],
        config=config,
        recipe=recipe,
    )


def _check_output(module: KeypointModule, name: str) -> None:
    """The net's answer to one picture must hold what the codec encodes for the schema's points."""
    training, points = module.training, torch.zeros(1, len(module.schema), 2)
    with torch.inference_mode():
        raw = module.eval().raw(torch.zeros(1, module.channels, module.size, module.size, dtype=torch.uint8))
    module.train(training)
    target = module.codec.encode(points)
    if raw.numel() != target.numel():
        raise UserError(
            f"model={name}: expected output of shape {tuple(target.shape)} for {len(module.schema)} points through "
            f"{type(module.codec).__name__}, found {tuple(raw.shape)}; mend its last layer or choose another codec"
        )


def _check_targets(node: Any, path: Path) -> None:
    """Refuses every `_target_` below `node` that is not a trusted class (or a torchvision model function)."""
    if isinstance(node, Mapping):
        if (name := node.get("_target_")) is not None and not _trusted(name):
            raise UserError(
                f"ckpt={path}: expected classes of {', '.join(_TRUSTED)} only, found _target_ {name!r}; "
                "do not open checkpoints from strangers, or move your model into fkd/models"
            )
        for child in node.values():
            _check_targets(child, path)
    elif isinstance(node, list | tuple):
        for child in node:
            _check_targets(child, path)


def _trusted(name: Any) -> bool:
    """Whether the name is a class at home in a trusted package; what a package has merely imported is not."""
    if not isinstance(name, str) or not _below(name, _TRUSTED):
        return False
    try:
        found = get_object(name)
    except Exception:
        return False
    home = getattr(found, "__module__", "")
    return _below(home, _TRUSTED) and (isinstance(found, type) or _below(home, ("torchvision.models",)))


def _below(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def _instantiate(config: Any, key: str, **arguments: Any) -> Any:
    """Hydra's instantiate; a mistake in the config is the user's and names its key."""
    try:
        return instantiate(config, _convert_="all", **arguments)
    except (InstantiationException, HydraException) as error:
        cause = error.__cause__ if error.__cause__ is not None else error
        if isinstance(cause, UserError):
            raise cause from None
        if isinstance(cause, TypeError | ValueError | ImportError | AttributeError | HydraException):
            raise UserError(f"{key}: {' '.join(str(cause).split())}") from error
        raise cause from error


def _whole(cfg: DictConfig, key: str, least: int) -> int:
    value = OmegaConf.select(cfg, key)
    if not isinstance(value, int) or value < least:
        raise UserError(f"{key}: expected a whole number from {least} on, found {value!r}")
    return value
