"""From any image to keypoints on every face: detector, crops, net, and back to photo pixels."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import compress, islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast, overload, runtime_checkable

import numpy as np
import numpy.typing as npt

from fkd.detect import Candidates, Detections, Detector
from fkd.distributed import cores
from fkd.errors import UserError
from fkd.geometry import channels_first, crop_images, invert, transform
from fkd.inference.found_faces import FoundFaces
from fkd.inference.metadata import Metadata
from fkd.inference.tracking import Tracker
from fkd.io import images
from fkd.models.error_model import relative_spread
from fkd.schema import KeypointSchema
from fkd.types import Face, Image, PerPoint, Points

Photo = str | Path | Image
"""The path of an image, or its pixels: (H, W) grey or (H, W, 3) RGB, uint8."""

_CROPS, _PIXELS = 16, 20_000_000
"""Faces, or pixels of images, that are collected for one call of the net: enough for the net to be fast, and few enough
that the threads do not wait for it."""
_MOST_THREADS = 8
"""Each holds two decoded images; more threads would only wait for the net."""


class Net(Protocol):
    """A net that finds K keypoints on crops."""

    @property
    def metadata(self) -> Metadata:
        """Its metadata."""

    def __call__(self, crops: Image) -> Points:
        """(B, C, S, S) uint8 -> (B, K, 2) float32 crop pixels."""


@runtime_checkable
class NetWithSpread(Protocol):
    """A net that may also give the spread of each point; one with an `error_model` of spreads is of this kind."""

    @property
    def has_spread(self) -> bool:
        """Whether it does."""

    def with_spread(self, crops: Image) -> tuple[Points, PerPoint | None]:
        """The keypoints as of `Net`, and if it `has_spread` the spread (B, K) float32 crop pixels."""


class Found(NamedTuple):
    """Result of one image of a stream."""

    image: Image | None  # (H, W, 3) RGB or (H, W) grey; None if it could not be read
    faces: list[Face]  # highest score first
    error: UserError | None  # of reading the file


class Predictor:
    """Finds the faces of images and the keypoints of each.

    Args:
        net: finds keypoints on crops.
        detector: finds faces; faces whose shape is farther from the training shapes than its `limit` are dropped.
        flip: average the keypoints on a crop and on its mirror image.
        max_pixels: larger image files are refused before they are decoded.
        hiding: for hiding faces: also give all boxes that may hold a face, after the faces, with NaN as keypoints.
    """

    def __init__(self, net: Net, detector: Detector, flip: bool, max_pixels: int, hiding: bool = False) -> None:
        self.net, self.detector, self.flip, self.max_pixels, self.hiding = net, detector, flip, max_pixels, hiding

    @property
    def schema(self) -> KeypointSchema:
        """Schema of the keypoints."""
        return self.net.metadata.schema

    @property
    def has_errors(self) -> bool:
        """Whether faces have an expected error of each point."""
        return self.net.metadata.error_model is not None

    @property
    def has_visibility(self) -> bool:
        """Whether faces have the probability that each point is visible."""
        return self.net.metadata.visibility_model is not None

    @overload
    def __call__(self, photo: Photo) -> FoundFaces: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, photo: Sequence[Photo]) -> list[list[Face]]: ...
    def __call__(self, photo: Photo | Sequence[Photo]) -> FoundFaces | list[list[Face]]:
        """The faces of an image, highest score first, which a notebook shows; for several images a list for each.

        Args:
            photo: path of a file, or pixels: (H, W) grey or (H, W, 3) RGB uint8. Several: a sequence of these, or
                (N, H, W, 3).

        Raises:
            UserError: a file cannot be read.
            ValueError: pixels of another shape or type.
        """
        is_batch = isinstance(photo, Sequence) or (isinstance(photo, np.ndarray) and photo.ndim == 4)
        if isinstance(photo, str) or not is_batch:
            single = cast(Photo, photo)
            return FoundFaces(self._faces([self._look(single)])[0], single)
        several = []
        for found in self.stream(cast(Sequence[Photo], photo)):
            if found.error is not None:
                raise found.error
            several.append(found.faces)
        return several

    def track(self, frames: Iterable[Image], detect_every: int = 10) -> Generator[Found]:
        """Results of all frames of a video, whose faces are followed and have ids; see `fkd.inference.tracking`.

        Args:
            frames: (H, W) or (H, W, 3) RGB.
            detect_every: the detector looks at one of so many frames, and where a face is lost.

        Raises:
            ValueError: the predictor hides faces, for which the detector must look at every frame, as `stream` does;
                or `detect_every` is no whole number from 1 on.
        """
        if detect_every < 1 or detect_every % 1:
            raise ValueError(f"detect_every: expected a whole number from 1 on, found {detect_every}")
        if self.hiding:
            raise ValueError(
                "track: expected a predictor that does not hide faces, because some are found late; use stream"
            )
        return self._tracked(frames, detect_every)

    def _tracked(self, frames: Iterable[Image], detect_every: int) -> Generator[Found]:
        def look(frame: tuple[int, Image]) -> tuple[Image, Candidates | None]:
            image = _checked(frame[1])
            return image, None if frame[0] % detect_every else self.detect(image)

        tracker = Tracker(self)
        numbered, threads = enumerate(frames), min(cores(), _MOST_THREADS)
        with closing(images.read_ahead(look, numbered, lambda frame: _pixels(frame[1]), threads)) as looks:
            for image, candidates in looks:
                yield Found(image, tracker(image, candidates), None)

    def stream(self, photos: Iterable[Photo]) -> Generator[Found]:
        """Results of all images in order; memory does not grow with their number.

        Threads read a few images ahead and detect faces, and the net gets the faces of several images at once. For a
        file that cannot be read the result is an error.

        Raises:
            ValueError: one path instead of several photos.
        """
        if isinstance(photos, str | Path):
            raise ValueError(f"photos: expected several, found one path, {photos}; give a list")
        return self._streamed(photos)

    def _streamed(self, photos: Iterable[Photo]) -> Generator[Found]:
        group: list[_Look] = []
        with closing(images.read_ahead(self._try_to_look, photos, _pixels, min(cores(), _MOST_THREADS))) as looks:
            for look in looks:
                group.append(look)
                if _is_full(group):
                    yield from self._found(group)
                    group = []
        if group:
            yield from self._found(group)

    def _found(self, looks: Sequence[_Look]) -> Iterator[Found]:
        for look, faces in zip(looks, self._faces(looks), strict=True):
            yield Found(look.image, faces, look.error)

    def _try_to_look(self, photo: Photo) -> _Look:
        try:
            return self._look(photo)
        except Exception as error:  # like decoders, detectors can fail in any way on an untrusted file
            is_of_fkd = type(self.detector).__module__.startswith("fkd.")  # another one's traceback shows its mistake
            if not (isinstance(photo, str | Path) and (is_of_fkd or isinstance(error, UserError))):
                raise
            known = error if isinstance(error, UserError) else _failed(photo, error)
            none = np.zeros((0, 4), np.float32)
            return _Look(None, none, np.zeros(0, np.float32), none, np.zeros((0, 2, 3), np.float32), None, known)

    def _look(self, photo: Photo) -> _Look:
        """Read an image, detect its faces and cut their crops."""
        path = str(photo) if isinstance(photo, str | Path) else None
        pixels = images.read(path, 3, max_pixels=self.max_pixels) if path is not None else _checked(photo)
        return self._cut(pixels, self.detect(pixels, path))

    def detect(self, image: Image, path: str | None = None) -> Candidates:
        """The detector's squares on an image."""
        if self.hiding:
            return Candidates(*self.detector.for_hiding(image, path))
        squares, scores, rolls = Detections(*self.detector(image, path))
        return Candidates(squares, scores, rolls=rolls)

    def faces_in(self, image: Image, candidates: Candidates) -> list[Face]:
        """The face in each square, though its shape be implausible."""
        return self._answers([self._cut(image, candidates)])[0]

    def _cut(self, image: Image, candidates: Candidates) -> _Look:
        squares, scores, doubtful, rolls = candidates
        shown = images.in_channels(image, self.net.metadata.channels)
        matrices = self.net.metadata.matrices(squares, rolls)
        photos = [shown] * len(matrices)
        crops = channels_first(crop_images(photos, matrices, self.net.metadata.size)) if len(matrices) else None
        return _Look(image, squares, scores, doubtful, matrices, crops, None)

    def _faces(self, looks: Sequence[_Look]) -> list[list[Face]]:
        """The plausible faces of each image; for hiding, the other boxes come without keypoints."""
        return [self._kept(look, faces) for look, faces in zip(looks, self._answers(looks), strict=True)]

    def _answers(self, looks: Sequence[_Look]) -> list[list[Face]]:
        """The face in each square of each image, from one call of the net."""
        faces: list[Face] = []
        if crops := [look.crops for look in looks if look.crops is not None]:
            metadata = self.net.metadata
            keypoints, spreads = answers(self.net, np.concatenate(crops), self.flip, metadata.needs_spread)
            judged = zip(*_judgements(metadata, keypoints, spreads), strict=True)
            squares, scores, matrices = (
                np.concatenate(each) for each in zip(*((x.squares, x.scores, x.matrices) for x in looks), strict=True)
            )
            known = (None if math.isnan(score) else score for score in scores.tolist())
            found = zip(squares, known, transform(keypoints, invert(matrices)), judged, strict=True)
            faces = [Face(self.schema, square, score, points, *each) for square, score, points, each in found]
        rest = iter(faces)
        return [[*islice(rest, look.faces)] for look in looks]

    def _kept(self, look: _Look, faces: Sequence[Face]) -> list[Face]:
        plausible = [self.is_plausible(face) for face in faces]
        kept = [*compress(faces, plausible)]
        if not self.hiding:
            return kept
        dropped = [face.box for face, is_face in zip(faces, plausible, strict=True) if not is_face]
        unknown = np.full((len(self.schema), 2), np.nan, np.float32)
        return kept + [Face(self.schema, square, None, unknown) for square in [*dropped, *look.doubtful]]

    def is_plausible(self, face: Face) -> bool:
        """Whether the shape is near enough to those of the training faces."""
        shapes = self.net.metadata.shapes
        return shapes is None or bool(shapes.plausible(face.keypoints, self.detector.limit))


