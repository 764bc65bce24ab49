"""What is behind and below the head: clutter, neck, shoulders, ears."""

import cv2
import numpy as np

from fkd.data.synthesis.camera import Camera, Pose, rotation
from fkd.data.synthesis.canvas import Floats, Surface, fill, normals, stroke, surface
from fkd.data.synthesis.shape import Array, Head
from fkd.data.synthesis.skin import light_on
from fkd.data.synthesis.subject import Shot, Subject
from fkd.types import Image

_PIVOT = np.array([0.0, 1.0, -1.6])  # where the head turns on the neck
_TURN = np.linspace(0, 2 * np.pi, 14, endpoint=False)
_EAR = np.stack(  # seen from its own side: backwards, down
    [0.30 * np.cos(_TURN) + 0.08 * np.sin(_TURN + 0.3), 0.50 * np.sin(_TURN) - 0.06 * np.cos(_TURN)], axis=1
)


def background(size: int, rng: np.random.Generator) -> Image:
    """Clutter: smooth light with boxes, discs and lines before it, sharp or out of focus."""
    coarse = rng.integers(2, 7)
    base = rng.uniform(15, 225) + rng.normal(0, 1, 3) * (6, 18, 45)[rng.integers(3)]
    tint = base + rng.normal(0, rng.uniform(5, 55), (coarse, coarse, 1)) + rng.normal(0, 10, (coarse, coarse, 3))
    tint = np.clip(tint, 0, 255).astype(np.uint8)
    small = max(size // (1, 2, 4)[rng.integers(3)], 16)
    image = np.asarray(cv2.resize(tint, (small, small), interpolation=cv2.INTER_LINEAR), np.uint8)
    for _ in range(rng.integers(0, 10)):
        at, reach = rng.uniform(0, small, 2), rng.uniform(0.03, 0.4, 2) * small
        turn = rng.uniform(0, np.pi) if rng.random() < 0.4 else 0.0
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) if rng.random() < 0.6 else _EAR * 2
        spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        colour = base * rng.uniform(0.2, 1.7) + rng.normal(0, 35) + rng.normal(0, 18, 3)
        if rng.random() < 0.7:
            fill(image, corners * reach @ spin.T + at, colour)
        else:
            stroke(image, corners * reach @ spin.T + at, colour, rng.uniform(0.005, 0.06) * small, closed=True)
    return image if small == size else cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def body_camera(camera: Camera, shot: Shot) -> Camera:
    """The camera for the body, which turns less than the head; its points are seen from the pivot."""
    turned = Pose(0.35 * shot.pose.yaw, 0.2 * shot.pose.pitch, 0.3 * shot.pose.roll, shot.pose.distance)
    return camera._replace(rotation=rotation(turned), offset=camera.project(_PIVOT))


def neck_surface(head: Head, subject: Subject, shot: Shot, body: Camera) -> Surface:
    """The neck, in the chin's shadow above."""
    jaw_width = float(head.points[12, 0] - head.points[4, 0]) / 2.7
    around = np.linspace(-1.7, 1.7, 11)
    down = np.linspace(0.9, 4.4, 9)[:, None]
    flare = (1.08 + 0.5 * np.clip((down - 3.4) / 1.0, 0, 1) ** 2) * jaw_width
    neck = np.stack(
        [flare * np.sin(around), down + 0 * around, -1.75 + 0.05 * down + 0.95 * np.cos(around) + 0 * down], axis=-1
    )
    outward = body.rotate(normals(neck))
    shadow = 0.52 + 0.42 * np.clip((down - 2.3) / 1.3, 0, 1)
    colours = subject.skin * [1.0, 0.97, 0.96] * (light_on(outward, shot) * shadow)[..., None]
    return surface(body.project(neck - _PIVOT), outward[..., 2], colours, fine=(9, 7), far_last=False)


def draw_clothes(image: Image, subject: Subject, shot: Shot, body: Camera, rng: np.random.Generator) -> None:
    """Shoulders, and the neckline of what covers them."""
    size = image.shape[0]
    depth, wide = rng.uniform(3.5, 4.3), rng.uniform(3.6, 4.8)
    right = np.array([[-1.15, 3.35], [-1.9, 3.65], [-wide + 0.6, 4.1], [-wide, 4.9], [-wide - 0.4, 9]])
    neckline = np.array([[0.6, depth - 0.25], [0.0, depth], [-0.6, depth - 0.25]])
    outline = np.concatenate([right, right[::-1] * [-1, 1], neckline])
    light = shot.ambient * 0.5 + 0.4

    def places(flat: Floats) -> Array:
        solid = np.column_stack([flat, np.full(len(flat), -1.2)])
        return np.asarray(body.project(solid - _PIVOT) * size - 0.5)

    cloth = subject.cloth * light
    fill(image, places(outline), cloth)
    stroke(image, places(np.array([[-1.15, 3.35], *neckline[::-1], [1.15, 3.35]])), cloth * 0.7, 0.012 * size)
    if subject.lapels:
        for side in (-1, 1):
            lapel = np.array([[1.15, 3.3], [1.65, 3.55], [1.3, 4.6], [0.1, 5.6], [0.5, depth]]) * [side, 1]
            fill(image, places(lapel), cloth * 0.8 if subject.lapels == 1 else 235 * light * np.ones(3))


def draw_ear(image: Image, head: Head, side: int, subject: Subject, shot: Shot, camera: Camera, light: Array) -> None:
    """The ear on the picture's left (-1) or right (+1) of a head seen from the front."""
    root = head.points[0 if side < 0 else 16] + [side * 0.06, 0.22, -0.32]
    shell = root + np.column_stack([side * (0.10 + 0.55 * np.maximum(_EAR[:, 0], -0.1)), _EAR[:, 1], -_EAR[:, 0]])
    hollow = root + np.column_stack([0 * _TURN + side * 0.22, _EAR[:, 1] * 0.55, -_EAR[:, 0] * 0.5 - 0.03])
    size = image.shape[0]
    skin = subject.skin * light
    fill(image, camera.project(shell) * size - 0.5, skin * [0.95, 0.85, 0.83])
    fill(image, camera.project(hollow) * size - 0.5, skin * [0.66, 0.54, 0.52])
