"""Everything behind and below the head: clutter, neck, shoulders, ears."""

import cv2
import numpy as np

from fkd.synthetic.camera import Camera, Pose, rotation
from fkd.synthetic.canvas import Surface, coloured, fill, normals, stroke, surface
from fkd.synthetic.head_model import Array, Head
from fkd.synthetic.skin import light_on
from fkd.synthetic.subject import Shot, Subject
from fkd.types import Image

_PIVOT = np.array([0.0, 1.0, -1.6])  # where the head turns on the neck
_TURN = np.linspace(0, 2 * np.pi, 14, endpoint=False)
_EAR = np.stack(  # from the side: backwards, down
    [0.30 * np.cos(_TURN) + 0.08 * np.sin(_TURN + 0.3), 0.50 * np.sin(_TURN) - 0.06 * np.cos(_TURN)], axis=1
)
_DOWN, _AROUND = np.linspace(0.9, 4.4, 9), np.linspace(-1.7, 1.7, 11)[:, None]
_NECK = np.stack(  # (3, 11, 9) from the pivot
    [
        (1.08 + 0.5 * np.clip(_DOWN - 3.4, 0, 1) ** 2) * np.sin(_AROUND),
        _DOWN - _PIVOT[1] + 0 * _AROUND,
        -1.75 - _PIVOT[2] + 0.05 * _DOWN + 0.95 * np.cos(_AROUND),
    ]
).astype(np.float32)
_NECK_NORMALS = normals(_NECK)
_CHIN_SHADOW = (0.52 + 0.42 * np.clip((_DOWN - 2.3) / 1.3, 0, 1)).astype(np.float32)

_BOX = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
_SHELLS = np.concatenate(  # (28, 3): the right ear and its hollow
    [
        np.stack([0.10 + 0.55 * np.maximum(_EAR[:, 0], -0.1), _EAR[:, 1], -_EAR[:, 0]], axis=1),
        np.stack([0 * _TURN + 0.22, _EAR[:, 1] * 0.55, -_EAR[:, 0] * 0.5 - 0.03], axis=1),
    ]
)


def _clothes(wide: float, depth: float) -> Array:
    """The outline of clothes (13, 3), then two lapels (5, 3), relative to the pivot."""
    right = np.array([[-1.15, 3.35], [-1.9, 3.65], [-wide + 0.6, 4.1], [-wide, 4.9], [-wide - 0.4, 9]])
    neckline = [[0.6, depth - 0.25], [0.0, depth], [-0.6, depth - 0.25]]
    lapel = np.array([[1.15, 3.3], [1.65, 3.55], [1.3, 4.6], [0.1, 5.6], [0.5, depth]])
    flat = np.concatenate([right, right[::-1] * [-1, 1], neckline, lapel * [-1, 1], lapel])
    return np.asarray(np.column_stack([flat, np.full(len(flat), -1.2)]) - _PIVOT)


_CLOTHES = _clothes(0, 0)
_WIDER, _DEEPER = _clothes(1, 0) - _CLOTHES, _clothes(0, 1) - _CLOTHES


def background(size: int, rng: np.random.Generator) -> Image:
    """Clutter: smooth colours with boxes, discs and lines in front, sharp or out of focus."""
    coarse, count = rng.integers(2, 7), rng.integers(0, 10)
    base = rng.uniform(15, 225) + rng.normal(0, 1, 3) * (6, 18, 45)[rng.integers(3)]
    tint = base + rng.normal(0, rng.uniform(5, 55), (coarse, coarse, 1)) + rng.normal(0, 10, (coarse, coarse, 3))
    small = max(size // (1, 2, 4)[rng.integers(3)], 16)
    tint = tint.clip(0, 255).astype(np.uint8)
    image = np.asarray(cv2.resize(tint, (small, small), interpolation=cv2.INTER_LINEAR), np.uint8)
    at, reach = rng.uniform(0, small, (count, 1, 2)), rng.uniform(0.03, 0.4, (count, 1, 2)) * small
    turn = rng.uniform(0, np.pi, count) * (rng.random(count) < 0.4)
    spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]).transpose(2, 0, 1)
    boxes, discs = ((outline * reach) @ spin + at for outline in (_BOX, _EAR * 2))
    colours = base * rng.uniform(0.2, 1.7, (count, 1)) + rng.normal(0, 35, (count, 1)) + rng.normal(0, 18, (count, 3))
    lots = rng.random((count, 3)).tolist()
    for box, disc, colour, (boxed, filled, width) in zip(boxes, discs, colours, lots, strict=True):
        outline = box if boxed < 0.6 else disc
        if filled < 0.7:
            fill(image, outline, colour)
        else:
            stroke(image, outline, colour, (0.005 + 0.055 * width) * small, closed=True)
    return image if small == size else cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def body_camera(camera: Camera, shot: Shot) -> Camera:
    """The camera of the body, which turns less than the head; its points are relative to the pivot."""
    turned = Pose(0.35 * shot.pose.yaw, 0.2 * shot.pose.pitch, 0.3 * shot.pose.roll, shot.pose.distance)
    return camera._replace(rotation=rotation(turned), offset=camera.project(_PIVOT))


def neck_surface(head: Head, subject: Subject, shot: Shot, body: Camera) -> Surface:
    """The neck, with the chin's shadow."""
    neck = _NECK.copy()
    neck[0] *= float(head.points[12, 0] - head.points[4, 0]) / 2.7  # as wide as the jaw
    outward = body.turn(_NECK_NORMALS)
    paint = coloured(light_on(outward, shot) * _CHIN_SHADOW, subject.skin * [1.0, 0.97, 0.96])
    return surface(body, body.turn(neck), outward[2], paint, fine=(8, 12), far_last=False)


def draw_clothes(image: Image, subject: Subject, shot: Shot, body: Camera, rng: np.random.Generator) -> None:
    """Shoulders in clothes with a neckline."""
    size = image.shape[0]
    depth, wide = rng.uniform(3.5, 4.3), rng.uniform(3.6, 4.8)
    places = body.project(_CLOTHES + wide * _WIDER + depth * _DEEPER) * size - 0.5
    light = shot.ambient * 0.5 + 0.4
    cloth = subject.cloth * light
    fill(image, places[:13], cloth)
    stroke(image, places[[0, 12, 11, 10, 9]], cloth * 0.7, 0.012 * size)
    if subject.lapels:
        for lapel in (places[13:18], places[18:]):
            fill(image, lapel, cloth * 0.8 if subject.lapels == 1 else np.full(3, 235 * light))


def draw_ear(image: Image, head: Head, side: int, subject: Subject, shot: Shot, camera: Camera, light: Array) -> None:
    """The ear on the image's left (-1) or right (+1) of a frontal head."""
    root = head.points[0 if side < 0 else 16] + [side * 0.06, 0.22, -0.32]
    shell, hollow = np.split(camera.project(root + _SHELLS * [side, 1, 1]) * image.shape[0] - 0.5, 2)
    skin = subject.skin * light
    fill(image, shell, skin * [0.95, 0.85, 0.83])
    fill(image, hollow, skin * [0.66, 0.54, 0.52])