def _judgements(
    metadata: Metadata, keypoints: Points, spreads: PerPoint | None
) -> tuple[Sequence[PerPoint | None], Sequence[PerPoint | None]]:
    """Expected errors and probabilities of visibility of N faces, (N, K) each, or N times None if they are unknown.

    Args:
        metadata: of a net.
        keypoints, spreads: its `answers`.
    """
    unknown = [None] * len(keypoints)
    errors, visibility = metadata.error_model, metadata.visibility_model
    expected = unknown if errors is None else [*errors.expected(spreads, len(keypoints))]
    if visibility is None:
        return expected, unknown
    assert spreads is not None  # `from_dict` of the model has made sure
    return expected, [*visibility.probability(keypoints, spreads)]


def answers(net: Net, crops: Image, flip: bool, needs_spread: bool) -> tuple[Points, PerPoint | None]:
    """A net's keypoints on crops; with `flip` the mean over crops and mirrored crops.

    Args:
        net: of the `NetWithSpread` kind if its spread is needed.
        crops: (B, C, S, S) uint8.
        flip: see above.
        needs_spread: also give the spread.

    Returns:
        (B, K, 2) float32 crop pixels; (B, K) `relative_spread` of each point, if it is needed and the net has it.
    """
    schema = net.metadata.schema
    keypoints, spread = _answer(net, np.concatenate([crops, crops[..., ::-1]]) if flip else crops, needs_spread)
    if flip:
        plain, mirrored = keypoints[: len(crops)], schema.mirrored(keypoints[len(crops) :], net.metadata.size)
        keypoints = (plain + mirrored) / np.float32(2)
        if spread is not None:
            spread = (spread[: len(crops)] + spread[len(crops) :, list(schema.flip)]) / np.float32(2)
    if spread is not None:
        spread = relative_spread(spread, schema.interocular(keypoints), net.metadata.size)
    return keypoints, spread


