"""Augmentation of crops: a list of albumentations transforms, and mirroring that knows left from right.

The only module that imports albumentations.
"""

import os
import random
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # or it asks the network for a newer version at import
import albumentations

from fkd.errors import UserError
from fkd.schema import KeypointSchema
from fkd.types import Image, Points

_MIRRORS = ("HorizontalFlip", "VerticalFlip", "Transpose", "D4", "SquareSymmetry")


class Augmentation:
    """Changes a crop and its points together, all points kept and in order.

    Args:
        transforms: albumentations transforms, applied in turn.
        flip: probability that the crop is mirrored and left and right points change places.
        schema: says which points are each other's mirror image.

    Raises:
        UserError: a transform mirrors by itself, so that left points would be called right.
    """

    def __init__(
        self, transforms: Sequence[albumentations.BasicTransform], flip: float, schema: KeypointSchema
    ) -> None:
        if not (isinstance(flip, int | float) and 0 <= flip <= 1):
            raise UserError(f"augmentation.flip: expected a probability from 0 to 1, found {flip!r}")
        for transform in _with_children(transforms):
            if (name := type(transform).__name__) in _MIRRORS:
                raise UserError(
                    f"augmentation: {name} mirrors faces without swapping left and right points; "
                    "use augmentation.flip=0.5 instead"
                )
        points = albumentations.KeypointParams(format="xy", remove_invisible=False)
        self._compose = albumentations.Compose(list(transforms), keypoint_params=points) if transforms else None
        self._flip, self._order = flip, np.array(schema.flip)

    def __call__(
        self, image: Image, keypoints: Points, visible: npt.NDArray[np.bool_], rng: np.random.Generator
    ) -> tuple[Image, Points, npt.NDArray[np.bool_]]:
        """Draws one change of (S, S) or (S, S, 3), (K, 2) crop pixels and (K,) from `rng`."""
        if self._compose is not None:
            self._compose.set_random_state(rng, random.Random(int(rng.integers(2**32))))
            changed = self._compose(image=image, keypoints=keypoints)
            image, keypoints = changed["image"], changed["keypoints"].astype(np.float32)
        if rng.random() < self._flip:
            image, visible = np.ascontiguousarray(image[:, ::-1]), visible[self._order]
            keypoints = np.stack([image.shape[1] - 1 - keypoints[:, 0], keypoints[:, 1]], axis=1)[self._order]
        return image, keypoints, visible


def _with_children(transforms: Iterable[albumentations.BasicTransform]) -> Iterator[albumentations.BasicTransform]:
    """The transforms and those inside of them, as in OneOf."""
    for transform in transforms:
        yield transform
        yield from _with_children(getattr(transform, "transforms", ()))
