"""The common part of `fkd predict` and `fkd filter`: images, a predictor, and the summary at the end."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, suppress
from itertools import takewhile
from typing import cast

from omegaconf import DictConfig, ListConfig, OmegaConf

import fkd
from fkd import detect, weights
from fkd.cli.summary import Tally
from fkd.config import checks
from fkd.errors import FacesVisibleError, UserError
from fkd.inference.gaps import bridged
from fkd.inference.predictor import Found, Photo
from fkd.inference.smoothing import OneEuro, Smoother
from fkd.io import media
from fkd.io.atomic import refusal
from fkd.io.media import Canvas, Place
from fkd.io.predictions import UNHIDDEN, write_unhidden
from fkd.terminal import Interrupt, progress, say, tell
from fkd.types import Face, Image

_SECONDS, _FRAMES = 0.5, 30
"""Longest gap of a lost face, in seconds and in frames, that stays hidden in a video; so many frames are buffered."""


class Job:
    """Faces of all images of a source.

    Args:
        cfg: the keys of `conf/media.yaml`.
        hiding: the faces are to be hidden: boxes that may hold a face are given, too, the detector looks at every
            frame, gaps of a video's faces are filled, and images without a face are listed in `unhidden.json`.

    Raises:
        UserError: there is no such input, net or device, or a key has a wrong value; names the key.
    """

    def __init__(self, cfg: DictConfig, hiding: bool = False) -> None:
        self.output = checks.path(cfg, "output")
        given = list(cfg.input) if isinstance(cfg.input, ListConfig) else cfg.input
        self.source = media.find(given, self.output, cfg.frames)
        self._smooth = _smoother(cfg, self.source.fps)
        self.is_tracked = checks.flag(cfg, "track") and self.source.fps is not None and not hiding
        self._detect_every = checks.whole(cfg, "detect_every", least=1)
        self.predictor = fkd.load(
            cfg.ckpt if weights.is_name(cfg.ckpt) else checks.path(cfg, "ckpt"),
            detector=detect.build(OmegaConf.to_object(cfg.detector)) if "detector" in cfg else None,  # type: ignore[arg-type]
            device=cfg.device,
            flip=checks.flag(cfg, "flip"),
            max_pixels=checks.whole(cfg, "max_pixels", least=1),
            hiding=hiding,
        )
        self._tally = Tally("frame" if self.source.fps else "image")
        self._unhidden: list[Place] | None = [] if hiding else None
        self._interrupted = False

    def canvas(self) -> AbstractContextManager[Canvas]:
        """Write an image for each input, or one video."""
        return self.source.canvas(self.output)

    def run(self, write: Callable[[Place, Image, list[Face]], None]) -> None:
        """Find the faces of each input, until the end or the first Ctrl-C.

        One of several photos fails alone if it cannot be read, or if only its own result cannot be written, as for a
        name that is too long; `finish` reports it.

        Args:
            write: takes place, image (H, W, 3) RGB and faces.

        Raises:
            UserError: nothing can be written, as on a full disk; or a video cannot; or the only photo fails.
        """
        if self._unhidden is not None:
            with suppress(OSError):  # the list of an earlier run says nothing about the images of this one
                (self.output / UNHIDDEN).unlink()
        with Interrupt() as interrupt, progress(f"{self._tally.noun}s", self.source.count) as advance:
            wanted = takewhile(lambda _: not interrupt.asked, self.source.images())
            with closing(self._found(wanted)) as stream:
                for (place, image), faces in self._followed(self._read(stream, advance)):
                    try:
                        write(place, image, faces)
                    except UserError as error:
                        if place.frame is not None or refusal(error.__cause__) is not None:
                            raise
                        self._fail(error)
                        continue
                    known = [face for face in faces if face.is_known]
                    self._tally.add(place.image if place.frame is None else str(place.frame), known)
                    if self._unhidden is not None and not known:
                        self._unhidden.append(place)
            self._interrupted = interrupt.asked

    def _found(self, wanted: Iterable[Photo]) -> Generator[Found]:
        if not self.is_tracked:
            return self.predictor.stream(wanted)
        return self.predictor.track(cast(Iterable[Image], wanted), self._detect_every)

    def _read(
        self, stream: Iterable[Found], advance: Callable[[], None]
    ) -> Iterator[tuple[tuple[Place, Image], list[Face]]]:
        for place, found in zip(self.source.places(), stream, strict=False):
            if found.error is not None:
                self._fail(found.error)
            elif found.image is not None:
                known = self._smooth([face for face in found.faces if face.is_known])
                yield (place, found.image), [*known, *(face for face in found.faces if not face.is_known)]
            advance()

    def _fail(self, error: UserError) -> None:
        if self.source.fps is None and self.source.count == 1:
            raise error
        self._tally.fail(error)

    def _followed(
        self, frames: Iterator[tuple[tuple[Place, Image], list[Face]]]
    ) -> Iterator[tuple[tuple[Place, Image], list[Face]]]:
        """For hiding, fill gaps of a video's faces."""
        if self._unhidden is None or self.source.fps is None:
            return frames
        return bridged(frames, min(round(_SECONDS * self.source.fps), _FRAMES))

    def finish(self, allow_unhidden: bool = False) -> None:
        """Print the summary.

        Args:
            allow_unhidden: images that may show faces are reported without an error.

        Raises:
            FacesVisibleError: faces were to be hidden, and images may show some.
            UserError: an image failed.
            KeyboardInterrupt: interrupted before the last image.
        """
        tell("\n".join(filter(None, [self.source.remark, f"in {self.output}: {self._tally.summary()}"])))
        if not self._interrupted and (damage := self.source.damage()):
            self._tally.fail(damage)
        failure, visible = self._tally.report_failures(self.output), self._report_unhidden()
        is_cut = self._interrupted and self.source.count is not None  # a camera has no other end
        if visible is not None and not (allow_unhidden or is_cut):
            if failure is not None:
                say(failure)
            raise FacesVisibleError(visible)
        if visible is not None:
            tell(visible)
        if is_cut:
            raise KeyboardInterrupt
        if failure is not None:
            raise UserError(failure)

    def _report_unhidden(self) -> str | None:
        """Write `unhidden.json`; return one line if images may show faces."""
        if self._unhidden is None:
            return None
        file = write_unhidden(self.output, self._unhidden)
        if not self._unhidden:
            return None
        return (
            f"{len(self._unhidden):,} of {self._tally.images:,} {self._tally.noun}s may show faces: no sure one was "
            f"found on them; {file} lists them, look at each before you pass it on"
        )


def _smoother(cfg: DictConfig, fps: float | None) -> Callable[[Sequence[Face]], list[Face]]:
    """Smooths the faces of each frame with `smooth=true`."""
    if not checks.flag(cfg, "smooth"):
        return list
    if fps is None:
        raise UserError(f"smooth=true: expected a video or a camera as input, found {cfg.input}; leave smooth out")
    return Smoother(OneEuro(**cfg.one_euro), fps)
