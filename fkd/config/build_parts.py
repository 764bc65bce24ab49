"""Objects of single groups of a config."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from fkd.config.instantiate import instantiate
from fkd.data.counter_random import CounterRandom
from fkd.data.crop_plans import CropPlan, FaceCrop
from fkd.detect import Detector
from fkd.errors import UserError, of_the_user
from fkd.evaluation.evaluate import BOXES
from fkd.schema import IBUG68, KeypointSchema, schema_of
from fkd.types import Points


def build_schema(config: Mapping[str, Any] | DictConfig) -> KeypointSchema:
    """The schema of a config, composed now or from a checkpoint.

    Raises:
        UserError: it is no valid schema; see `fkd.schema.schema_of`.
    """
    content = config["schema"]
    with of_the_user():
        return schema_of(OmegaConf.to_container(content) if isinstance(content, DictConfig) else content)  # type: ignore[arg-type]


def build_crop(config: Mapping[str, Any] | DictConfig) -> CropPlan:
    """The crop plan of a `crop` group, composed now or from a checkpoint."""
    plan: CropPlan = instantiate(config["plan"], "crop.plan")
    return plan


def build_detector(cfg: DictConfig) -> Detector:
    """The detector of a config, which finds faces with `boxes=detector` and has the jitter of boxes.

    Raises:
        UserError: `boxes` is unknown.
    """
    if "boxes" in cfg:
        check_boxes(cfg)
    detector: Detector = instantiate(cfg.detector, "detector")
    return detector


def check_boxes(cfg: DictConfig) -> None:
    """Check the value of `boxes`.

    Raises:
        UserError: it is unknown.
    """
    if cfg.boxes not in BOXES:
        raise UserError(f"boxes={cfg.boxes}: expected one of {', '.join(BOXES)}")


_MEASURED = ("fkd", "haar", "centerface", "whole_image")
"""Options of conf/detector that were measured with iBUG's points."""


def remarks_on_boxes(detector: str | None, schema: KeypointSchema) -> tuple[str, ...]:
    """A remark on a detector whose correction was measured with other points, or not measured."""
    if detector == "yunet":
        return (
            "detector=yunet: the correction of its boxes is a guess, not measured; measure it with "
            "fkd calibrate output=conf/detector/mine.yaml, then train with detector=mine",
        )
    if schema == IBUG68 or detector not in _MEASURED:
        return ()
    return (
        f"detector={detector}: the correction of its boxes was measured with iBUG's 68 points, not with those of "
        f"schema={schema.name}; measure it with fkd calibrate output=conf/detector/mine.yaml, then train with "
        "detector=mine",
    )


def remarks_on_crop(plan: CropPlan, keypoints: Points) -> tuple[str, ...]:
    """A remark if the windows of training cut off many points, as they do where few points lie inside of the face.

    Args:
        plan: of the training.
        keypoints: (N, K, 2) of a sample of training faces.
    """
    if not isinstance(plan, FaceCrop):
        return ()
    needed = plan.needed_scale(keypoints, CounterRandom(0, np.arange(len(keypoints))))
    if (share := np.mean(needed > plan.window.scale)) <= _MOST_OUTSIDE:
        return ()
    enough = np.ceil(10 * np.percentile(needed, _HELD)) / 10
    return (
        f"crop.plan.scale={plan.window.scale:g}: with the detector's jitter {share:.0%} of the training points lie "
        f"outside of the crop, where the net cannot see them; crop.plan.scale={enough:.1f} holds {_HELD:g} %",
    )


_MOST_OUTSIDE = 0.02
"""Share of training points outside of the crop from which on a training says so."""
_HELD = 99.9
"""Percent of the training points that the scale which is then named holds."""
