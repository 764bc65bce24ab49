"""From config to objects, and from a checkpoint back to a net: the one place that builds what a `_target_` names."""

import difflib
import inspect
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from fkd import checkpoint, losses, options, processes, resolvers, targets  # noqa: F401 (configs call the resolvers)
from fkd.data.crops import CropPlan
from fkd.data.datamodule import KeypointDataModule
from fkd.data.faces import Faces
from fkd.data.mix import beside
from fkd.data.overfit import OverfitDataModule, first_faces
from fkd.detect import Detector
from fkd.errors import UserError
from fkd.evaluation import BOXES, Candidate
from fkd.inference import TorchNet
from fkd.models.backbone import Backbone
from fkd.module import KeypointModule, Loss, Maps, ReadsMaps, Recipe, Teacher, within
from fkd.precision import choose, gpus
from fkd.recipe import check_labels, first_difference, plain
from fkd.schema import IBUG68, KeypointSchema, schema_of
from fkd.shape import ShapeModel

OBJECTIVES = ("val/loss", "val/nme", "test/nme")
"""What `optimized_metric` may name: the first two of the best epoch, the last with `test=true`."""

_CONF = Path(__file__).parents[1] / "conf"
_MONITORED = ("val/loss", "val/nme", "train/loss")
"""What callbacks may look at: each epoch has it."""


def check(cfg: DictConfig) -> None:
    """Looks at the keys that would only be missed after hours of training.

    Raises:
        UserError: naming the key.
    """
    options.whole(cfg, "seed", least=0)
    options.whole(cfg, "channels", least=1)
    if "name" not in cfg.model:
        raise UserError("model: expected a network with a name, found what all share; choose another option")
    options.whole(cfg, "crop.size", least=1)
    options.whole(cfg, "trainer.max_epochs", least=-1)
    if cfg.optimizer.get("lr") is not None:
        options.number(cfg, "optimizer.lr", least=0)
    if cfg.trainer.get("gradient_clip_val") is not None:
        options.number(cfg, "trainer.gradient_clip_val", least=0)
    if cfg.optimizer.get("fused") is not None:
        options.flag(cfg, "optimizer.fused")
    if cfg.optimized_metric not in OBJECTIVES or (cfg.optimized_metric == "test/nme" and not cfg.test):
        raise UserError(
            f"optimized_metric={cfg.optimized_metric}: expected one of {', '.join(OBJECTIVES)} (with test=true)"
        )
    if cfg.ckpt_path is None and not cfg.train:
        raise UserError("train=false: expected a checkpoint to score, found ckpt_path=null; set ckpt_path=PATH")


def build_faces(cfg: DictConfig) -> Faces:
    """The source of `data`, split and decoded, and those that `mix` adds to its training split."""
    faces = _source(cfg.data.source, "data.source")
    if cfg.get("mix") is not None:
        faces = beside(faces, _source(cfg.mix.source, "mix.source"))
    if faces.table.schema != (schema := _schema(cfg)):
        raise UserError(
            f"data={faces.name}: expected faces with the points of schema={schema.name}, found those of "
            f"{faces.table.schema.name}; choose other data, or train with schema={faces.table.schema.name}"
        )
    if cfg.get("overfit") is None:
        return faces
    return first_faces(faces, options.whole(cfg, "overfit.faces", least=2))


def _source(config: DictConfig, key: str) -> Faces:
    source = _instantiate(config, key, _partial_=True)  # what fails inside of it is not the config
    try:
        inspect.signature(source).bind()
    except (TypeError, ValueError) as error:
        raise UserError(f"{key}: {error}") from error
    faces: Faces = source()
    return faces


def build_data(cfg: DictConfig, faces: Faces) -> KeypointDataModule:
    """Loaders over the faces."""
    settings = {
        "faces": faces,
        "crop": build_crop(cfg.crop),
        "augmentation": _instantiate(cfg.augmentation, "augmentation"),
        "batch_size": options.whole(cfg, "data.batch_size", least=1),
        "num_workers": processes.loader_workers(cfg.data.num_workers, _training_gpus(cfg)),
        "seed": cfg.seed,
    }
    if cfg.overfit is None:
        return KeypointDataModule(**settings)
    return OverfitDataModule(options.whole(cfg, "overfit.passes", least=1), **settings)


def _training_gpus(cfg: DictConfig) -> int:
    """Those that `trainer.devices` takes of this machine's."""
    found, asked = gpus(cfg.trainer.accelerator), cfg.trainer.devices
    return min(found, asked) if isinstance(asked, int) and asked > 0 else found