def _answer(net: Net, crops: Image, needs_spread: bool) -> tuple[Points, PerPoint | None]:
    return cast(NetWithSpread, net).with_spread(crops) if needs_spread else (net(crops), None)


@dataclass(frozen=True)
class _Look:
    """An image and its candidates."""

    image: Image | None
    squares: Points  # (N, 4) photo pixels
    scores: npt.NDArray[np.float32]  # (N,)
    doubtful: Points  # (M, 4), only used for hiding
    matrices: npt.NDArray[np.float32]  # (N, 2, 3), photo pixels -> crop pixels
    crops: Image | None  # (N, C, S, S); None without candidates
    error: UserError | None

    @property
    def faces(self) -> int:
        return len(self.matrices)


def _failed(photo: str | Path, cause: Exception) -> UserError:
    reason = f"{type(cause).__name__}: {' '.join(str(cause).split())}"
    error = UserError(f"{photo}: its faces cannot be found ({reason}); save it anew, or leave it out")
    error.__cause__ = cause
    return error


def _is_full(looks: Sequence[_Look]) -> bool:
    crops = sum(look.faces for look in looks)
    pixels = sum(_pixels(look.image) for look in looks if look.image is not None)
    return crops >= _CROPS or pixels >= _PIXELS


def _pixels(photo: Photo) -> int:
    return images.pixel_count(photo) if isinstance(photo, str | Path) else math.prod(np.shape(photo)[:2])


def _checked(pixels: Any) -> Image:
    """The pixels, if they are an image."""
    if not (isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8):
        found = pixels.dtype if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise ValueError(f"photo: expected a path or an array of uint8 pixels, found {found}")
    if pixels.size == 0 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        raise ValueError(f"photo: expected (H, W) grey or (H, W, 3) RGB pixels, found shape {pixels.shape}")
    return pixels
