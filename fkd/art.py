"""The pictures of the face filters, drawn in code: `PICTURES` has their names and what draws them.

Places are pixels of the finished picture, (x, y) with the centre of the first pixel at (0, 0); colours are RGB, 0 to
255; opacities and masks go from 0 to 1. Everything is drawn at twice the size and averaged down.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]
Mask = npt.NDArray[np.float32]
Colour = tuple[float, float, float]
Place = tuple[float, float]

_SCALE = 2
_SHIFT = 4  # OpenCV draws at sixteenths of a pixel
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


def smooth(*places: Place, closed: bool = False) -> Points:
    """A curve (N, 2) through places: a Catmull-Rom spline, which turns at each place parallel to its neighbours' chord.

    Catmull and Rom, "A Class of Local Interpolating Splines", Computer Aided Geometric Design, 1974.
    """
    knots = np.array(places, np.float64)
    count = len(knots) if closed else len(knots) - 1
    padded = np.concatenate([knots[-1:], knots, knots[:2]] if closed else [knots[:1], knots, knots[-1:]])
    t = np.linspace(0, 1, 17)[:, None]
    pieces = []
    for i in range(count):
        before, start, stop, after = padded[i : i + 4]
        bend = 2 * before - 5 * start + 4 * stop - after
        twist = 3 * start - before - 3 * stop + after
        pieces.append(start + ((stop - before) * t + bend * t**2 + twist * t**3) / 2)
    return np.concatenate(pieces)


def mirrored(half: Points, middle: float) -> Points:
    """A closed outline from its half, which starts and ends on the vertical line x = middle."""
    return np.concatenate([half, half[::-1] * [-1, 1] + [2 * middle, 0]])


def ellipse(x: float, y: float, across: float, down: float, turn: float = 0.0) -> Points:
    """An ellipse about (x, y) from its half axes, turned clockwise by degrees."""
    angle, lean = np.linspace(0, 2 * np.pi, 96, endpoint=False), np.deg2rad(turn)
    points = np.stack([across * np.cos(angle), down * np.sin(angle)], axis=1)
    return np.asarray(points @ [[np.cos(lean), np.sin(lean)], [-np.sin(lean), np.cos(lean)]] + [x, y])


class Canvas:
    """A picture in the making."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self._pixels = np.zeros((height * _SCALE, width * _SCALE, 4), np.float32)  # RGB times opacity, and opacity

    def area(self, *outlines: Points) -> Mask:
        """What lies inside of an odd number of outlines."""
        mask = np.zeros(self._pixels.shape[:2], np.uint8)
        cv2.fillPoly(mask, [self._fixed(outline) for outline in outlines], 255, cv2.LINE_AA, _SHIFT)
        return mask.astype(np.float32) / np.float32(255)

    def lines(self, curves: Sequence[Points], width: float) -> Mask:
        """Lines along curves."""
        mask = np.zeros(self._pixels.shape[:2], np.uint8)
        fixed = [self._fixed(curve) for curve in curves]
        cv2.polylines(mask, fixed, False, 255, max(1, round(width * _SCALE)), cv2.LINE_AA, _SHIFT)
        return mask.astype(np.float32) / np.float32(255)

    def fade(self, start: Place, stop: Place) -> Mask:
        """0 at and before a place, 1 at and behind another, even between."""
        along = np.subtract(stop, start) / np.square(np.subtract(stop, start)).sum()
        height, width = self._pixels.shape[:2]
        across = ((np.arange(width) + 0.5) / _SCALE - 0.5 - start[0]) * along[0]
        down = ((np.arange(height) + 0.5) / _SCALE - 0.5 - start[1]) * along[1]
        return np.asarray(np.clip(across + down[:, None], 0, 1), np.float32)

    def lay(self, mask: Mask, colour: Colour, opacity: float = 1.0) -> None:
        """Paint an even colour where the mask is."""
        left, top, width, height = cv2.boundingRect((mask > 0).astype(np.uint8))
        part = (slice(top, top + height), slice(left, left + width))
        cover = (mask[part] * opacity)[..., None]
        self._pixels[part] *= 1 - cover
        self._pixels[part] += cover * np.array([*colour, 255], np.float32)

    def shade(self, mask: Mask, start: Place, stop: Place, *colours: Colour) -> None:
        """Paint colours that pass into each other along the way from one place to another."""
        self.lay(mask, colours[0])
        for i, colour in enumerate(colours[1:]):
            way = np.subtract(stop, start) / (len(colours) - 1)
            self.lay(mask * self.fade(tuple(start + way * i), tuple(start + way * (i + 1))), colour)

    def rub(self, mask: Mask) -> None:
        """Take away what is there."""
        self._pixels *= 1 - mask[..., None]

    def bevel(self, mask: Mask, depth: float, light: float, dark: float) -> None:
        """Light on the edges that face up, shadow on those that face down."""
        for shift, colour, opacity in ((depth, _WHITE, light), (-depth, _BLACK, dark)):
            self.lay(soft(mask * (1 - moved(mask, 0, shift)), depth / 3) * mask, colour, opacity)

    def picture(self) -> Picture:
        """(height, width, 4) RGBA."""
        pixels = cv2.resize(self._pixels, self.size, interpolation=cv2.INTER_AREA)
        alpha = pixels[..., 3:]
        colours = np.where(alpha >= 0.5, pixels[..., :3] * 255 / np.maximum(alpha, 0.5), 0)
        return np.asarray(np.rint(np.concatenate([colours, alpha], axis=-1).clip(0, 255)), np.uint8)

    @staticmethod
    def _fixed(points: Points) -> npt.NDArray[np.int32]:
        return np.asarray(np.rint(((points + 0.5) * _SCALE - 0.5) * 2**_SHIFT), np.int32)


