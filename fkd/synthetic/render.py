"""One synthetic image, drawn from back to front."""

from functools import lru_cache

import numpy as np

from fkd.synthetic import accessories, features, scene
from fkd.synthetic.camera import Camera, place, visible_points
from fkd.synthetic.canvas import blend_layer, layer
from fkd.synthetic.degradation import degrade
from fkd.synthetic.hair import Haircut, hair, haircut
from fkd.synthetic.head_model import Array, Head, Single, head
from fkd.synthetic.skin import skin_albedo, skin_surface
from fkd.synthetic.subject import Shot, Subject, sample_shot, sample_subject
from fkd.types import Image, Points


def face(seed: int, subject: int, frame: int, size: int) -> tuple[Image, Points]:
    """One image of one synthetic subject.

    The subject depends on (seed, subject), everything else on (seed, subject, frame), nothing on `size`.

    Returns:
        (size, size, 3) uint8 RGB, and the 68 points of `fkd.schema.IBUG68` (68, 2) float32 in photo pixels.
    """
    rng = np.random.default_rng((seed, subject, frame))
    (person, albedo, cut), view = _person(seed, subject), sample_shot(rng)
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
    if not person.bald:
        blend_layer(image, layer(before, size=size))
    if person.glasses > 0:
        accessories.draw_glasses(image, body, person, camera)
    if rng.random() < 0.15:
        accessories.draw_occluder(image, points, left, person, rng)
    return degrade(image, rng), points.astype(np.float32)


def face_points(seed: int, subject: int, frame: int, size: int) -> Points:
    """The points (68, 2) of `face`, much faster."""
    person = sample_subject(np.random.default_rng((seed, subject)))
    view = sample_shot(np.random.default_rng((seed, subject, frame)))
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
