"""Hair: a cap of strands from the crown to the hairline, which may hang down at the sides."""

from typing import NamedTuple

import cv2
import numpy as np

from fkd.synthetic.camera import Camera
from fkd.synthetic.canvas import Surface, coloured, surface, tinted
from fkd.synthetic.head_model import Head, Single, grid_column, grid_row
from fkd.synthetic.skin import along, light_on
from fkd.synthetic.subject import STRANDS, Shot, Subject

_ANGLES = np.linspace(-np.pi, np.pi, STRANDS)
_SHARE = np.linspace(0, 1, 9, dtype=np.float32)  # from crown to edge
_FULLNESS = 0.25 + 2.2 * (1 - _SHARE)
_COLUMNS = np.repeat(grid_column(_ANGLES)[:, None], len(_SHARE), axis=1).astype(np.float32)
_CROWN = -2.7
_HANGING = 0.7  # below this height hair no longer follows the head


class Haircut(NamedTuple):
    """A subject's hair in A columns around the head, from the crown to the edge in S steps; arrays (A, S)."""

    height: Single  # on the mean head
    thickness: Single
    shade: Single  # of the strands, about 1


def haircut(subject: Subject) -> Haircut:
    """The hair of a subject."""
    edge = np.interp(np.abs(_ANGLES), [0.1, 0.75, 1.25, 2.3], subject.hairline).astype(np.float32)
    noise = subject.strands
    locks = np.asarray(cv2.GaussianBlur(noise, (7, 1), 0), np.float32)  # neighbouring strands fall together
    edge += 1.6 * locks[0] * np.where(edge < 0.5, np.float32(subject.fringe), np.float32(0.12))
    edge += 0.3 * subject.fringe * noise[0]
    full = np.minimum(1, _FULLNESS + (edge > 0.5)[:, None])
    tips = 0.12 * noise[2][:, None] * np.sin(3 * _SHARE + 3 * locks[3][:, None])
    return Haircut(
        height=_CROWN + (edge - _CROWN)[:, None] * _SHARE,
        thickness=subject.volume * (1 + 0.25 * locks[1])[:, None] * full,
        shade=1 + (0.15 * noise[1] + 0.3 * locks[2])[:, None] + tips,
    )


def hair(head: Head, subject: Subject, cut: Haircut, shot: Shot, camera: Camera) -> tuple[list[Surface], Surface]:
    """The hair behind the head, if it is long, and the hair in front of it."""
    cap = _cap(head, cut.height)
    outward = cap.copy()
    outward[1] -= np.clip(cut.height, -1.4, 0)
    outward[2] += 1.5
    outward /= np.sqrt((outward * outward).sum(axis=0))
    cap += outward * cut.thickness
    cap[1] += np.maximum(cut.height - _HANGING, 0)
    facing = camera.turn(outward)
    gloss = 1 + 0.5 * np.exp((along(shot.light, facing) - 0.85) ** 2 / -0.02)
    paint = coloured(light_on(facing, shot) * cut.shade * gloss, subject.hair)
    turned, far_last = camera.turn(cap), bool(camera.rotation[0, 2] > 0)
    front = surface(camera, turned, facing[2], paint, fine=(2, 7), far_last=far_last)
    if subject.hairline[2:].max() < 0.5:
        return [], front
    shaded = tinted(paint, (0.55, 0.55, 0.55, 1))
    return [surface(camera, turned, 0.2 - facing[2], shaded, fine=(2, 7), far_last=far_last)], front


def _cap(head: Head, height: Single) -> Single:
    """The head's surface (3, A, S) at the angles of the hair and heights (A, S), straight down where hair hangs."""
    rows = grid_row(np.minimum(height, _HANGING)).astype(np.float32)
    return np.array(cv2.split(cv2.remap(cv2.merge(list(head.grid)), rows, _COLUMNS, cv2.INTER_LINEAR)))
