"""Keypoints that a net finds on faces with known boxes, for evaluation and the dataset checks."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fkd.data.cache import Images
from fkd.data.split import Rows
from fkd.geometry import channels_first, crop_images, invert, transform
from fkd.inference.metadata import Metadata
from fkd.io.images import in_channels
from fkd.terminal import progress
from fkd.types import Image, PerPoint, Points


def crops_of(images: Images, numbers: Rows, matrices: npt.NDArray[np.floating], metadata: Metadata) -> Image:
    """(N, C, S, S) crops for a net, from the images of these numbers (N,) by matrices (N, 2, 3)."""
    photos = (in_channels(images[number], metadata.channels) for number in numbers.tolist())  # one at a time
    return channels_first(crop_images(photos, matrices, metadata.size))


def keypoints_of(
    answer: Callable[[Image], tuple[Points, PerPoint | None]],
    images: Images,
    numbers: Rows,
    matrices: npt.NDArray[np.floating],
    metadata: Metadata,
    *,
    batch_size: int,
    title: str,
) -> tuple[Points, PerPoint | None]:
    """(N, K, 2) keypoints in photo pixels, and (N, K) their spread as of `answer`, with a progress bar.

    Args:
        answer: crops (B, C, S, S) -> keypoints (B, K, 2) in crop pixels, and what it gives of their spread (B, K).
        images: decoded images.
        numbers: (N,) the image of each face.
        matrices: (N, 2, 3), photo pixels -> crop pixels.
        metadata: of the net.
        batch_size: crops in one call.
        title: text before the bar.
    """
    found, spreads = [], []
    with progress(title, len(numbers), transient=True) as advance:
        for rows in np.split(np.arange(len(numbers)), range(batch_size, len(numbers), batch_size)):
            crops = crops_of(images, numbers[rows], matrices[rows], metadata)
            keypoints, spread = answer(crops)
            found.append(transform(keypoints, invert(matrices[rows])))
            if spread is not None:
                spreads.append(spread)
            advance(len(rows))
    return np.concatenate(found), np.concatenate(spreads) if spreads else None