def soft(mask: Mask, sigma: float) -> Mask:
    """The mask through a Gaussian."""
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma * _SCALE, borderType=cv2.BORDER_CONSTANT), np.float32)


def moved(mask: Mask, x: float, y: float) -> Mask:
    """The mask farther right and down."""
    shift = np.array([[1, 0, x * _SCALE], [0, 1, y * _SCALE]], np.float64)
    return np.asarray(cv2.warpAffine(mask, shift, mask.shape[1::-1]), np.float32)


def fur(canvas: Canvas, mask: Mask, one: Points, other: Points, tones: Sequence[Colour], count: int) -> None:
    """Hairs that run along and between two curves (N, 2) of one length, inside of the mask."""
    rng = np.random.default_rng(7)
    for tone in np.repeat(np.array(tones), 4, axis=0)[rng.permutation(4 * len(tones))].tolist():
        hairs = []
        for _ in range(count // (4 * len(tones))):
            start, length = rng.uniform(-0.1, 0.8), rng.uniform(0.15, 0.45)
            along = np.clip(np.linspace(start, start + length, 12), 0, 1) * (len(one) - 1)
            across = np.clip(rng.uniform(-0.05, 1.05) + rng.normal(0, 0.1) * np.linspace(0, 1, 12), -0.1, 1.1)[:, None]
            first, second = (
                np.stack([np.interp(along, np.arange(len(c)), c[:, k]) for k in (0, 1)], axis=1) for c in (one, other)
            )
            hairs.append(first * (1 - across) + second * across)
        canvas.lay(soft(canvas.lines(hairs, 2), 0.6) * mask, (tone[0], tone[1], tone[2]), 0.45)


def sunglasses() -> Picture:
    """Black acetate frame, lenses from indigo to amber."""
    canvas = Canvas(512, 190)
    frame = smooth((256, 50), (296, 36), (360, 24), (430, 19), (482, 14), (501, 20), (502, 38), (494, 64), (487, 92))
    frame = np.concatenate([frame, smooth((487, 92), (470, 136), (430, 168), (378, 177), (326, 164), (292, 130))])
    frame = np.concatenate([frame, smooth((292, 130), (276, 97), (256, 86))])
    lens = smooth(
        *((292, 70), (306, 53), (372, 42), (440, 40), (470, 53), (472, 84), (456, 124), (424, 153)),
        *((378, 161), (334, 150), (307, 122)),
        closed=True,
    )
    lenses = canvas.area(lens, lens * [-1, 1] + [512, 0])
    whole = np.maximum(canvas.area(mirrored(frame, 256)), lenses)
    rims = whole * (1 - lenses)
    canvas.lay(soft(moved(whole, 0, 5), 4), _BLACK, 0.35)

    canvas.lay(lenses, (14, 12, 24), 0.94)
    canvas.lay(lenses * canvas.fade((0, 50), (0, 120)), (58, 34, 66), 0.75)
    canvas.lay(lenses * canvas.fade((0, 95), (0, 165)), (196, 108, 62), 0.6)
    canvas.lay(soft(moved(rims, 0, 7), 5) * lenses, _BLACK, 0.6)
    for x in (0, 226):
        for left, right, opacity in ((100, 142, 0.30), (154, 168, 0.22)):
            streak = np.array([[left, 36], [right, 36], [right - 66, 168], [left - 66, 168]]) + np.array([x, 0])
            glow = soft(canvas.area(streak), 1.2) * lenses * (1 - canvas.fade((0, 40), (0, 150)))
            canvas.lay(glow, (225, 235, 255), opacity)

    canvas.shade(rims, (0, 15), (0, 175), (66, 66, 74), (26, 26, 30), (14, 14, 16))
    canvas.bevel(rims, 3, 0.42, 0.6)
    shine = smooth((300, 43), (360, 31), (430, 26), (480, 23))
    canvas.lay(soft(canvas.lines([shine, shine * [-1, 1] + [512, 0]], 4), 2) * rims, _WHITE, 0.5)
    studs = canvas.area(*(ellipse(x, 36, 9, 4.5, turn) for x, turn in ((485, -6), (27, 6))))
    canvas.shade(studs, (0, 31), (0, 41), (250, 250, 255), (170, 172, 182), (104, 106, 116))
    return canvas.picture()


def moustache() -> Picture:
    """A handlebar, waxed."""
    canvas = Canvas(512, 190)
    upper = smooth((256, 58), (290, 36), (334, 36), (376, 64), (412, 92), (446, 96), (470, 78), (474, 50), (462, 36))
    lower = smooth(
        (256, 96), (286, 124), (330, 150), (386, 160), (440, 154), (480, 128), (498, 90), (490, 54), (462, 36)
    )
    half = np.concatenate([upper, lower[::-1]])
    mask = canvas.area(mirrored(half, 256))
    canvas.lay(soft(moved(mask, 0, 7), 5), _BLACK, 0.35)
    canvas.shade(mask, (0, 36), (0, 160), (104, 64, 36), (72, 42, 24), (34, 19, 12))
    tones = ((150, 98, 58), (116, 72, 40), (54, 32, 18), (30, 17, 10))
    for side in (1, -1):
        one, other = (curve * [side, 1] + [256 * (1 - side), 0] for curve in (upper, lower))
        inside = mask * canvas.area(half * [side, 1] + [256 * (1 - side), 0])
        fur(canvas, inside, one, other, tones, 128)
        glow = one * 0.68 + other * 0.32
        canvas.lay(soft(canvas.lines([glow[10:90]], 7), 5) * mask, (232, 180, 128), 0.42)
    canvas.lay(soft(canvas.lines([np.array([[256.0, 60], [256, 96]])], 3), 3) * mask, _BLACK, 0.55)
    canvas.bevel(mask, 3, 0.18, 0.5)
    return canvas.picture()


def hat() -> Picture:
    """A fedora of camel felt with a dark ribbon."""
    canvas = Canvas(512, 276)
    brim = smooth((256, 151), (340, 151), (420, 160), (472, 163), (494, 166), (502, 178), (488, 198), (448, 220))
    brim = np.concatenate([brim, smooth((448, 220), (396, 241), (330, 253), (290, 256), (256, 257))])
    crown = smooth((256, 38), (282, 28), (320, 22), (354, 34), (374, 70), (386, 122), (396, 176), (400, 187))
    crown = np.concatenate([crown, smooth((400, 187), (340, 208), (296, 214), (256, 215))])
    ribbon = smooth((256, 165), (296, 164), (340, 159), (392, 145))
    ribbon = np.concatenate([ribbon, smooth((400, 187), (340, 208), (296, 214), (256, 215))])
    felt, rim, band = (canvas.area(mirrored(half, 256)) for half in (crown, brim, ribbon))
    canvas.lay(soft(moved(rim, 0, 9), 5), _BLACK, 0.35)

    canvas.shade(rim, (0, 151), (0, 257), (120, 82, 48), (190, 140, 92), (214, 166, 114))
    for start, stop in (((120, 0), (6, 0)), ((392, 0), (506, 0))):
        canvas.lay(rim * canvas.fade(start, stop), (92, 58, 32), 0.55)
    canvas.lay(soft(moved(felt, 0, 12), 8) * rim * (1 - felt), (40, 22, 10), 0.6)
    canvas.bevel(rim, 3, 0.3, 0.45)

    canvas.shade(felt, (112, 0), (400, 0), (128, 86, 50), (212, 164, 112), (196, 146, 96), (112, 74, 42))
    canvas.lay(felt * canvas.fade((0, 90), (0, 190)), (92, 58, 32), 0.35)
    dent = smooth((228, 32), (244, 52), (251, 86), (256, 116))
    canvas.lay(soft(canvas.lines([dent, dent * [-1, 1] + [512, 0]], 14), 9) * felt, (70, 42, 20), 0.6)
    for x, turn in ((186, 14), (326, -14)):
        canvas.lay(soft(canvas.area(ellipse(x, 76, 16, 36, turn)), 13) * felt, (255, 226, 184), 0.55)
    canvas.bevel(felt, 3, 0.25, 0.0)

    canvas.lay(soft(moved(band, 0, -5), 4) * felt, (40, 22, 10), 0.5)
    canvas.shade(band, (110, 0), (402, 0), (24, 18, 20), (72, 58, 60), (50, 38, 42), (18, 12, 14))
    canvas.bevel(band, 2.5, 0.25, 0.4)
    bow = smooth((392, 146), (370, 150), (352, 156), (358, 178), (353, 203), (374, 198), (399, 188))
    knot = canvas.area(bow) * band
    canvas.lay(soft(moved(knot, -4, 0), 3) * band * (1 - knot), _BLACK, 0.6)
    canvas.shade(knot, (350, 0), (400, 0), (86, 68, 70), (40, 30, 34))
    canvas.bevel(knot, 2.5, 0.3, 0.3)
    return canvas.picture()


def dog_ear() -> Picture:
    """The ear on the right of the picture; where it grows from the head it fades into the hair."""
    canvas = Canvas(236, 350)
    outer = smooth((14, 116), (62, 68), (126, 50), (184, 82), (218, 158), (228, 240), (218, 302), (188, 334))
    inner = smooth((28, 168), (68, 164), (98, 188), (110, 212), (118, 238), (134, 286), (156, 322), (188, 334))
    mask = canvas.area(np.concatenate([inner, outer[::-1]]))
    canvas.lay(soft(moved(mask, 0, 5), 5), _BLACK, 0.3)
    canvas.shade(mask, (0, 50), (0, 330), (172, 116, 68), (134, 84, 48), (72, 42, 26))
    fur(canvas, mask, inner, outer, ((186, 130, 82), (150, 98, 56), (96, 58, 34), (70, 40, 24)), 200)
    ridge = inner * 0.25 + outer * 0.75
    canvas.lay(soft(canvas.lines([ridge[24:84]], 18), 11) * mask, (246, 204, 156), 0.5)
    hollow = inner * 0.8 + outer * 0.2
    canvas.lay(soft(canvas.lines([hollow[20:90]], 14), 10) * mask, (50, 28, 16), 0.5)
    canvas.bevel(mask, 3, 0.25, 0.5)
    canvas.rub(canvas.fade((76, 0), (18, 0)))
    return canvas.picture()


def dog_nose() -> Picture:
    """A wet black nose."""
    canvas = Canvas(256, 190)
    half = smooth((128, 14), (182, 16), (228, 40), (244, 80), (222, 122), (178, 146), (146, 164), (128, 168))
    mask = canvas.area(mirrored(half, 128))
    canvas.lay(soft(moved(mask, 0, 6), 5), _BLACK, 0.4)
    canvas.shade(mask, (0, 14), (0, 168), (92, 80, 84), (46, 38, 42), (18, 14, 17))
    hole = smooth((160, 104), (176, 86), (208, 84), (224, 98), (206, 112), (182, 124), (164, 122), closed=True)
    holes = canvas.area(hole, hole * [-1, 1] + [256, 0])
    canvas.lay(soft(moved(holes, 0, 4), 3) * mask, (150, 136, 142), 0.5)
    canvas.lay(soft(holes, 2) * mask, (4, 3, 4), 0.95)
    canvas.lay(soft(canvas.lines([np.array([[128.0, 112], [128, 168]])], 4), 2) * mask, _BLACK, 0.8)
    canvas.lay(soft(canvas.area(ellipse(128, 46, 66, 17)), 9) * mask, (214, 206, 214), 0.75)
    canvas.lay(soft(canvas.area(ellipse(98, 40, 22, 7, -10)), 2.5) * mask, _WHITE, 0.85)
    canvas.bevel(mask, 3, 0.25, 0.5)
    return canvas.picture()


def dog_tongue() -> Picture:
    """A tongue that hangs out."""
    canvas = Canvas(200, 260)
    half = smooth((100, 10), (150, 12), (172, 30), (178, 90), (184, 160), (168, 214), (132, 242), (100, 246))
    mask = canvas.area(mirrored(half, 100))
    canvas.lay(soft(moved(mask, 0, 5), 4), _BLACK, 0.3)
    canvas.shade(mask, (0, 10), (0, 246), (186, 64, 82), (232, 104, 122), (246, 134, 148))
    for edge, opacity in (((52, 16), 0.45), ((148, 184), 0.45)):
        canvas.lay(mask * canvas.fade((edge[0], 0), (edge[1], 0)), (176, 52, 74), opacity)
    groove = smooth((100, 14), (98, 90), (101, 150), (100, 204))
    canvas.lay(soft(canvas.lines([groove], 6), 4) * mask, (150, 36, 60), 0.75)
    canvas.lay(soft(canvas.lines([groove + np.array([8, 0])], 3), 3) * mask, (255, 190, 196), 0.45)
    for x, turn in ((62, 6), (142, -6)):
        canvas.lay(soft(canvas.area(ellipse(x, 168, 10, 42, turn)), 7) * mask, (255, 214, 216), 0.6)
    canvas.lay(mask * (1 - canvas.fade((0, 10), (0, 60))), (96, 18, 36), 0.75)
    canvas.bevel(mask, 3, 0.2, 0.3)
    return canvas.picture()


PICTURES: dict[str, Callable[[], Picture]] = {
    drawing.__name__: drawing for drawing in (sunglasses, moustache, hat, dog_ear, dog_nose, dog_tongue)
}
