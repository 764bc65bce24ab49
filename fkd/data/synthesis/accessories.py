"""What stands before the face: glasses, hands, things."""

import numpy as np

from fkd.data.synthesis.camera import Camera
from fkd.data.synthesis.canvas import blend, fill, stroke
from fkd.data.synthesis.shape import Array, Head
from fkd.data.synthesis.subject import Subject
from fkd.types import Image

_TURN = np.linspace(0, 2 * np.pi, 24, endpoint=False)


def draw_glasses(image: Image, head: Head, subject: Subject, camera: Camera, unit: float) -> None:
    """Rims around both eyes, bridge and temples; some lenses are tinted."""
    size = image.shape[0]
    half_width, half_height, roundness = subject.glasses_shape
    cos, sin = np.cos(_TURN), np.sin(_TURN)
    power = 2 / roundness
    rim = np.column_stack(
        [half_width * np.sign(cos) * np.abs(cos) ** power, half_height * np.sign(sin) * np.abs(sin) ** power]
    )
    width = subject.glasses * unit
    for side, eye, ear in ((-1, slice(36, 42), 0), (1, slice(42, 48), 16)):
        middle = head.points[eye].mean(axis=0) * [1.03, 1, 1] + [0, 0.06, 0]
        front = np.column_stack([middle[0] + rim[:, 0], middle[1] + rim[:, 1], 0.5 - 0.16 * rim[:, 0] * side])
        places = camera.project(front) * size - 0.5
        if subject.cloth[1] % 8 < 1:
            tint = image.copy()
            fill(tint, places, np.array([30.0, 26, 24]))
            blend(image, tint, np.full(image.shape[:2], 0.75, np.float32))
        hinge = np.array([middle[0] + side * half_width, middle[1] - 0.4 * half_height, 0.42])
        temple = camera.project(np.stack([hinge, head.points[ear] + [side * 0.12, -0.1, -0.3]])) * size - 0.5
        if camera.rotation[0, 2] * side < 0.15:
            stroke(image, temple, subject.glasses_colour * 0.8, width)
        stroke(image, places, subject.glasses_colour, width, closed=True)
    nose = head.points[27] + [0, -0.02, 0.1]
    bridge = np.stack([nose + [-0.26, 0.04, -0.03], nose, nose + [0.26, 0.04, -0.03]])
    stroke(image, camera.project(bridge) * size - 0.5, subject.glasses_colour, width)


def draw_occluder(image: Image, points: Array, light: Array, subject: Subject, rng: np.random.Generator) -> None:
    """A hand, a microphone or a flat thing before a part of the face whose points are (68, 2) pixels."""
    span = float(np.ptp(points, axis=0).max())
    kind = rng.random()
    at = points[rng.integers(68)] + rng.normal(0, 0.1, 2) * span
    skin = subject.skin * light
    if kind < 0.4:
        turn = rng.uniform(-0.6, 0.6)
        along = np.array([np.sin(turn), -np.cos(turn)])
        across = np.array([along[1], -along[0]])
        base = points[8] + rng.normal(0, 0.2, 2) * span + [0, 0.15 * span]
        palm = [base + across * x + along * y for x, y in np.array([[-0.2, -0.6], [-0.2, 0.1], [0.2, 0.1], [0.2, -0.6]]) * span]
        fill(image, np.array(palm), skin * 0.85)
        for i in range(4):
            root = base + across * (i - 1.5) * 0.105 * span
            tip = root + along * rng.uniform(0.3, 0.42) * span + across * (i - 1.5) * 0.03 * span
            stroke(image, np.stack([root, tip]), skin * 0.6, 0.115 * span)
            stroke(image, np.stack([root, tip]), skin * 0.92, 0.09 * span)
    elif kind < 0.6:
        grip = points[8] + rng.normal(0, 0.15, 2) * span
        top = points[57] + [rng.normal(0, 0.1) * span, 0.1 * span]
        stroke(image, np.stack([grip + [0, 0.6 * span], top]), np.array([40.0, 40, 44]), 0.07 * span)
        fill(image, top + 0.09 * span * np.column_stack([np.cos(_TURN), np.sin(_TURN)]), np.array([25.0, 25, 28]))
    else:
        reach = rng.uniform(0.06, 0.22, 2) * span
        corners = np.array([[-1, -1], [1, -0.8], [0.9, 1], [-1.1, 0.9]]) + rng.normal(0, 0.15, (4, 2))
        fill(image, at + corners * reach, rng.uniform(0, 255, 3))
