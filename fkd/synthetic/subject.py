"""Random parameters: of a subject, and of one image of the subject."""

import math
from dataclasses import dataclass

import numpy as np

from fkd.synthetic.camera import Pose
from fkd.synthetic.head_model import EXPRESSION, IDENTITY, Array, Single

_SKIN = np.array(
    [[250, 218, 196], [238, 192, 162], [228, 178, 145], [205, 150, 115], [176, 122, 88], [132, 86, 60], [92, 58, 42]],
    np.float64,
)
_HAIR = np.array(
    [[24, 20, 18], [44, 30, 22], [84, 56, 36], [122, 84, 50], [196, 158, 98], [132, 62, 30], [158, 154, 150]],
    np.float64,
)
_RIMS = np.array([[22, 20, 20], [60, 36, 24], [150, 130, 90], [120, 122, 128]], np.float64)
_IRIS = np.array([[60, 38, 22], [44, 26, 16], [92, 66, 34], [84, 104, 64], [82, 116, 146], [110, 124, 132]], np.float64)
STRANDS = 81  # columns of hair around a head
_MOST_TURNED = np.array([[-1], [1]]) * [0.79, 0.42, 0.5]  # smallest and largest yaw, pitch and roll
_LARGE_POSE = [math.pi / 2, 0.6]  # largest yaw and pitch
_MOODLESS = {"mouth_aside": 0.5, "mouth_tilt": 0.5, "brows_up": 0.6, "frown": 0.5, "brows_tilt": 0.4}


@dataclass(frozen=True)
class Subject:
    """A subject, the same in all of its images. Colours are RGB, 0 to 255."""

    identity: Array  # coefficients of head_model.IDENTITY
    skin: Array
    hair: Array
    iris: Array
    lips: Array
    age: float  # 0 young, 1 old
    hairline: Array  # mean height of the hair's edge: middle, temple, side, back
    parting: float  # not used; without its random number all images would change
    fringe: float  # raggedness of the hairline
    volume: float  # thickness of the hair
    bald: bool
    brow: float  # thickness
    lashes: float  # 0 to 1, with make-up
    beard: float  # 0 to 1 over the jaw
    moustache: float  # 0 to 1
    glasses: float  # thickness of the rims; 0: no glasses
    glasses_colour: Array
    glasses_shape: Array  # half width, half height, roundness
    shades: bool
    cloth: Array
    lapels: int  # 0: none, 1: of the cloth, 2: white
    skin_noise: tuple[int, int]  # corner of the subject's part of the skin noise
    strands: Single  # (4, STRANDS) standard normal deviates, variation of the strands of hair


@dataclass(frozen=True)
class Shot:
    """Expression, pose, place and light of one image."""

    expression: Array  # coefficients of head_model.EXPRESSION
    pose: Pose
    gaze: Array  # (2,) radians
    side: float  # of the square around the points, as a share of the frame
    centre: Array  # (2,) of that square
    light: Array  # (3,) unit vector towards the light
    ambient: float
    shine: float
    seed: int  # not used, as Subject.parting


def sample_subject(rng: np.random.Generator) -> Subject:
    """A random subject."""
    woman, age = rng.random() < 0.45, rng.beta(1.2, 1.6)
    tone = rng.random() * (len(_SKIN) - 1)
    skin = _mix(_SKIN, tone) * rng.normal(1, 0.04, 3)
    hair = _HAIR[rng.integers(5 if tone < 2.5 else 2) if rng.random() > 0.12 else 5 - (tone > 3) * 4]
    grey = np.clip((age - 0.55) * 2.5 + rng.normal(0, 0.2), 0, 0.95)
    hair = hair * (1 - grey) + (_HAIR[6] + 40 * rng.random()) * grey
    iris = _IRIS[rng.integers(6 if tone < 2.2 else 2)]
    red = np.array([rng.uniform(0.78, 1.0), rng.uniform(0.55, 0.8), rng.uniform(0.55, 0.8)])
    made_up = woman * rng.random()
    hairline, bald = _hairline(rng, woman, age)
    bearded = (not woman) and rng.random() < 0.4
    return Subject(
        identity=np.clip(rng.standard_normal(len(IDENTITY)), -2.3, 2.3),
        skin=skin,
        hair=hair,
        iris=iris,
        lips=skin * (red if made_up < 0.5 else red * [1, 0.65, 0.75]),
        age=age,
        hairline=hairline,
        parting=rng.normal(0, 0.5),
        fringe=(0.03, 0.1, 0.25)[rng.integers(3)] * rng.uniform(0.5, 1.5),
        volume=rng.uniform(0.08, 0.22) + woman * rng.uniform(0, 0.12),
        bald=bald,
        brow=rng.uniform(0.09, 0.17) * (0.75 if woman else 1.0),
        lashes=made_up,
        beard=bearded * rng.uniform(0.25, 1.0),
        moustache=(bearded * rng.uniform(0, 1.3) if rng.random() < 0.8 else float(not woman)) * (rng.random() < 0.7),
        glasses=rng.uniform(0.015, 0.055) if rng.random() < 0.13 + 0.25 * age else 0.0,
        glasses_colour=_RIMS[rng.integers(4)],
        glasses_shape=np.array([rng.uniform(0.46, 0.6), rng.uniform(0.26, 0.44), rng.uniform(2.0, 5.0)]),
        shades=rng.random() < 0.12,
        lapels=int(rng.integers(3)),
        cloth=np.clip(rng.uniform(15, 235) + rng.normal(0, 35, 3), 5, 250),
        skin_noise=(int(rng.integers(64)), int(rng.integers(64))),
        strands=np.clip(rng.standard_normal((4, STRANDS), np.float32), -2, 2),
    )


