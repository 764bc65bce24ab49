"""A loss."""

from torch import Tensor, nn
from torch.nn import functional


class Huber(nn.Module):
    """Squared for errors below delta, absolute beyond.

    Args:
        delta: in the codec's unit, halves of the crop's width.
    """

    compares = "coordinates"  # so that it is refused for nets that give heatmaps

    def __init__(self, delta: float) -> None:
        super().__init__()
        self.delta = delta

    def forward(self, raw: Tensor, target: Tensor, visible: Tensor) -> Tensor:
        """(B, K, 2) predictions and targets, (B, K) whether a point has a label -> the mean over labelled points."""
        errors = functional.huber_loss(raw, target, reduction="none", delta=self.delta)
        errors = errors.where(visible[..., None], 0)  # the target of a point without a label may be NaN
        return errors.sum() / (2 * visible.sum()).clamp(min=1)
