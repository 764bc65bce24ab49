"""Degradation of an image by a camera and a codec: blur, low resolution, noise, colour, blocks."""

import cv2
import numpy as np

from fkd.types import Image

_GRAIN = np.random.default_rng(68).normal(128, 32, (512, 512, 3)).clip(0, 255).astype(np.uint8)
_LEVELS = np.linspace(0, 1, 256)
_TONE_SPREADS = np.array([0.25, 0.15, 0.05, 0.05, 0.05])


def degrade(image: Image, rng: np.random.Generator) -> Image:
    """The image as in a video frame or a snapshot; points do not move."""
    size = image.shape[0]
    softness, tones = (0.4, 0.7, 1.2)[rng.integers(3)] * size / 192, _tones(rng)
    if rng.random() < 0.35:  # low resolution
        share = rng.uniform(0.3, 0.8)
        small = max(int(size * share), 24)
        if share < 0.6:  # so that no pixel is skipped
            image = cv2.blur(image, (3, 3))  # type: ignore[assignment]
        image = cv2.LUT(cv2.resize(image, (small, small), interpolation=cv2.INTER_LINEAR), tones)  # type: ignore[assignment]
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    else:
        if softness > 0.25:
            reach = 2 * round(2 * softness) + 1
            image = cv2.GaussianBlur(image, (reach, reach), softness)  # type: ignore[assignment]
        image = cv2.LUT(image, tones)  # type: ignore[assignment]
    if rng.random() < 0.15:
        image = _shake(image, rng)
    image = _grain(image, rng)
    if rng.random() < 0.12:
        _, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 80))])
        image = cv2.imdecode(code, cv2.IMREAD_COLOR)  # type: ignore[assignment]
    return image


def _shake(image: Image, rng: np.random.Generator) -> Image:
    """Blur along a line."""
    reach, turn = rng.uniform(0.5, 2.5) * image.shape[0] / 192, rng.uniform(0, np.pi)
    kernel = np.zeros((9, 9), np.float32)
    tip = np.array([np.cos(turn), np.sin(turn)]) * reach
    ends = np.round((np.stack([4 - tip, 4 + tip])) * 16).astype(int).tolist()
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA, 4)
    return cv2.filter2D(image, -1, kernel / kernel.sum())  # type: ignore[return-value]


def _tones(rng: np.random.Generator) -> Image:
    """(1, 256, 3) tone curves: exposure, contrast, colour cast."""
    gamma, gain, *cast = np.exp(rng.standard_normal(5) * _TONE_SPREADS).tolist()
    black = rng.uniform(-0.05, 0.12)
    curve = black + (gain - black) * _LEVELS**gamma
    tones: Image = np.multiply.outer(255 * curve, cast).clip(0, 255).astype(np.uint8)
    return tones[None]


def _grain(image: Image, rng: np.random.Generator) -> Image:
    size = image.shape[0]
    tile = _GRAIN
    if size > 384:
        tile = np.tile(_GRAIN, (-(-size // 384) + 1, -(-size // 384) + 1, 1))
    x, y = rng.integers(128), rng.integers(128)
    amount = rng.uniform(0, 0.3) ** 1.5 * 1.2
    return cv2.addWeighted(image, 1.0, tile[y : y + size, x : x + size], amount, -128 * amount)  # type: ignore[return-value]