def sample_shot(rng: np.random.Generator, large_poses: float = 0.0) -> Shot:
    """The random parameters of an image; with this probability the head is turned by up to 90 degrees."""
    expression = dict.fromkeys(EXPRESSION, 0.0)
    mood = rng.random()
    if mood < 0.35:
        expression["smile"] = rng.uniform(0.2, 1.4)
        expression["part"] = rng.uniform(0, 1.3) * (rng.random() < 0.7)
        expression["open"] = rng.uniform(0, 0.4) * (rng.random() < 0.4)
    elif mood < 0.75:
        expression["open"] = rng.beta(1.2, 2.5)
        expression["part"] = rng.uniform(0, 0.8)
        expression["smile"] = rng.normal(0.1, 0.4)
        expression["pucker"] = rng.uniform(0, 0.9) * (rng.random() < 0.3)
    else:
        expression["smile"] = rng.normal(0, 0.3)
        expression["part"] = rng.uniform(-0.2, 0.2)
    for name, spread in _MOODLESS.items():
        expression[name] = rng.normal(0, spread)
    expression["lids"] = rng.uniform(0.85, 1.1) if rng.random() < 0.06 else rng.normal(0.08, 0.2)
    turn = 0.14 if rng.random() < 0.35 else 0.45
    yaw, pitch, roll = np.clip(rng.normal(0, [turn, 0.16, 0.13]), *_MOST_TURNED).tolist()
    if large_poses and rng.random() < large_poses:  # no random number otherwise: other images stay the same
        yaw, pitch = (rng.uniform(-1, 1, 2) * _LARGE_POSE).tolist()
    pose = Pose(yaw, pitch, roll, distance=1 / rng.uniform(1 / 40, 1 / 11))
    side = rng.uniform(0.4, 0.75)
    room = (1 - side) / 2
    direction = np.array([rng.normal(0, 0.9), -abs(rng.normal(0.4, 0.5)), rng.uniform(0.4, 1.6)])
    return Shot(
        expression=np.array(list(expression.values())),
        pose=pose,
        gaze=np.clip(rng.normal(0, 0.25, 2) * [1, 0.5], -0.5, 0.5),
        side=side,
        centre=np.array([0.5, 0.53]) + np.clip(rng.normal(0, 0.35, 2), -0.8, 0.8) * room,
        light=direction / math.sqrt(direction @ direction),
        ambient=rng.uniform(0.35, 0.8),
        shine=rng.uniform(0, 0.35),
        seed=int(rng.integers(2**31)),
    )


def _hairline(rng: np.random.Generator, woman: bool, age: float) -> tuple[Array, bool]:
    """Heights of the hair's edge in the middle, at the temples, at the sides and behind; and whether it is bald."""
    if not woman and rng.random() < 0.08 + 0.2 * age:
        if rng.random() < 0.4:
            return np.zeros(4), True
        return np.array([-2.55, -2.1, rng.uniform(-0.4, 0.3), 1.0]), False  # a wreath
    middle = -1.55 + rng.normal(0, 0.13)
    if rng.random() < 0.25:
        middle = rng.uniform(-1.2, -0.65)  # a fringe
    temple = middle + rng.uniform(-0.2, 0.25)
    if woman and rng.random() < 0.8:
        length = rng.uniform(0.9, 4.5)
        return np.array([middle, min(temple + rng.uniform(0, 0.5), -0.6), length, length + 0.2]), False
    if rng.random() < 0.1:
        return np.array([middle, temple, rng.uniform(1.0, 3.5), 3.0]), False
    return np.array([middle, temple, rng.uniform(-0.5, 0.4), 1.2]), False


def _mix(colours: Array, place: float) -> Array:
    """The colour at a fractional place of a list."""
    below = min(int(place), len(colours) - 2)
    mixed: Array = colours[below] + (place - below) * (colours[below + 1] - colours[below])
    return mixed
