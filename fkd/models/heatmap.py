"""A small hourglass that gives heatmaps."""

from torch import Tensor

from fkd.models.hourglass import Hourglass


class Heatmap(Hourglass):
    """One heatmap for each point, (B, K, size / 4, size / 4), for a codec of heatmaps with a stride of 4."""

    def forward(self, image: Tensor) -> Tensor:
        return self.features(image)
