"""One synthetic image, drawn from back to front."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fkd.synthetic import accessories, features, scene
from fkd.synthetic.camera import Camera, place, visible_points
from fkd.synthetic.canvas import blend_layer, layer
from fkd.synthetic.degradation import degrade
from fkd.synthetic.hair import Haircut, hair, haircut
from fkd.synthetic.head_model import Array, Head, Single, head
from fkd.synthetic.skin import skin_albedo, skin_surface
from fkd.synthetic.subject import Shot, Subject, sample_shot, sample_subject
from fkd.synthetic.visibility import behind_head, painted_over, under_layer
from fkd.types import Image, Points


class Drawn(NamedTuple):
    """A synthetic face."""

    image: Image  # (S, S, 3) RGB
    points: Points  # (68, 2) photo pixels
    visible: npt.NDArray[np.bool_]  # (68,) whether the image shows the point


def face(seed: int, subject: int, frame: int, size: int, large_poses: float = 0.0) -> tuple[Image, Points]:
    """The image and the points of `draw`."""
    return draw(seed, subject, frame, size, large_poses)[:2]


def draw(seed: int, subject: int, frame: int, size: int, large_poses: float = 0.0) -> Drawn:
    """One image of one synthetic subject.

    The subject depends on (seed, subject), everything else on (seed, subject, frame), nothing on `size`.
    `large_poses` is the probability that the head is turned by up to 90 degrees.
    """
    rng = np.random.default_rng((seed, subject, frame))
    (person, albedo, cut), view = _person(seed, subject), sample_shot(rng, large_poses)
    body, camera, places = _posed(person, view)
    points = places * size - 0.5

    image = scene.background(size, rng)
    trunk = scene.body_camera(camera, view)
    behind, before = hair(body, person, cut, view, camera)
    neck = scene.neck_surface(body, person, view, trunk)
    blend_layer(image, layer(neck, size=size) if person.bald else layer(*behind, neck, size=size))
    scene.draw_clothes(image, person, view, trunk, rng)
    skin = layer(skin_surface(body, albedo, view, camera), size=size)

    def light(place: Array) -> Array:
        return np.asarray(np.minimum(np.maximum(skin.at(place) / person.skin, 0.05), 1.6))

    right, left = (light((places[a] + places[b] + places[c]) / 3) for a, b, c in ((1, 36, 31), (15, 45, 35)))
    cheeks = {-1: right, 1: left}
    far = 1 if view.pose.yaw > 0 else -1
    scene.draw_ear(image, body, far, person, view, camera, cheeks[far] * 0.8)
    blend_layer(image, skin)
    scene.draw_ear(image, body, -far, person, view, camera, cheeks[-far] * 0.9)

    flat = features.Flat(points, camera.rotation[:2] * camera.scale * size, camera.scale * size)
    if person.age > 0.55:
        features.draw_wrinkles(image, flat, light(places[27]), person)
    features.draw_nose(image, flat, light(places[30]), person)
    features.draw_mouth(image, flat, light((places[48] + places[54] + places[8]) / 3), person)
    features.draw_eyes(image, flat, (right, left), person, view)
    features.draw_brows(image, flat, (right + left) / 2, person)
    if person.glasses > 0:
        accessories.draw_temples(image, body, person, camera)
    hidden = behind_head(body, camera)
    if not person.bald:
        front = layer(before, size=size)
        hidden |= under_layer(front, places)
        blend_layer(image, front)
    uncovered = image.copy()
    if person.glasses > 0:
        accessories.draw_glasses(image, body, person, camera)
        if not person.shades:
            uncovered = image.copy()
    if rng.random() < 0.15:
        accessories.draw_occluder(image, points, left, person, rng)
    hidden |= painted_over(uncovered, image, points)
    return Drawn(degrade(image, rng), points.astype(np.float32), ~hidden)


def face_points(seed: int, subject: int, frame: int, size: int, large_poses: float = 0.0) -> Points:
    """The points (68, 2) of `face`, much faster."""
    person = sample_subject(np.random.default_rng((seed, subject)))
    view = sample_shot(np.random.default_rng((seed, subject, frame)), large_poses)
    return (_posed(person, view)[2] * size - 0.5).astype(np.float32)


def _posed(person: Subject, view: Shot) -> tuple[Head, Camera, Array]:
    """The head, the camera and the 68 points in image coordinates."""
    body = head(person.identity, view.expression)
    camera = place(body, view.pose, view.side, view.centre)
    return body, camera, visible_points(body, camera, view.pose.roll)


@lru_cache(maxsize=1)  # the frames of a subject are usually drawn one after the other
def _person(seed: int, subject: int) -> tuple[Subject, Single, Haircut]:
    """The subject, the albedo of the skin and the hair."""
    person = sample_subject(np.random.default_rng((seed, subject)))
    return person, skin_albedo(person), haircut(person)
