"""What `scripts/predict.py` and `scripts/filter.py` share: a source of pictures, a predictor, and an orderly end."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from itertools import takewhile
from typing import Any

from omegaconf import DictConfig, OmegaConf

import fkd
from fkd import detect
from fkd.cli.summary import Tally
from fkd.config import checks
from fkd.detect import Detector
from fkd.errors import UserError
from fkd.inference.smoothing import OneEuro, Smoother
from fkd.io import media
from fkd.io.media import Canvas, Place
from fkd.terminal import Interrupt, progress
from fkd.types import Face, Image


class Job:
    """Faces of all pictures of a source.

    Args:
        cfg: the keys of `conf/pictures.yaml`.

    Raises:
        UserError: naming the key: there is no such input, net or device, or the output cannot be written.
    """

    def __init__(self, cfg: DictConfig) -> None:
        self.output = checks.path(cfg, "output")
        self.source = media.find(cfg.input, self.output, cfg.frames)
        self._smooth = _smoother(cfg, self.source.fps)
        self.predictor = fkd.load(
            None if cfg.ckpt is None else checks.path(cfg, "ckpt"),
            detector=_detector(cfg),
            device=cfg.device,
            flip=checks.flag(cfg, "flip"),
            max_pixels=checks.whole(cfg, "max_pixels", least=1),
        )
        media.make_folder(self.output)
        self._tally = Tally("frame" if self.source.fps else "picture")
        self._interrupted = False

    def canvas(self) -> AbstractContextManager[Canvas]:
        """Writes a picture for each input, or one video."""
        return self.source.canvas(self.output)

    def faces(self) -> Iterator[tuple[Place, Image, list[Face]]]:
        """Each picture, (H, W, 3) RGB, with where it is from and its faces, until the end or the first Ctrl-C.

        What cannot be read is kept for `finish`.
        """
        with Interrupt() as interrupt, progress(f"{self._tally.noun}s", self.source.count) as advance:
            wanted = takewhile(lambda _: not interrupt.asked, self.source.pictures())
            with closing(self.predictor.stream(wanted)) as stream:
                for place, found in zip(self.source.places(), stream, strict=False):
                    if found.picture is None:
                        self._tally.failures.append(str(found.error))
                    else:
                        faces = self._smooth(found.faces)
                        yield place, found.picture, faces
                        self._tally.add(place.image if place.frame is None else str(place.frame), faces)
                    advance()
            self._interrupted = interrupt.asked

    def finish(self) -> None:
        """Says what was done.

        Raises:
            UserError: something could not be read.
            KeyboardInterrupt: it was cut short.
        """
        print(*filter(None, [self.source.remark, f"in {self.output}: {self._tally.summary()}"]), sep="\n")
        if not self._interrupted and (damage := self.source.damage()):
            self._tally.failures.append(damage)
        failure = self._tally.report_failures(self.output)
        if self._interrupted and self.source.count is not None:  # a camera has no other end
            raise KeyboardInterrupt
        if failure is not None:
            raise UserError(failure)


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
