"""Nets that run in torch, loaded from a checkpoint without Hydra and Lightning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fkd import checkpoint
from fkd.errors import UserError
from fkd.inference.metadata import Metadata
from fkd.inference.without_memory import WithoutMemory, with_weights
from fkd.io.ranges import Channels, Size, check
from fkd.models.error_model import ErrorModel
from fkd.models.keypoint_net import KeypointNet
from fkd.models.visibility_model import VisibilityModel
from fkd.schema import schema_of
from fkd.shape_model import ShapeModel
from fkd.types import UNKNOWN, Hashes, Image, PerPoint, Points


class TorchNet:
    """A `fkd.inference.predictor.Net` that runs in torch, on the device of its weights.

    Args:
        model: a trained net.
        metadata: of the net.
        config: plain config of its training.
        subjects: the subjects it was trained on.
        image_hashes: of the images it was trained on.
        scores: of its best epoch: epoch, val/loss, val/nme.
    """

    def __init__(
        self,
        model: KeypointNet,
        metadata: Metadata,
        config: Mapping[str, Any] | None = None,
        subjects: Sequence[str] = (),
        scores: Mapping[str, float] | None = None,
        image_hashes: Hashes = UNKNOWN,
    ) -> None:
        self.model, self.metadata, self.config = model.eval(), metadata, config or {}
        self.subjects, self.scores, self.image_hashes = subjects, scores or {}, image_hashes

    @property
    def has_spread(self) -> bool:
        """Whether the net gives the spread of each point."""
        return self.model.has_spread

    @torch.inference_mode()
    def __call__(self, crops: Image) -> Points:
        """(B, C, S, S) uint8 -> (B, K, 2) float32 crop pixels."""
        keypoints: Points = self.model(torch.from_numpy(crops).to(self.model.mean_shape.device)).cpu().numpy()
        return keypoints

    @torch.inference_mode()
    def with_spread(self, crops: Image) -> tuple[Points, PerPoint | None]:
        """The keypoints, and the spread of each, (B, K) float32 crop pixels, if the net `has_spread`."""
        keypoints, spread = self.model.with_spread(torch.from_numpy(crops).to(self.model.mean_shape.device))
        return keypoints.cpu().numpy(), None if spread is None else spread.cpu().numpy()


def load_net(path: str | Path, device_name: str = "cpu", key: str = "ckpt") -> TorchNet:
    """The net of a checkpoint; needs only the file.

    Args:
        path: a checkpoint of fkd (.ckpt, .safetensors).
        device_name: "auto" (a GPU if there is one), "cpu", "cuda", ...
        key: config key of the file, for messages.

    Raises:
        UserError: the file is missing, unreadable or no checkpoint of fkd, names classes that are not trusted (see
            `fkd.checkpoint.check_trusted`) or parts that do not fit, or there is no such device.
    """
    content = checkpoint.read(path, key)
    device = device_of(device_name)
    try:
        net = _net_of(content, f"{key}={path}")
    except UserError as error:
        raise UserError(str(error) if str(path) in str(error) else f"{key}={path}: {error}") from error
    except Exception as error:  # caused by the file's content
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{key}={path}: expected a config and fitting weights, found others ({type(error).__name__}, {reason}); "
            "train again or give another file"
        ) from error
    net.model.to(device)
    return net


def _net_of(content: Mapping[str, Any], where: str) -> TorchNet:
    """The net of a checkpoint's content."""
    config, shapes, weights = content["config"], content.get("shapes"), content["state_dict"]
    checkpoint.check_trusted([config["model"], config["crop"]], where)
    if checkpoint.names_own_classes(config["model"]):  # they are as trusted as the user's other code
        model = _model_of(config)
        model.load_state_dict(weights)
    else:
        with WithoutMemory():
            model = _model_of(config)
        with_weights(model, weights, config["model"]["name"])
    model.check_output(config["model"]["name"])
    metadata = Metadata(
        model=config["model"]["name"],
        schema=model.schema,
        size=model.size,
        channels=model.channels,
        window=checkpoint.build(config["crop"]["plan"]).window,
        shapes=None if shapes is None else ShapeModel.from_dict(shapes, len(model.schema)),
        detector=config["detector"],
        error_model=ErrorModel.from_dict(content.get("error_model"), len(model.schema), model.has_spread),
        visibility_model=VisibilityModel.from_dict(
            content.get("visibility_model"), len(model.schema), model.has_spread
        ),
    )
    config["data"]["name"], config["detector"]["_target_"]  # raises KeyError now rather than later
    return TorchNet(model, metadata, config, content["subjects"], content["scores"], checkpoint.hashes_of(content))


def _model_of(config: Mapping[str, Any]) -> KeypointNet:
    """The net of a checkpoint's config, before it has its weights."""
    check(config["crop"]["size"], Size, "crop.size")
    check(config["channels"], Channels, "channels")
    if config["channels"] == 2:
        raise UserError("channels: expected 1 (grey) or 3 (RGB), found 2")
    check(config["model"]["name"], str, "model.name")
    net = checkpoint.build(config["model"]["net"])
    if not isinstance(net, nn.Module):
        raise UserError(f"model.net: expected a torch.nn.Module, found {type(net).__name__}")
    codec = checkpoint.build(config["model"]["codec"])
    return KeypointNet(net, codec, schema_of(config["schema"]), config["crop"]["size"], config["channels"])


def device_of(name: str) -> torch.device:
    """A device of this machine; "auto" is a GPU if there is one.

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
