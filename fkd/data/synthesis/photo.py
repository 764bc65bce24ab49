"""What a camera and a codec do to a picture: blur, few pixels, noise, colour, blocks."""

import cv2
import numpy as np

from fkd.types import Image

_GRAIN = np.random.default_rng(68).normal(128, 32, (512, 512, 3)).clip(0, 255).astype(np.uint8)
_LEVELS = np.linspace(0, 1, 256)


def degrade(image: Image, rng: np.random.Generator) -> Image:
    """The picture as a video frame or a snapshot would show it; points stay where they are."""
    size = image.shape[0]
    softness = (0.4, 0.7, 1.2)[rng.integers(3)] * size / 192
    if rng.random() < 0.35:  # few pixels, enlarged
        small = max(int(size * rng.uniform(0.3, 0.8)), 24)
        image = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    elif softness > 0.25:
        image = cv2.GaussianBlur(image, (0, 0), softness)  # type: ignore[assignment]
    if rng.random() < 0.15:
        image = _shake(image, rng)
    image = cv2.LUT(image, _tones(rng))  # type: ignore[assignment]
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
    gamma, gain = np.exp(rng.normal(0, 0.25)), np.exp(rng.normal(0, 0.15))
    cast = np.exp(rng.normal(0, 0.05, 3))
    black = rng.uniform(-0.05, 0.12)
    curve = black + (gain - black) * _LEVELS**gamma
    tones: Image = np.clip(255 * curve[None, :, None] * cast, 0, 255).astype(np.uint8)
    return tones


def _grain(image: Image, rng: np.random.Generator) -> Image:
    size = image.shape[0]
    tile = _GRAIN
    if size > 384:
        tile = np.tile(_GRAIN, (-(-size // 384) + 1, -(-size // 384) + 1, 1))
    x, y = rng.integers(0, 128, 2)
    amount = rng.uniform(0, 0.3) ** 1.5 * 1.2
    return cv2.addWeighted(image, 1.0, tile[y : y + size, x : x + size], amount, -128 * amount)  # type: ignore[return-value]
