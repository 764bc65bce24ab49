"""Where a picture goes: each logger has its own way to take one."""

from functools import singledispatch

from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from fkd.types import Image


@singledispatch
def log_picture(logger: Logger, tag: str, picture: Image, step: int) -> None:
    """Gives a logger an RGB picture (H, W, 3) under a name such as "val/faces"; others than these three take none."""


@log_picture.register
def _(logger: TensorBoardLogger, tag: str, picture: Image, step: int) -> None:
    logger.experiment.add_image(tag, picture, step, dataformats="HWC")


@log_picture.register
def _(logger: WandbLogger, tag: str, picture: Image, step: int) -> None:
    logger.log_image(tag, [picture], step)


@log_picture.register
def _(logger: MLFlowLogger, tag: str, picture: Image, step: int) -> None:
    logger.experiment.log_image(logger.run_id, picture, key=tag, step=step)
