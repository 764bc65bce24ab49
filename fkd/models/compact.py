"""A small hourglass that computes coordinates from its heatmaps."""

from typing import Annotated

import torch
from torch import Tensor, nn

from fkd.errors import UserError
from fkd.io.ranges import Channels, Keypoints, Size, Unit, Width, Within
from fkd.models.hourglass import Blocks, Hourglass, Widths


class Compact(Hourglass):
    """The hourglass's heatmaps and their soft-argmax. Under autocast the coordinates stay float32.

    Args:
        channels, size, keypoints: as of `Hourglass`; the output is (B, 2K), x0, y0, x1, y1, ...
        stem, widths, blocks: as of `Hourglass`.
        center, unit: of the output, in pixels of the image: (k - center) / unit, as the codec says.

    Raises:
        UserError: the size is not a multiple of 16, or the unit not above 0.
    """

    def __init__(
        self,
        channels: Channels,
        size: Size,
        keypoints: Keypoints,
        stem: Width,
        widths: Widths,
        blocks: Blocks,
        center: Annotated[float, Within(-1e5, 1e5)],
        unit: Unit,
    ) -> None:
        if not unit > 0:
            raise UserError(f"model.net.unit={unit}: expected pixels above 0")
        super().__init__(channels, size, keypoints, stem, widths, blocks)  # no bias of the maps: softmax ignores it
        cells = 4 * torch.arange(size // 4) + 1.5  # the cells' centres in pixels of the image
        self.coordinates = SoftArgmax((cells - center) / unit, keypoints)

    def forward(self, image: Tensor) -> Tensor:
        return self.with_heatmaps(image)[0]

    def with_heatmaps(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The output and the heatmaps, (B, K, size / 4, size / 4), before their softmax."""
        maps = self.features(image)
        return self.coordinates(maps), maps


class SoftArgmax(nn.Module):
    """Centre of mass of each heatmap: (B, K, cells, cells) -> (B, 2K) in float32, in the unit of the grid.

    The expectation over a softmax ("integral regression", Sun et al., "Integral Human Pose Regression", ECCV 2018,
    section 2) cannot leave the grid, but points of a face can leave the crop. So a linear layer, initially zero,
    corrects each coordinate by all of them: e.g. the visible half of a jaw tells the place of the other half.
    """

    places: Tensor

    def __init__(self, grid: Tensor, keypoints: int) -> None:
        super().__init__()
        places = torch.cartesian_prod(grid, grid).flip(1)  # (cells * cells, 2): x and y of every cell
        self.register_buffer("places", places, persistent=False)
        self.correction = nn.Linear(2 * keypoints, 2 * keypoints)
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)

    def forward(self, maps: Tensor) -> Tensor:
        device = "cpu" if maps.is_meta else maps.device.type  # autocast knows no meta device
        with torch.autocast(device, enabled=False):  # bfloat16 has steps of a fifth of a pixel at 96 px
            points = (maps.float().flatten(2).softmax(dim=2) @ self.places).flatten(1)
            corrected: Tensor = points + self.correction(points)
        return corrected
