"""Objects in front of the face: glasses, hands, things."""

import cv2
import numpy as np

from fkd.synthetic.camera import Camera
from fkd.synthetic.canvas import fill, stroke
from fkd.synthetic.head_model import Array, Head
from fkd.synthetic.subject import Subject
from fkd.types import Image

_PALM = np.array(  # with the arm below it: across, along
    [[-0.15, -1.5], [-0.15, -0.5], [-0.21, -0.2], [-0.2, 0.1], [0.2, 0.1], [0.23, -0.2], [0.15, -0.5], [0.15, -1.5]]
)
_TURN = np.linspace(0, 2 * np.pi, 24, endpoint=False)


def draw_temples(image: Image, head: Head, subject: Subject, camera: Camera) -> None:
    """The temples of the glasses: in front of the skin, behind the hair."""
    size = image.shape[0]
    half_width, half_height, _ = subject.glasses_shape
    for side, eye, ear in ((-1, 36, 0), (1, 45, 16)):
        if camera.rotation[0, 2] * side < 0.15:
            hinge = head.points[eye] * [0.75, 1, 0] + [side * half_width, 0.06 - 0.4 * half_height, 0.40]
            line = np.stack([hinge, head.points[ear] + [side * 0.12, -0.1, -0.3]])
            width = subject.glasses * camera.scale * size
            stroke(image, camera.project(line) * size - 0.5, subject.glasses_colour * 0.8, width)


def draw_glasses(image: Image, head: Head, subject: Subject, camera: Camera) -> None:
    """Rims around both eyes and the bridge; some lenses are tinted."""
    size = image.shape[0]
    half_width, half_height, roundness = subject.glasses_shape
    cos, sin = np.cos(_TURN), np.sin(_TURN)
    power = 2 / roundness  # a superellipse
    rim = np.column_stack(
        [half_width * np.sign(cos) * np.abs(cos) ** power, half_height * np.sign(sin) * np.abs(sin) ** power]
    )
    width = subject.glasses * camera.scale * size
    for side, eye in ((-1, slice(36, 42)), (1, slice(42, 48))):
        middle = head.points[eye].mean(axis=0) * [1.03, 1, 1] + [0, 0.06, 0]
        front = np.column_stack([middle[0] + rim[:, 0], middle[1] + rim[:, 1], 0.5 - 0.16 * rim[:, 0] * side])
        places = camera.project(front) * size - 0.5
        if subject.shades:
            tint = image.copy()
            fill(tint, places, np.array([30.0, 26, 24]))
            cv2.addWeighted(image, 0.25, tint, 0.75, 0, image)
        stroke(image, places, subject.glasses_colour, width, closed=True)
    nose = head.points[27] + [0, -0.02, 0.1]
    bridge = nose + np.array([[-0.26, 0.04, -0.03], [0, 0, 0], [0.26, 0.04, -0.03]])
    stroke(image, camera.project(bridge) * size - 0.5, subject.glasses_colour, width)


def draw_occluder(image: Image, points: Array, light: Array, subject: Subject, rng: np.random.Generator) -> None:
    """A hand, a microphone or a flat thing in front of a part of the face with points (68, 2) in pixels."""
    span = float(np.ptp(points, axis=0).max())
    kind = rng.random()
    at = points[rng.integers(68)] + rng.normal(0, 0.1, 2) * span
    skin = subject.skin * light
    if kind < 0.4:
        turn = rng.uniform(-0.6, 0.6)
        along = np.array([np.sin(turn), -np.cos(turn)])
        across = np.array([along[1], -along[0]])
        base = points[8] + rng.normal(0, 0.2, 2) * span + [0, 0.15 * span]
        palm = base + _PALM * span @ np.stack([across, along])
        fill(image, palm, skin * 0.85)
        for i in range(4):
            root = base + across * (i - 1.5) * 0.105 * span
            tip = root + along * rng.uniform(0.3, 0.42) * span + across * (i - 1.5) * 0.03 * span
            stroke(image, np.stack([root, tip]), skin * 0.72, 0.11 * span)
            stroke(image, np.stack([root, tip]), skin * 0.9, 0.09 * span)
    elif kind < 0.6:
        grip = points[8] + rng.normal(0, 0.15, 2) * span
        top = points[57] + [rng.normal(0, 0.1) * span, 0.1 * span]
        stroke(image, np.stack([grip + np.array([0, 0.6 * span]), top]), np.array([40.0, 40, 44]), 0.07 * span)
        fill(image, top + 0.09 * span * np.column_stack([np.cos(_TURN), np.sin(_TURN)]), np.array([25.0, 25, 28]))
    else:
        reach = rng.uniform(0.06, 0.22, 2) * span
        corners = np.array([[-1, -1], [1, -0.8], [0.9, 1], [-1.1, 0.9]]) + rng.normal(0, 0.15, (4, 2))
        fill(image, at + corners * reach, rng.uniform(0, 255, 3))
