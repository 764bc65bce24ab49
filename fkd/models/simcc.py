"""A small hourglass that classifies the column and row of each point."""

from typing import Annotated

import torch
from torch import Tensor, nn

from fkd.io.ranges import Channels, Keypoints, Size, Width, Within
from fkd.models.hourglass import Blocks, Hourglass, Widths


class SimCC(Hourglass):
    """Each point's map, flattened, through one linear layer for x and one for y that all points share.

    Li et al., "SimCC", ECCV 2022, section 3.1 and figure 2.

    Args:
        channels, size, keypoints: as of `Hourglass`; the output is (B, K, 2, bins).
        stem, widths, blocks: as of `Hourglass`.
        split: bins to a pixel of the image, as of the codec.

    Raises:
        UserError: the size is not a multiple of 16.
    """

    def __init__(
        self,
        channels: Channels,
        size: Size,
        keypoints: Keypoints,
        stem: Width,
        widths: Widths,
        blocks: Blocks,
        split: Annotated[float, Within(0, 100)],
    ) -> None:
        super().__init__(channels, size, keypoints, stem, widths, blocks)
        cells, bins = (size // 4) ** 2, int(size * split)
        self.x, self.y = nn.Linear(cells, bins), nn.Linear(cells, bins)

    def forward(self, image: Tensor) -> Tensor:
        maps = self.features(image).flatten(2)
        return torch.stack([self.x(maps), self.y(maps)], dim=2)
