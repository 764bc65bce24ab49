"""Where an image goes: each logger has its own way to take one."""

from functools import singledispatch

from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from fkd.types import Image


@singledispatch
def log_image(logger: Logger, tag: str, image: Image, step: int) -> None:
    """Gives a logger an RGB image (H, W, 3) under a name such as "val/faces"; others than these three take none."""


@log_image.register
def _(logger: TensorBoardLogger, tag: str, image: Image, step: int) -> None:
    logger.experiment.add_image(tag, image, step, dataformats="HWC")


@log_image.register
def _(logger: WandbLogger, tag: str, image: Image, step: int) -> None:
    logger.log_image(tag, [image], step)


@log_image.register
def _(logger: MLFlowLogger, tag: str, image: Image, step: int) -> None:
    logger.experiment.log_image(logger.run_id, image, key=tag, step=step)
