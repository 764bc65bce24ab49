"""One generated picture, from behind to before."""

import numpy as np

from fkd.data.synthesis import accessories, features, scene
from fkd.data.synthesis.camera import place, visible_points
from fkd.data.synthesis.canvas import blend, blend_layer, layer
from fkd.data.synthesis.hair import STRANDS, hair
from fkd.data.synthesis.photo import degrade
from fkd.data.synthesis.shape import MEAN_GRID, Array, head
from fkd.data.synthesis.skin import skin_layer
from fkd.data.synthesis.subject import shot, subject
from fkd.types import Image, Points


def face(seed: int, subject_index: int, frame: int, size: int) -> tuple[Image, Points]:
    """One picture of one generated person.

    The person belongs to (seed, subject), everything else to (seed, subject, frame); `size` changes neither.

    Returns:
        (size, size, 3) uint8 RGB, and the 68 points of `fkd.schema.IBUG68` (68, 2) float32 in photo pixels.
    """
    person_rng = np.random.default_rng((seed, subject_index))
    rng = np.random.default_rng((seed, subject_index, frame))
    person, view = subject(person_rng), shot(rng)
    skin_noise = person_rng.standard_normal(MEAN_GRID.shape[:2])
    strands = np.clip(person_rng.standard_normal((4, STRANDS)), -2, 2)

    body = head(person.identity, view.expression)
    camera = place(body, view.pose, view.side, view.centre)
    places = visible_points(body, camera, view.pose.roll)
    points = places * size - 0.5
    basis = camera.rotation[:2] * camera.scale * size

    image = scene.background(size, rng)
    behind, before = hair(body, person, view, camera, strands)
    neck = scene.neck_surface(body, person, view, camera)
    blend_layer(image, layer(neck) if person.bald else layer(behind, neck))
    scene.draw_clothes(image, person, view, camera, rng)
    skin = skin_layer(body, person, view, camera, skin_noise)

    def light(place: Array) -> Array:
        return np.asarray(np.clip(skin.at(place) / person.skin, 0.05, 1.6))

    cheeks = {-1: light(places[[1, 36, 31]].mean(axis=0)), 1: light(places[[15, 45, 35]].mean(axis=0))}
    far = 1 if view.pose.yaw > 0 else -1
    scene.draw_ear(image, body, far, person, view, camera, cheeks[far] * 0.8)
    blend_layer(image, skin)
    scene.draw_ear(image, body, -far, person, view, camera, cheeks[-far] * 0.9)

    features.draw_nose(image, points, basis, light(places[30]), person)
    features.draw_mouth(image, points, basis, light(places[[48, 54, 8]].mean(axis=0)), person, view)
    for eye, outer, side in ((points[36:42], 0, -1), (points[42:48], 3, 1)):
        features.draw_eye(image, eye, outer, basis, cheeks[side], person, view)
    mask = features.hair_mask(size, points, basis, person)
    dark = np.empty_like(image)
    dark[:] = np.clip(person.hair * 0.8 * (cheeks[-1] + cheeks[1]) / 2, 0, 255)
    blend(image, dark, mask * 0.85)
    if person.glasses > 0:
        accessories.draw_temples(image, body, person, camera)
    if not person.bald:
        blend_layer(image, layer(before))
    if person.glasses > 0:
        accessories.draw_glasses(image, body, person, camera)
    if rng.random() < 0.15:
        accessories.draw_occluder(image, points, cheeks[1], person, rng)
    return degrade(image, rng), points.astype(np.float32)
