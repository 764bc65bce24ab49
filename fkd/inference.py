"""A trained module as the net of a predictor."""

from collections.abc import Mapping
from typing import Any

import torch

from fkd.geometry import Window
from fkd.module import KeypointModule
from fkd.types import Image, Points


class TorchNet:
    """A `fkd.predictor.Net` that runs in torch, on the module's device.

    Args:
        module: a trained net.
        window: of its crop plan.
    """

    def __init__(self, module: KeypointModule, window: Window) -> None:
        self.module = module.eval()
        self.schema, self.size, self.channels = module.schema, module.size, module.channels
        self.window, self.shapes = window, module.shapes
        self.detector: Mapping[str, Any] = module.config["detector"]

    @torch.inference_mode()
    def __call__(self, crops: Image) -> Points:
        """(B, C, S, S) uint8 -> (B, K, 2) float32 crop pixels."""
        keypoints: Points = self.module(torch.from_numpy(crops).to(self.module.device)).cpu().numpy()
        return keypoints
