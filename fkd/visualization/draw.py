"""Keypoints, boxes and contact sheets as images.

Images are RGB or grey uint8 and never changed in place. Points are (x, y), the centre of the first pixel at (0, 0).
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from fkd.errors import printable
from fkd.geometry import Crop, adjust, square_around
from fkd.schema import KeypointSchema
from fkd.types import Face, Image, Points

TARGET = (0, 255, 0)
PREDICTED = (255, 0, 255)
ERROR = (255, 255, 0)
SIDES = TARGET, (0, 220, 255), (255, 255, 255)
"""Of true points: the first of a pair that a mirror image exchanges, the second, and points without a partner."""
SKELETON = (255, 255, 255)
BOX = (0, 200, 255)

KEPT = 112
"""Width and height in pixels of the crops of test faces that a run keeps for comparisons."""
_WIDER = 1.5

_OF_SIZE, _LARGEST_SHARE = 0.09, 0.025  # radius of a point's disc over the face's size: 0.011 for 68 points
_SMALLEST = 0.5  # pixels
_CROWDED = 0.04  # points for each pixel of the square around them; more cover the face
_SHIFT = 4  # OpenCV draws at integers, here sixteenths of a pixel
_FAR = 2**20  # pixels, far outside; larger numbers overflow OpenCV's fixed point


def kept_crop(target: Points) -> Crop:
    """The crop of a test face that a run keeps: around its true points (K, 2), whatever the windows of its net are.

    Raises:
        ValueError: the points have no square around them.
    """
    return Crop.from_box(adjust(square_around(target), _WIDER), KEPT)


def face(
    image: Image,
    preds: Points | None,
    target: Points | None = None,
    *,
    visible: npt.NDArray[np.bool_] | None = None,
    schema: KeypointSchema | None = None,
    zoom: int = 1,
) -> Image:
    """One face with its predicted points in magenta, its true points in green and a thin line between the two.

    Args:
        image: (H, W) or (H, W, 3).
        preds: (K, 2) pixels of the image; None draws the true points only.
        target: (K, 2) pixels of the image; None draws the predicted points only.
        visible: (K,) whether each true point is visible; hidden points and their lines are left out.
        schema: draws its lines faintly through the predicted points, or the true ones if there are no others.
        zoom: whole factor by which the image is enlarged first.

    Returns:
        (H * zoom, W * zoom, 3) RGB.
    """
    height, width = image.shape[:2]
    canvas = _uint8(cv2.resize(_rgb(image), (width * zoom, height * zoom), interpolation=cv2.INTER_CUBIC))
    # Resizing maps pixel edges, so half a pixel is added before the zoom and taken off after it.
    preds, target = (
        None if points is None else (points + np.float32(0.5)) * zoom - np.float32(0.5) for points in (preds, target)
    )
    if target is not None and visible is not None:
        target = np.where(visible[:, None], target, np.float32(np.nan))
    shown = preds if preds is not None else target
    if shown is not None and schema is not None:
        canvas = _with_skeleton(canvas, shown, schema)
    if preds is not None and target is not None:
        _lines(canvas, preds, target, ERROR)
    for points, colour in ((target, TARGET), (preds, PREDICTED)):
        if points is not None:
            _dots(canvas, points, colour, _radius(points, canvas))
    return canvas


def sides(image: Image, target: Points, *, visible: npt.NDArray[np.bool_], schema: KeypointSchema) -> Image:
    """One face with its true points and lines, in colours that show whether left and right are swapped.

    Args:
        image: (H, W) or (H, W, 3).
        target: (K, 2) pixels of the image.
        visible: (K,) whether each point is visible; hidden points and their lines are left out.
        schema: of the points; its `flip` names the pairs.

    Returns:
        (H, W, 3) RGB: of each pair the first point in green, the second in blue; points without a partner in white.
    """
    target = np.where(visible[:, None], target, np.float32(np.nan))
    canvas = _with_skeleton(_rgb(image), target, schema)
    order = np.arange(len(schema))
    flip = np.array(schema.flip)
    for these, colour in zip((order < flip, order > flip, order == flip), SIDES, strict=True):
        _dots(canvas, target[these], colour, _radius(target, canvas))
    return canvas


def points(image: Image, preds: Points) -> Image:
    """The predicted points of all faces of an image, (N, K, 2) pixels of the image, in magenta: (H, W, 3) RGB."""
    canvas = _rgb(image)
    for face_points in preds:
        _dots(canvas, face_points, PREDICTED, _radius(face_points, canvas))
    return canvas


def boxes(image: Image, boxes: Points, captions: Sequence[str] | None = None) -> Image:
    """Boxes (N, 4), in pixels of the image, as rectangles, each with its caption above it: (H, W, 3) RGB."""
    canvas = _rgb(image)
    for i, (left, top, right, bottom) in enumerate(boxes):
        # Visible on a large photo without covering a small face.
        thickness = max(1, round(min(max(canvas.shape[:2]) / 400, float(right - left) / 25)))
        corners = _fixed(np.array([[left, top], [right, bottom]]))
        cv2.rectangle(canvas, corners[0], corners[1], BOX, thickness, cv2.LINE_AA, _SHIFT)
        if captions is not None:
            above = float(top) - min(0.2 * float(right - left), 6)  # an eye at the box's edge stays visible
            _label(canvas, captions[i], (float(left), above), 0.45 * max(1.0, thickness / 2))
    return canvas


def faces(image: Image, found: Sequence[Face], *, expected_error: bool = False) -> Image:
    """The found faces of an image as boxes, each with its id or else numbered from 0, and points: (H, W, 3) RGB.

    Points are magenta; those that are probably hidden are circles.

    Args:
        image: (H, W) or (H, W, 3).
        found: on it.
        expected_error: a yellow ring around each point, with its expected error as radius.
    """
    numbers = [str(number if each.id is None else each.id) for number, each in enumerate(found)]
    canvas = boxes(image, np.array([each.box for each in found], np.float32).reshape(-1, 4), numbers)
    known = [each for each in found if each.is_known]
    for each in known if expected_error else ():
        if each.expected_error is not None:
            radii = each.expected_error * each.schema.interocular(each.keypoints)
            for centre, radius in zip(_fixed(each.keypoints), radii.clip(max=max(canvas.shape)), strict=True):
                cv2.circle(canvas, centre, round(float(radius) * 2**_SHIFT), ERROR, 1, cv2.LINE_AA, _SHIFT)
    for each in known:
        radius = _radius(each.keypoints, canvas, least=float(each.box[2] - each.box[0]) / 2)
        hidden = np.zeros(len(each.keypoints), bool) if each.visible is None else each.visible < 0.5
        _dots(canvas, each.keypoints[~hidden], PREDICTED, radius)
        for centre in _fixed(each.keypoints[hidden]):
            cv2.circle(canvas, centre, round(radius * 2**_SHIFT), PREDICTED, 1, cv2.LINE_AA, _SHIFT)
    return canvas


def sheet(images: Sequence[Image], columns: int, captions: Sequence[str] | None = None) -> Image:
    """Images of one size in rows of `columns`, with thin gaps, each with its caption below it.

    Tile i starts at row ``i // columns`` times (tile height + caption + gap) and column ``i % columns`` times
    (tile width + gap).

    Raises:
        ValueError: no image, images of several sizes, or another number of captions than of images.
    """
    sizes = {image.shape[:2] for image in images}
    if len(sizes) != 1:
        raise ValueError(f"sheet: expected one or more images of one size, found sizes {sorted(sizes)}")
    if captions is not None and len(captions) != len(images):
        raise ValueError(f"sheet: expected {len(images)} captions, found {len(captions)}")
    captions = None if captions is None else [*map(printable, captions)]  # OpenCV ends the process at no UTF-8
    ((height, width),) = sizes
    gap, strip = 2, 0 if captions is None else 16
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    step_y, step_x = height + strip + gap, width + gap
    canvas = np.full((rows * step_y - gap, columns * step_x - gap, 3), 32, np.uint8)
    for i, image in enumerate(images):
        y, x = i // columns * step_y, i % columns * step_x
        canvas[y : y + height, x : x + width] = _rgb(image)
        if captions is not None:
            text_width = cv2.getTextSize(captions[i], cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)[0][0]
            scale = 0.4 * min(1.0, (width - 4) / max(text_width, 1))
            _text(canvas, captions[i], (x + 2, y + height + strip - 4), scale, (255, 255, 255))
    return canvas


def _rgb(image: Image) -> Image:
    """A copy with three channels."""
    return _uint8(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)) if image.ndim == 2 else image.copy()


def _uint8(image: cv2.typing.MatLike) -> Image:
    """An image of OpenCV, whose annotations do not say that it is uint8."""
    return image  # type: ignore[return-value]


def _fixed(points: npt.NDArray[np.floating]) -> list[tuple[int, int]]:
    """Points (N, 2) in sixteenths of a pixel, for OpenCV."""
    rounded = np.rint(np.clip(points, -_FAR, _FAR) * 2**_SHIFT).astype(int)
    return [(int(x), int(y)) for x, y in rounded]


def _with_skeleton(canvas: Image, points: Points, schema: KeypointSchema) -> Image:
    """The image with faint lines of the schema between finite points (K, 2)."""
    lines = canvas.copy()
    ends = np.array(schema.lines, np.int64).reshape(-1, 2)  # a schema may have none
    _lines(lines, points[ends[:, 0]], points[ends[:, 1]], SKELETON)
    return _uint8(cv2.addWeighted(canvas, 0.65, lines, 0.35, 0))


def _radius(points: Points, canvas: Image, least: float = 0.0) -> float:
    """The radius of discs in pixels: a share of the face's size that is larger where the points are few.

    Args:
        points: (K, 2) of the face; the size is their spread.
        canvas: a larger spread is that of a point far outside, which must not count.
        least: the size in pixels where the points spread less.
    """
    known = points[np.isfinite(points).all(axis=1)]
    spread = float(np.ptp(known, axis=0).max()) if len(known) else 0.0
    share = min(_OF_SIZE / math.sqrt(max(len(points), 1)), _LARGEST_SHARE)
    return float(max(_SMALLEST, share * min(max(spread, least), max(canvas.shape))))


def _dots(canvas: Image, points: Points, colour: tuple[int, int, int], radius: float) -> None:
    """Discs at the finite points, half transparent where they would cover a small face."""
    known = points[np.isfinite(points).all(axis=1)].clip(-_FAR, _FAR)
    if len(known) == 0:
        return
    low, high = np.floor(known.min(axis=0)).astype(int), np.ceil(known.max(axis=0)).astype(int)
    reach = math.ceil(radius) + 2
    left, top, right, bottom = np.concatenate([low - reach, high + reach + 1]).clip(0)
    part = canvas[top:bottom, left:right]
    is_crowded = len(known) > max(1, _CROWDED * int((high - low).max()) ** 2) and part.size > 0
    before = part.copy() if is_crowded else None
    for centre in _fixed(known):
        cv2.circle(canvas, centre, round(radius * 2**_SHIFT), colour, cv2.FILLED, cv2.LINE_AA, _SHIFT)
    if before is not None:
        part[:] = cv2.addWeighted(part, 0.5, before, 0.5, 0)


def _lines(canvas: Image, starts: Points, ends: Points, colour: tuple[int, int, int]) -> None:
    """Thin lines between pairs of points (N, 2), if both are finite."""
    known = np.isfinite(starts).all(axis=1) & np.isfinite(ends).all(axis=1)
    for start, end in zip(_fixed(starts[known]), _fixed(ends[known]), strict=True):
        cv2.line(canvas, start, end, colour, 1, cv2.LINE_AA, _SHIFT)


def _label(canvas: Image, text: str, corner: tuple[float, float], scale: float) -> None:
    """Dark text on a filled rectangle above a box's upper left corner, or as near as the image's edges allow."""
    text, stroke = printable(text), max(1, round(1.6 * scale))
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, stroke)
    margin = round(6 * scale)
    width, height = width + 2 * margin, height + 2 * margin
    x = round(min(max(corner[0], 0), max(canvas.shape[1] - width, 0)))
    y = round(min(max(corner[1] - height, 0), max(canvas.shape[0] - height, 0)))
    cv2.rectangle(canvas, (x, y), (x + width, y + height), BOX, cv2.FILLED)
    baseline = (x + margin, y + height - margin)
    cv2.putText(canvas, text, baseline, cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), stroke, cv2.LINE_AA)


def _text(canvas: Image, text: str, origin: tuple[int, int], scale: float, colour: tuple[int, int, int]) -> None:
    """Text with a dark outline, for any background, whose baseline starts at `origin`."""
    stroke = max(1, round(1.5 * scale))
    cv2.putText(canvas, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), stroke + 2, cv2.LINE_AA)
    cv2.putText(canvas, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, stroke, cv2.LINE_AA)