def build_crop(config: Mapping[str, Any] | DictConfig) -> CropPlan:
    """The crop plan of a `crop` group, be it composed now or kept in a checkpoint."""
    plan: CropPlan = _instantiate(config["plan"], "crop.plan")
    return plan


def build_detector(cfg: DictConfig) -> Detector:
    """The detector that finds faces with `boxes=detector` and says how boxes spread.

    Raises:
        UserError: `boxes` is none of the choices.
    """
    if "boxes" in cfg and cfg.boxes not in BOXES:
        raise UserError(f"boxes={cfg.boxes}: expected one of {', '.join(BOXES)}")
    detector: Detector = _instantiate(cfg.detector, "detector")
    return detector


_MEASURED = ("haar", "whole_image", "yunet")
"""Options of conf/detector whose boxes were measured about iBUG's points."""


def remarks_on_boxes(detector: str | None, schema: KeypointSchema) -> tuple[str, ...]:
    """What must be known of a chosen detector whose boxes were measured about other points."""
    if schema == IBUG68 or detector not in _MEASURED:
        return ()
    return (
        f"detector={detector} was measured about iBUG's 68 points, those of schema={schema.name} lie otherwise in its "
        "boxes: measure that with scripts/calibrate.py output=conf/detector/mine.yaml, then train with detector=mine",
    )


def build_module(cfg: DictConfig) -> KeypointModule:
    """A net that trains.

    Raises:
        UserError: the loss does not fit the model's codec, the net's output does not fit the schema, or its checkpoint
            could not be loaded again.
    """
    config = plain(cfg)
    for group in ("model", "crop"):
        checkpoint.check_trusted(config[group], f"{group}={cfg[group].name}")
    recipe = Recipe(
        loss=_instantiate(cfg.loss, "loss"),
        optimizer=_instantiate(cfg.optimizer, "optimizer"),
        schedule=None if cfg.scheduler is None else _instantiate(cfg.scheduler, "scheduler"),
        teacher=None if cfg.get("distill") is None else _teacher(cfg),
        maps=None if cfg.model.get("maps") is None else _maps(cfg),
        frozen=config["model"].get("frozen") or (),
        lr_factors=config["model"].get("lr_factors") or {},
    )
    module = _module(config, recipe)
    if recipe.teacher is not None:
        module.subjects = recipe.teacher.module.subjects
    _check_loss(cfg, recipe.loss, module.codec.gives)
    if recipe.maps is not None and not isinstance(module.net, ReadsMaps):
        raise UserError(f"model.maps: expected null, since model={cfg.model.name} reads no coordinates off maps")
    for key, parts in (("frozen", recipe.frozen), ("lr_factors", recipe.lr_factors)):
        _check_parts(module.net, f"model.{key}", parts)
    names = [name for name, _ in module.net.named_parameters()]
    if names and all(any(within(name, part) for part in recipe.frozen) for name in names):
        raise UserError("model.frozen: expected parts that leave something to learn, found all of the net")
    if cfg.data.batch_size == 1 and any(isinstance(layer, _BatchNorm) for layer in module.net.modules()):
        raise UserError(
            f"data.batch_size=1: model={cfg.model.name} normalises over the batch; expected at least 2 faces"
        )
    try:
        recipe.optimizer(module.parameters())
    except (TypeError, ValueError) as error:
        raise UserError(f"optimizer: {error} (optimizer.lr={cfg.optimizer.get('lr')!r})") from error
    return module


def _check_loss(cfg: DictConfig, loss: Loss, gives: str) -> None:
    """What the loss compares must be what the model's codec gives; the error says what would fit, by name."""
    if (compares := getattr(loss, "compares", gives)) == gives:
        return
    model, options_of_class = cfg.model.name, dict[type, str]()
    for path in sorted((_CONF / "loss").glob("*.yaml")):
        if found := re.search(r"^_target_: fkd\.losses\.(\w+)", path.read_text(), re.MULTILINE):
            options_of_class[getattr(losses, found[1])] = path.stem
    fitting = [f"loss={name}" for kind, name in options_of_class.items() if getattr(kind, "compares", "") == gives]
    if (_CONF / "experiment" / "face" / f"{model}.yaml").is_file():
        fitting.append(f"experiment=face/{model}")
    raise UserError(
        f"model={model} with loss={options_of_class.get(type(loss), type(loss).__name__)}: the loss compares "
        f"{compares}, but this model's codec gives {gives}; choose {', '.join(fitting)} or another model"
    )


