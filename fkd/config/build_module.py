"""The net of a config with its training module."""

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from fkd import checkpoint, detect, losses
from fkd.config import CONF, checks
from fkd.config.build_parts import build_schema
from fkd.config.initial_weights import fitting_net, starts_at_mean_shape
from fkd.config.instantiate import check_arguments, instantiate
from fkd.config.project import config_files
from fkd.errors import UserError, did_you_mean
from fkd.models.keypoint_net import KeypointNet, ReadsHeatmaps
from fkd.training.module import KeypointModule
from fkd.training.objective import HeatmapLoss, Loss, Objective, Teacher, within
from fkd.training.runs.compatibility import check_labels, plain

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def build_module(cfg: DictConfig) -> KeypointModule:
    """The training module of a config.

    Raises:
        UserError: the loss does not fit the model's codec, the net's output does not fit the schema, or its checkpoint
            could not be loaded again.
    """
    config = plain(cfg)
    checkpoint.check_trusted(config["model"], f"model={cfg.model.name}")
    checkpoint.check_trusted(config["crop"]["plan"], "crop.plan")
    detect.check(config["detector"])
    heatmap_loss = None
    if cfg.model.get("heatmaps") is not None:
        weight = checks.number(cfg, "model.heatmaps.weight", least=0)
        heatmap_loss = HeatmapLoss(weight, checks.number(cfg, "model.heatmaps.sigma", least=0.1))
    objective = Objective(
        loss=instantiate(cfg.loss, "loss"),
        optimizer=instantiate(_optimizer(cfg), "optimizer"),
        schedule=None if cfg.scheduler is None else instantiate(cfg.scheduler, "scheduler"),
        teacher=None if cfg.get("distill") is None else _teacher(cfg),
        heatmap_loss=heatmap_loss,
        frozen=config["model"].get("frozen") or (),
        lr_factors=config["model"].get("lr_factors") or {},
    )
    forward = getattr(objective.loss, "forward", objective.loss)
    try:
        inspect.signature(forward).bind(*("raw", "target", "visible"))
    except TypeError:
        raise UserError(
            f"loss: expected forward(raw, target, visible) -> mean loss, found forward{inspect.signature(forward)}; "
            "the third says which points have labels, (B, K)"
        ) from None
    model = _model(config)
    module = KeypointModule(model, objective, config)
    if objective.teacher is not None:
        module.add_training(objective.teacher.subjects, objective.teacher.image_hashes)
    _check_loss(cfg, objective.loss, model.codec.gives)
    _check_value(objective.loss, model)
    if objective.heatmap_loss is not None and not isinstance(model.net, ReadsHeatmaps):
        raise UserError(f"model.heatmaps: expected null, since model={cfg.model.name} has no heatmaps to train")
    for key, parts in (("frozen", objective.frozen), ("lr_factors", objective.lr_factors)):
        _check_parts(model.net, f"model.{key}", parts)
    if starts_at_mean_shape(cfg) and model.output_layer() is None:
        raise UserError(
            f"model.starts_at_mean_shape=true: expected false, since model={cfg.model.name} does not end in a dense "
            "layer that gives coordinates"
        )
    names = [name for name, _ in model.net.named_parameters()]
    if names and all(any(within(name, part) for part in objective.frozen) for name in names):
        raise UserError("model.frozen: expected parts that leave something to learn, found all of the net")
    if cfg.data.batch_size == 1 and any(isinstance(layer, _BATCH_NORMS) for layer in model.net.modules()):
        raise UserError(
            f"data.batch_size=1: model={cfg.model.name} normalises over the batch; expected at least 2 faces"
        )
    try:
        objective.optimizer(module.parameters())
    except (TypeError, ValueError) as error:
        raise UserError(f"optimizer: {error} (optimizer.lr={cfg.optimizer.get('lr')!r})") from error
    return module


