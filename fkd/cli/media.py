"""What `scripts/predict.py` and `scripts/filter.py` share: a source of images, a predictor, and an orderly end."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, suppress
from itertools import takewhile
from typing import Any

from omegaconf import DictConfig, OmegaConf

import fkd
from fkd import detect
from fkd.cli.summary import Tally
from fkd.config import checks
from fkd.detect import Detector
from fkd.errors import FacesVisibleError, UserError
from fkd.inference.predictor import Found
from fkd.inference.smoothing import OneEuro, Smoother
from fkd.inference.tracking import bridged
from fkd.io import media
from fkd.io.media import Canvas, Place
from fkd.io.predictions import UNHIDDEN, write_unhidden
from fkd.terminal import Interrupt, progress, say
from fkd.types import Face, Image

_SECONDS, _FRAMES = 0.5, 30
"""How long a face that a video loses is hidden, before and after, and at most how many frames: they are held."""


class Job:
    """Faces of all images of a source.

    Args:
        cfg: the keys of `conf/images.yaml`.
        hiding: the faces are to be hidden: boxes that may hold one come, too, a video's faces are followed through
            gaps, and images without a face are listed in `unhidden.json`.

    Raises:
        UserError: naming the key: there is no such input, net or device, or the output cannot be written.
    """

    def __init__(self, cfg: DictConfig, hiding: bool = False) -> None:
        self.output = checks.path(cfg, "output")
        self.source = media.find(cfg.input, self.output, cfg.frames)
        self._smooth = _smoother(cfg, self.source.fps)
        self.predictor = fkd.load(
            None if cfg.ckpt is None else checks.path(cfg, "ckpt"),
            detector=_detector(cfg),
            device=cfg.device,
            flip=checks.flag(cfg, "flip"),
            max_pixels=checks.whole(cfg, "max_pixels", least=1),
            hiding=hiding,
        )
        media.make_folder(self.output)
        self._tally = Tally("frame" if self.source.fps else "image")
        self._unhidden: list[Place] | None = [] if hiding else None
        self._interrupted = False

    def canvas(self) -> AbstractContextManager[Canvas]:
        """Writes an image for each input, or one video."""
        return self.source.canvas(self.output)

    def faces(self) -> Iterator[tuple[Place, Image, list[Face]]]:
        """Each image, (H, W, 3) RGB, with where it is from and its faces, until the end or the first Ctrl-C.

        What cannot be read is kept for `finish`.
        """
        if self._unhidden is not None:
            with suppress(OSError):  # a list of a run before must not stand beside images of this one
                (self.output / UNHIDDEN).unlink()
        with Interrupt() as interrupt, progress(f"{self._tally.noun}s", self.source.count) as advance:
            wanted = takewhile(lambda _: not interrupt.asked, self.source.images())
            with closing(self.predictor.stream(wanted)) as stream:
                for (place, image), faces in self._followed(self._read(stream, advance)):
                    yield place, image, faces
                    known = [face for face in faces if face.is_known]
                    self._tally.add(place.image if place.frame is None else str(place.frame), known)
                    if self._unhidden is not None and not known:
                        self._unhidden.append(place)
            self._interrupted = interrupt.asked

    def _read(
        self, stream: Iterable[Found], advance: Callable[[], None]
    ) -> Iterator[tuple[tuple[Place, Image], list[Face]]]:
        for place, found in zip(self.source.places(), stream, strict=False):
            if found.image is None:
                self._tally.failures.append(str(found.error))
            else:
                known = self._smooth([face for face in found.faces if face.is_known])
                yield (place, found.image), [*known, *(face for face in found.faces if not face.is_known)]
            advance()

    def _followed(
        self, frames: Iterator[tuple[tuple[Place, Image], list[Face]]]
    ) -> Iterator[tuple[tuple[Place, Image], list[Face]]]:
        """For hiding, a video's faces are followed through gaps."""
        if self._unhidden is None or self.source.fps is None:
            return frames
        return bridged(frames, min(round(_SECONDS * self.source.fps), _FRAMES))

    def finish(self, allow_unhidden: bool = False) -> None:
        """Says what was done.

        Args:
            allow_unhidden: images that may show faces are said, but are no error.

        Raises:
            FacesVisibleError: faces were to be hidden, and images may show some.
            UserError: something could not be read.
            KeyboardInterrupt: it was cut short.
        """
        print(*filter(None, [self.source.remark, f"in {self.output}: {self._tally.summary()}"]), sep="\n")
        if not self._interrupted and (damage := self.source.damage()):
            self._tally.failures.append(damage)
        failure, visible = self._tally.report_failures(self.output), self._report_unhidden()
        is_cut = self._interrupted and self.source.count is not None  # a camera has no other end
        if visible is not None and not (allow_unhidden or is_cut):
            if failure is not None:
                say(failure)
            raise FacesVisibleError(visible)
        if visible is not None:
            print(visible)
        if is_cut:
            raise KeyboardInterrupt
        if failure is not None:
            raise UserError(failure)

    def _report_unhidden(self) -> str | None:
        """Writes `unhidden.json`; gives one line if images may show faces."""
        if self._unhidden is None:
            return None
        file = write_unhidden(self.output, self._unhidden)
        if not self._unhidden:
            return None
        return (
            f"{len(self._unhidden):,} of {self._tally.images:,} {self._tally.noun}s may show faces: no sure one was "
            f"found on them; {file} lists them, look at each before you pass it on"
        )


def _detector(cfg: DictConfig) -> Detector | None:
    """The one that was asked for, if any."""
    if "detector" not in cfg:
        return None
    config: Any = OmegaConf.to_container(cfg.detector, resolve=True)
    return detect.build(config)


def _smoother(cfg: DictConfig, fps: float | None) -> Callable[[Sequence[Face]], list[Face]]:
    """What is done with the faces of each frame."""
    if not checks.flag(cfg, "smooth"):
        return list
    if fps is None:
        raise UserError(f"smooth=true: expected a video or a camera as input, found {cfg.input}; leave smooth out")
    return Smoother(OneEuro(**cfg.one_euro), fps)