def _check_parts(net: nn.Module, key: str, parts: Sequence[str] | Mapping[str, float]) -> None:
    known = [name for name, _ in net.named_modules() if name]
    for part in parts:
        if part not in known:
            near = difflib.get_close_matches(str(part), known, n=3, cutoff=0.5)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            whole = ", ".join(name for name, _ in net.named_children())
            raise UserError(f"{key}: expected parts of the net ({whole}, or parts of these), found {part!r}{hint}")
    for part, factor in parts.items() if isinstance(parts, Mapping) else ():
        if not (isinstance(factor, int | float) and factor > 0):
            raise UserError(f"{key}.{part}: expected a factor above 0, found {factor!r}; model.frozen stops a part")


def _maps(cfg: DictConfig) -> Maps:
    weight = options.number(cfg, "model.maps.weight", least=0)
    return Maps(weight, options.number(cfg, "model.maps.sigma", least=0.1))


def _teacher(cfg: DictConfig) -> Teacher:
    if (weight := options.number(cfg, "distill.weight", least=0)) > 1:
        raise UserError(f"distill.weight: expected a share from 0 to 1, found {weight:g}")
    seen = ("crop.name", "crop.plan._target_", "crop.plan.scale")  # the same windows, of any size
    teacher = _fitting(cfg, "distill.teacher", ("schema", "channels", *seen))
    check_labels(cfg, teacher.config)
    return Teacher(teacher.requires_grad_(False), weight)


def begin(module: KeypointModule, cfg: DictConfig) -> None:
    """Gives a new module's net what it is to begin with: the checkpoint `weights`, or what `model.pretrained` names.

    With `weights`, as with a teacher, come the people whom that net was trained on.

    Raises:
        UserError: the file is no checkpoint of fkd or of another net, or weights cannot be downloaded.
    """
    if cfg.weights is not None:
        other = _fitting(cfg, "weights", ("schema", "channels", "model.name", "model.net", "model.codec"))
        module.net.load_state_dict(other.net.state_dict())
        module.subjects = sorted({*module.subjects, *other.subjects})
    elif cfg.model.get("pretrained") is not None and options.flag(cfg, "model.pretrained"):
        if not isinstance(module.net, Backbone):
            raise UserError(f"model.pretrained=true: expected false, since model={cfg.model.name} has no such weights")
        module.net.load_pretrained()


def _fitting(cfg: DictConfig, key: str, parts: Sequence[str]) -> KeypointModule:
    """The net of a checkpoint that a key of the config names, of whose config some parts are as they are now."""
    path = options.path(cfg, key)
    module = load(path, key)
    if (difference := first_difference(module.config, cfg, parts)) is not None:
        part, then, now = difference
        raise UserError(f"{key}={path}: expected a net with {part}={now}, found {then}; give another file or {part}")
    if processes.is_first():
        epoch, nme = (module.scores.get(name) for name in ("epoch", "val/nme"))
        reached = "its val/nme is not known" if nme is None else f"epoch {epoch}, val/nme {nme:.2f} %"
        print(f"{key}: {path} (data={module.config['data']['name']}, {reached})", flush=True)
    return module


def build_trainer(cfg: DictConfig, sweep: bool) -> pl.Trainer:
    """The trainer with its callbacks and loggers; prints the precision that `auto` stands for.

    Raises:
        UserError: several processes in a sweep; each would start the whole sweep again.
    """
    precision, why = choose(cfg.trainer.precision, cfg.trainer.accelerator)
    print(f"precision: {precision} ({why})", flush=True)
    devices, cores = cfg.trainer.devices, max(os.cpu_count() or 1, 2)  # two, for trying it, everywhere
    if cfg.trainer.accelerator == "cpu" and isinstance(devices, int) and devices > cores:
        raise UserError(f"trainer.devices={devices}: expected at most one process for each of {cores} cores")
    callbacks = {name: _instantiate(c, f"callbacks.{name}") for name, c in cfg.callbacks.items() if c is not None}
    for name, callback in callbacks.items():
        if (monitor := getattr(callback, "monitor", None)) not in (None, *_MONITORED):
            raise UserError(f"callbacks.{name}.monitor={monitor}: expected one of {', '.join(_MONITORED)}")
    trainer: pl.Trainer = _instantiate(
        OmegaConf.merge(cfg.trainer, {"precision": precision}),
        "trainer",
        callbacks=list(callbacks.values()),
        logger=[_instantiate(c, f"logger.{name}") for name, c in cfg.logger.items() if c is not None],
    )
    if sweep and trainer.world_size > 1 and not _started_elsewhere(trainer):
        raise UserError(
            f"trainer: expected one process in a sweep (-m), found {trainer.world_size}, each of which would start the "
            f"sweep again; set trainer.devices=1, or let the cluster start them: hydra/launcher=submitit_slurm "
            f"hydra.launcher.tasks_per_node={trainer.num_devices} trainer.devices={trainer.num_devices}"
        )
    return trainer


