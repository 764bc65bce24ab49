"""Objects of single groups of a config."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from fkd.config.instantiate import instantiate
from fkd.data.crop_plans import CropPlan
from fkd.detect import Detector
from fkd.errors import UserError
from fkd.evaluation.evaluate import BOXES
from fkd.schema import IBUG68, KeypointSchema, schema_of


def build_schema(config: Mapping[str, Any] | DictConfig) -> KeypointSchema:
    """What the points of a config mean, be it composed now or kept in a checkpoint.

    Raises:
        UserError: it is no schema; see `fkd.schema.schema_of`.
    """
    content = config["schema"]
    try:
        return schema_of(OmegaConf.to_container(content) if isinstance(content, DictConfig) else content)  # type: ignore[arg-type]
    except ValueError as error:
        raise UserError(str(error)) from error


def build_crop(config: Mapping[str, Any] | DictConfig) -> CropPlan:
    """The crop plan of a `crop` group, be it composed now or kept in a checkpoint."""
    plan: CropPlan = instantiate(config["plan"], "crop.plan")
    return plan


def build_detector(cfg: DictConfig) -> Detector:
    """The detector that finds faces with `boxes=detector` and says how boxes spread.

    Raises:
        UserError: `boxes` is none of the choices.
    """
    if "boxes" in cfg and cfg.boxes not in BOXES:
        raise UserError(f"boxes={cfg.boxes}: expected one of {', '.join(BOXES)}")
    detector: Detector = instantiate(cfg.detector, "detector")
    return detector


_MEASURED = ("haar", "whole_image")
"""Options of conf/detector whose boxes were measured about iBUG's points."""


def remarks_on_boxes(detector: str | None, schema: KeypointSchema) -> tuple[str, ...]:
    """What must be known of a chosen detector whose boxes were measured about other points, or not at all."""
    if detector == "yunet":
        return (
            "detector=yunet: where its boxes lie about the points is guessed, not measured; measure it with "
            "fkd calibrate output=conf/detector/mine.yaml, then train with detector=mine",
        )
    if schema == IBUG68 or detector not in _MEASURED:
        return ()
    return (
        f"detector={detector} was measured about iBUG's 68 points, those of schema={schema.name} lie otherwise in its "
        "boxes: measure that with fkd calibrate output=conf/detector/mine.yaml, then train with detector=mine",
    )
