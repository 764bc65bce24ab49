"""From a checkpoint back to its net."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fkd import checkpoint
from fkd.errors import UserError
from fkd.evaluation import Candidate
from fkd.experiment.parts import build_crop, build_schema, instantiate
from fkd.inference import TorchNet
from fkd.module import KeypointModule, hashes_of
from fkd.recipe import Recipe
from fkd.shape import ShapeModel


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
        module = module_of(config)
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
    module.image_hashes = hashes_of(content)
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
    return Candidate(net, module.mean_shape.cpu().numpy(), module.subjects, module.image_hashes)


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


def module_of(config: Mapping[str, Any], recipe: Recipe | None = None) -> KeypointModule:
    """The module of a plain config; its net has been run once, so that what it gives is known to fit."""
    net = instantiate(config["model"]["net"], "model.net")
    if not isinstance(net, nn.Module):
        raise UserError(f"model.net: expected a torch.nn.Module, found {type(net).__name__}")
    module = KeypointModule(
        net=net,
        codec=instantiate(config["model"]["codec"], "model.codec"),
        schema=build_schema(config),
        size=config["crop"]["size"],
        channels=config["channels"],
        config=config,
        recipe=recipe,
    )
    _check_output(module, config["model"]["name"])
    return module


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
