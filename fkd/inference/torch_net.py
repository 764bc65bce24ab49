"""A trained module as the net of a predictor."""

import torch

from fkd.geometry import Window
from fkd.inference.metadata import Facts
from fkd.training.module import KeypointModule
from fkd.types import Image, Points


class TorchNet:
    """A `fkd.inference.predictor.Net` that runs in torch, on the module's device.

    Args:
        module: a trained net.
        window: of its crop plan.
    """

    def __init__(self, module: KeypointModule, window: Window) -> None:
        self.module, self.facts = module.eval(), facts_of(module, window)

    @torch.inference_mode()
    def __call__(self, crops: Image) -> Points:
        """(B, C, S, S) uint8 -> (B, K, 2) float32 crop pixels."""
        keypoints: Points = self.module(torch.from_numpy(crops).to(self.module.device)).cpu().numpy()
        return keypoints


def facts_of(module: KeypointModule, window: Window) -> Facts:
    """What prediction must know of a module with the window of its crop plan."""
    name, detector = module.config["model"]["name"], module.config["detector"]
    return Facts(name, module.schema, module.size, module.channels, window, module.shapes, detector)