def _started_elsewhere(trainer: pl.Trainer) -> bool:
    """Whether the processes of this training were started by a cluster, not by Lightning."""
    environment = getattr(trainer.strategy, "cluster_environment", None)
    return environment is not None and environment.creates_processes_externally


def best_checkpoint(trainer: pl.Trainer) -> str:
    """The file of the epoch of the lowest `val/loss`.

    Raises:
        UserError: there was no such epoch.
    """
    callbacks = (c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint) and c.monitor == "val/loss")
    path = next((c.best_model_path for c in callbacks), "")
    if not path:
        raise UserError("trainer.max_epochs: no epoch was trained and validated, so there is no net to score")
    return path


def load(path: str | Path, key: str = "ckpt") -> KeypointModule:
    """The net of a checkpoint, ready to predict; needs nothing but the file.

    Raises:
        UserError: the file is missing, unreadable or no checkpoint of fkd, names classes that are not trusted (see
            `fkd.checkpoint.check_trusted`), or its parts do not fit each other. `key` is what the line calls it by.
    """
    content = checkpoint.read(path, key)
    config = content["config"]
    try:
        checkpoint.check_trusted([config["model"], config["crop"]], f"{key}={path}")
        module = _module(config)
        build_crop(config["crop"])
        config["data"]["name"], config["detector"]["_target_"]  # asked for later
        if (shapes := content.get("shapes")) is not None:  # a net that was trained without knows no plausible shapes
            module.shapes = ShapeModel.from_dict(shapes, len(module.schema))
        module.load_state_dict(content["state_dict"])
    except UserError as error:
        raise UserError(str(error) if str(path) in str(error) else f"{key}={path}: {error}") from error
    except Exception as error:  # whatever fails, the file's content made it fail
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{key}={path}: expected a config and fitting weights, found others ({type(error).__name__}, {reason}); "
            "train again or give another file"
        ) from error
    module.subjects, module.scores = content["subjects"], content["scores"]
    return module.eval()


def load_net(path: str | Path, device_name: str, key: str = "ckpt") -> TorchNet:
    """The net of a checkpoint for a predictor.

    Raises:
        UserError: as `load`, or there is no such device.
    """
    module = load(path, key)
    return TorchNet(module.to(device(device_name)), build_crop(module.config["crop"]).window)


def candidate(module: KeypointModule) -> Candidate:
    """A net that knows what it was trained on, for scores."""
    net = TorchNet(module, build_crop(module.config["crop"]).window)
    return Candidate(net, module.mean_shape.cpu().numpy(), module.subjects)


def device(name: str) -> torch.device:
    """A device that is there; "auto" is a GPU if there is one.

    Raises:
        UserError: torch does not know it, or this machine has none.
    """
    try:
        chosen = torch.device("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else torch.device(name)
        torch.zeros(1, device=chosen).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"device={name}: expected auto, cpu or a device of this machine ({reason})") from None
    return chosen


def _module(config: Mapping[str, Any], recipe: Recipe | None = None) -> KeypointModule:
    """The module of a plain config; its net has been run once, so that what it gives is known to fit."""
    net = _instantiate(config["model"]["net"], "model.net")
    if not isinstance(net, nn.Module):
        raise UserError(f"model.net: expected a torch.nn.Module, found {type(net).__name__}")
    module = KeypointModule(
        net=net,
        codec=_instantiate(config["model"]["codec"], "model.codec"),
        schema=_schema(config),
        size=config["crop"]["size"],
        channels=config["channels"],
        config=config,
        recipe=recipe,
    )
    _check_output(module, config["model"]["name"])
    return module


def _schema(config: Mapping[str, Any] | DictConfig) -> KeypointSchema:
    content = config["schema"]
    try:
        return schema_of(OmegaConf.to_container(content) if isinstance(content, DictConfig) else content)  # type: ignore[arg-type]
    except ValueError as error:
        raise UserError(str(error)) from error


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


def _instantiate(config: Any, key: str, **arguments: Any) -> Any:
    """`fkd.targets.build`, of what Lightning refuses as well."""
    return targets.build(config, key, refusals=(MisconfigurationException,), **arguments)