def _model(config: Mapping[str, Any]) -> KeypointNet:
    """The net of a plain config; runs it once to check its output."""
    check_arguments(config["model"])
    net = instantiate(config["model"]["net"], "model.net")
    if not isinstance(net, nn.Module):
        raise UserError(f"model.net: expected a torch.nn.Module, found {type(net).__name__}")
    codec = instantiate(config["model"]["codec"], "model.codec")
    model = KeypointNet(net, codec, build_schema(config), config["crop"]["size"], config["channels"])
    model.check_output(config["model"]["name"])
    return model


def _optimizer(cfg: DictConfig) -> DictConfig:
    """The optimizer's config; not fused with clipped float16 gradients, which it would unscale only after clipping."""
    clipped_float16 = str(cfg.trainer.precision) in ("16", "16-mixed") and cfg.trainer.get("gradient_clip_val")
    config: DictConfig = cfg.optimizer
    if clipped_float16 and config.get("fused"):
        config = OmegaConf.merge(config, {"fused": False})  # type: ignore[assignment]
    return config


def _check_loss(cfg: DictConfig, loss: Loss, gives: str) -> None:
    """Check that the loss compares what the model's codec gives; the error names losses that fit."""
    if (compares := getattr(loss, "compares", gives)) == gives:
        return
    model, options_of_class = cfg.model.name, dict[type, str]()
    for name, path in config_files("loss"):
        if found := re.search(r"^_target_: fkd\.losses\.(\w+)", path.read_text(), re.MULTILINE):
            options_of_class[getattr(losses, found[1])] = name
    fitting = [f"loss={name}" for kind, name in options_of_class.items() if getattr(kind, "compares", "") == gives]
    if (CONF / "experiment" / "face" / f"{model}.yaml").is_file():
        fitting.append(f"experiment=face/{model}")
    raise UserError(
        f"model={model} with loss={options_of_class.get(type(loss), type(loss).__name__)}: the loss compares "
        f"{compares}, but this model's codec gives {gives}; choose {', '.join(fitting)} or another model"
    )


def _check_value(loss: Loss, model: KeypointNet) -> None:
    """Check on two faces that the loss is one number that the net can learn from."""
    target = model.codec.encode(torch.full((2, len(model.schema), 2), model.size / 2))
    raw, visible = torch.zeros_like(target, requires_grad=True), torch.ones(2, len(model.schema), dtype=torch.bool)
    try:
        value: Any = loss(raw, target, visible)
    except Exception as error:
        shapes = f"raw and target {tuple(target.shape)}, visible {tuple(visible.shape)}"
        error.add_note(f"loss: its forward failed on tensors of shapes {shapes}")
        raise
    if not isinstance(value, Tensor) or value.numel() != 1:
        found = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise UserError(f"loss: expected one number, a mean over all labelled points of the batch, found {found}")
    if not value.requires_grad:
        raise UserError("loss: expected a value with a gradient, found one without; compute it with torch from raw")


def _check_parts(net: nn.Module, key: str, parts: Sequence[str] | Mapping[str, float]) -> None:
    known = [name for name, _ in net.named_modules() if name]
    for part in parts:
        if part not in known:
            hint = did_you_mean(str(part), known)
            whole = ", ".join(name for name, _ in net.named_children())
            raise UserError(
                f"{key}: expected parts of the net ({whole}, or parts of these), found {part!r}{hint and f'; {hint}'}"
            )
    for part, factor in parts.items() if isinstance(parts, Mapping) else ():
        if not (isinstance(factor, int | float) and factor > 0):
            raise UserError(f"{key}.{part}: expected a factor above 0, found {factor!r}; model.frozen stops a part")


def _teacher(cfg: DictConfig) -> Teacher:
    if (weight := checks.number(cfg, "distill.weight", least=0)) > 1:
        raise UserError(f"distill.weight: expected a share from 0 to 1, found {weight:g}")
    seen = ("crop.name", "crop.plan._target_", "crop.plan.scale")  # the same windows, of any size
    teacher = fitting_net(cfg, "distill.teacher", ("schema", "channels", *seen))
    check_labels(cfg, teacher.config)
    return Teacher(
        teacher.model.requires_grad_(False), teacher.model.size, weight, teacher.subjects, teacher.image_hashes
    )
