"""Face filters: images that are anchored to keypoints, and blur for privacy.

Both make a texture with alpha, which a plane map transforms to the photo and `paint` blends with it.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from numbers import Real
from typing import Protocol

import cv2
import numpy as np

from fkd.errors import UserError, did_you_mean
from fkd.io import images
from fkd.schema import KeypointSchema
from fkd.types import Face, Image
from fkd.visualization.compositing import (
    Floats,
    Texture,
    affine,
    homography,
    is_flat,
    mapped,
    paint,
    premultiplied,
    scaling,
    similarity,
)

_DEEPEST = 4.0  # largest ratio of the depths of two corners of an image
_MARGINS = {"eyes": 0.2, "face": 0.12}  # of the hidden region around a part's points, over the eye distance
_SOFT = 0.15  # width of the soft edge around that region, over the eye distance
_OVAL = (
    0.6,
    0.78,
    -0.14,
)  # ellipse of a face with forehead: half width, half height, offset down; over the box's width
_EYES = 0.6  # distance between the outer eye corners, over a box's width
_FOREHEAD = 0.8  # height of the forehead up to the hair, over the height of the face below the eyes
_TEXELS = 48  # texture pixels of a hidden region along the eye distance: few, since it is blurred


class Layer(Protocol):
    """One part of a filter, drawn on every face."""

    @property
    def order(self) -> float:
        """Layers are drawn from low to high order."""

    @property
    def hides(self) -> bool:
        """Whether the layer makes faces unrecognisable."""

    def check(self, schema: KeypointSchema) -> None:
        """Raises UserError if faces of this schema lack what the layer needs."""

    def draw(self, photo: Image, face: Face) -> None:
        """Draw on the (H, W, 3) RGB photo, in place. A face without valid keypoints only has a box."""


class Filter:
    """Layers drawn on every face of an image.

    Args:
        layers: name -> layer; names let the configs of several filters merge into one.

    Raises:
        UserError: there are no layers.
    """

    def __init__(self, layers: Mapping[str, Layer]) -> None:
        if not layers:
            raise UserError("filter.layers: expected one or more layers, found none; choose a filter, e.g. filter=hat")
        self._layers = dict(sorted(layers.items(), key=lambda item: item[1].order))

    @property
    def hides(self) -> bool:
        """Whether a layer makes faces unrecognisable: then use `fkd.load(hiding=True)`, which leaves no face out."""
        return any(layer.hides for layer in self._layers.values())

    def check(self, schema: KeypointSchema) -> None:
        """Check that the filter fits faces of a schema, before any image is changed.

        Raises:
            UserError: naming the layer and the missing keypoint.
        """
        for name, layer in self._layers.items():
            try:
                layer.check(schema)
            except UserError as error:
                raise UserError(f"filter layer {name}: {error}") from error

    def __call__(self, image: Image, faces: Sequence[Face]) -> Image:
        """A copy of the (H, W, 3) RGB image with the filter on every face, the largest (nearest) on top."""
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"image: expected uint8 (H, W, 3), found {image.dtype} {image.shape}")
        photo = image.copy()
        for face in sorted(faces, key=lambda face: float(np.nan_to_num(face.box[2] - face.box[0]))):
            for layer in self._layers.values():
                layer.draw(photo, face)
        return photo


class Sticker:
    """An image that is anchored to keypoints; not drawn on a box without keypoints.

    Args:
        image: path of an RGBA image.
        anchors: keypoint -> its place [x, y] in pixels of that image, three or more. A keypoint is an index, a name,
            or the name of a part, for the mean of the part's points.
        warp: "similarity" (rotation and scale), "affine" (also shear) or "homography" (also perspective; four anchors
            or more): the least-squares fit to the anchors.
        order: layers are drawn from low to high order.

    Raises:
        UserError: naming the image and what is wrong with it, with an anchor, the warp or the order.
    """

    hides = False

    def __init__(self, image: str, anchors: Mapping[int | str, Sequence[float]], warp: str, order: float) -> None:
        self._name, self.order = image, _number(f"{image}: order", order)
        if warp not in _WARPS:
            raise UserError(f"{image}: expected warp={'|'.join(_WARPS)}, found {warp!r}")
        least = 4 if warp == "homography" else 3
        if len(anchors) < least:
            raise UserError(f"{image}: expected {least} or more anchors with warp={warp}, found {len(anchors)}")
        pixels = images.read(image, 4)
        if not pixels[..., 3].any() or pixels[..., 3].min() == 255:
            found = "no pixel that is transparent" if pixels[..., 3].any() else "every pixel transparent"
            raise UserError(f"{image}: expected an image with transparent background, found {found}; give an RGBA PNG")
        self._texture = premultiplied(pixels)
        self._keys = [str(key) for key in anchors]
        self._places = np.array([self._place(key, place) for key, place in anchors.items()])
        self._on_a_line = is_flat(self._places)
        if self._on_a_line and (warp != "similarity" or not np.ptp(self._places, axis=0).any()):
            raise UserError(f"{image}: expected anchors that are not all on one line with warp={warp}; move one")
        self._fit = _WARPS[warp]

    def check(self, schema: KeypointSchema) -> None:
        """Raises UserError if faces of this schema lack an anchor."""
        for key in self._keys:
            self._points(key, schema)

    def draw(self, photo: Image, face: Face) -> None:
        """Draw on the (H, W, 3) RGB photo, in place."""
        rows = [self._points(key, face.schema) for key in self._keys]
        places = np.array([face.keypoints[row].mean(axis=0) for row in rows], np.float64)
        if not np.isfinite(places).all() or (is_flat(places) and not self._on_a_line):
            return
        matrix = self._fit(self._places, places)
        if not _is_in_front(matrix, self._texture):
            matrix = affine(self._places, places)
        if abs(np.linalg.det(matrix[:2, :2])) > 1e-9:  # 0 if all points are in one place
            paint(photo, self._texture, matrix)

    def _place(self, key: int | str, place: Sequence[float]) -> tuple[float, float]:
        """The checked place of an anchor in the image."""
        height, width = self._texture.shape[:2]
        try:
            x, y = (_number("", value) for value in place)
        except (TypeError, ValueError) as error:
            raise UserError(f"{self._name}: anchor {key}: expected two finite numbers x, y, found {place!r}") from error
        reach = max(width, height)  # a hat's anchors are far below its image
        if not (-reach <= x <= width + reach and -reach <= y <= height + reach):
            raise UserError(
                f"{self._name}: anchor {key}: expected a place in or near the {width} x {height} pixels of the "
                f"image, found [{x:g}, {y:g}]"
            )
        return x, y

    def _points(self, key: str, schema: KeypointSchema) -> list[int]:
        """The keypoints of an anchor."""
        if key in schema.parts:
            return list(schema.parts[key])
        if key in schema.names:
            return [schema.names.index(key)]
        if key.isdecimal() and int(key) < len(schema):
            return [int(key)]
        hint = did_you_mean(key, [*schema.parts, *schema.names]) or f"parts are {', '.join(schema.parts)}"
        raise UserError(
            f"{self._name}: anchor {key}: expected a keypoint of schema {schema.name}: an index below {len(schema)} "
            f"or the name of a point or part; {hint}"
        )


class Blur:
    """Hides a part of the face: pixels averaged over squares, then smoothed by a Gaussian of about their width.

    In a box without valid keypoints, the whole face that it may hold is hidden.

    Args:
        part: "eyes" (a band over both) or "face" (with the forehead).
        strength: side of the squares and standard deviation of the Gaussian, over the distance between the eyes.
        order: layers are drawn from low to high order.

    Raises:
        UserError: an unknown part, a strength that is not above 0, an order that is no number.
    """

    hides = True

    def __init__(self, part: str, strength: float, order: float) -> None:
        self.order, self._strength = _number("filter blur: order", order), _number("filter blur: strength", strength)
        if part not in _MARGINS:
            raise UserError(f"filter blur: expected part={'|'.join(_MARGINS)}, found {part!r}")
        if self._strength <= 0:
            raise UserError(f"filter blur: expected a strength above 0, found {strength:g}")
        self._part = part

    def check(self, schema: KeypointSchema) -> None:
        """Every schema has eyes."""

    def draw(self, photo: Image, face: Face) -> None:
        """Hide the part on the (H, W, 3) RGB photo, in place."""
        points = face.keypoints.astype(np.float64)
        if np.isfinite(points).all() and not is_flat(points):
            unit = _eye_distance(points, face.schema)
            self._hide(photo, self._region(points, face.schema), unit, _MARGINS[self._part] * unit)
        elif np.isfinite(face.box).all() and face.box[2] > face.box[0]:
            self._hide(photo, _oval(face.box.astype(np.float64)), _EYES * float(face.box[2] - face.box[0]), 0.0)

    def _hide(self, photo: Image, region: Floats, unit: float, margin: float) -> None:
        """Hide the hull of points (N, 2) and a margin around it; `unit` is the distance between the eyes."""
        step = max(1.0, unit / _TEXELS)
        soft = max(_SOFT * unit, 3 * step)
        edges = photo.shape[1::-1]
        low = np.clip(np.floor(region.min(axis=0) - margin - soft), 0, edges).astype(int)
        high = np.clip(np.ceil(region.max(axis=0) + margin + soft) + 1, 0, edges).astype(int)
        if (high <= low).any():
            return
        width, height = np.ceil((high - low) / step).astype(int).tolist()
        to_photo = scaling(np.full(2, step), low)
        alpha = _soft_hull(mapped(region, np.linalg.inv(to_photo)), (width, height), margin / step, soft / step)
        colours = _smeared(photo[low[1] : high[1], low[0] : high[0]], self._strength * unit, (width, height))
        texture = premultiplied(np.dstack([colours, alpha]))
        framed = cv2.copyMakeBorder(texture, 1, 1, 1, 1, cv2.BORDER_REPLICATE)  # no thin line at the photo's edge
        paint(photo, np.asarray(framed, np.float32), to_photo @ scaling(np.ones(2), -np.ones(2)))

    def _region(self, points: Floats, schema: KeypointSchema) -> Floats:
        """Points (N, 2) whose hull is to be hidden."""
        eyes = points[[i for eye in schema.eyes for i in eye]]
        if self._part == "eyes":
            return eyes
        # Jaw and chin, mirrored at the eyes and stretched, give the hairline.
        between = eyes.mean(axis=0)
        up = between - points.mean(axis=0)  # also defined for a profile, whose eyes are in one place
        up /= max(float(np.linalg.norm(up)), 1e-6)
        height = (points - between) @ up
        return np.concatenate([points, points - (1 + _FOREHEAD) * height[:, None] * up])


_WARPS = {"similarity": similarity, "affine": affine, "homography": homography}


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not isfinite(value):
        raise UserError(f"{name}: expected a finite number, found {value!r}")
    return float(value)


def _is_in_front(matrix: Floats, texture: Texture) -> bool:
    """Whether a plane map keeps the whole texture in front of the camera and away from the horizon."""
    height, width = texture.shape[:2]
    nearness = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]]) @ matrix[2]
    return bool(np.isfinite(matrix).all() and 0 < nearness.max() < _DEEPEST * nearness.min())


def _eye_distance(points: Floats, schema: KeypointSchema) -> float:
    """Distance of the outer eye corners in a frontal view: turning a head shortens it, but not the points' spread."""
    spread = np.sqrt(np.square(points - points.mean(axis=0)).sum(axis=1).mean())
    return max(float(schema.interocular(points)), 1.6 * float(spread))


def _oval(box: Floats) -> Floats:
    """Points (N, 2) of an ellipse around the face, with forehead, in a box (4,), the square around its keypoints."""
    across, down, below = _OVAL
    side, angles = box[2] - box[0], np.linspace(0, 2 * np.pi, 32, endpoint=False)
    middle = (box[:2] + box[2:]) / 2 + [0, below * side]
    return np.asarray(middle + side * np.stack([across * np.cos(angles), down * np.sin(angles)], axis=1))


def _soft_hull(points: Floats, size: tuple[int, int], margin: float, soft: float) -> Image:
    """Alpha (h, w): 255 on the hull of points (N, 2) and a margin around it, then falling to 0 within `soft`."""
    outside = np.ones(size[::-1], np.uint8)
    hull = cv2.convexHull(points.astype(np.float32))
    cv2.fillConvexPoly(outside, np.rint(hull * 16).astype(np.int32), 0, cv2.LINE_8, 4)
    # Interpolation reaches two pixels: alpha is 255 up to two pixels outside of the margin.
    away = cv2.distanceTransform(outside, cv2.DIST_L2, 5) - margin - 2
    return np.asarray(255 * np.clip(1 - away / (soft - 2), 0, 1), np.uint8)


def _smeared(part: Image, side: float, size: tuple[int, int]) -> Image:
    """The image (H, W, 3) averaged over squares, smoothed by a Gaussian of their width, and scaled to `size`."""
    count = np.maximum(np.rint(np.array(part.shape[1::-1]) / max(side, 1)), 1).astype(int).tolist()
    squares = cv2.resize(part, count, interpolation=cv2.INTER_AREA)
    smooth = cv2.GaussianBlur(squares, (0, 0), 1, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(smooth, size, interpolation=cv2.INTER_CUBIC), np.uint8)
