"""From config to objects: the one place that builds what a `_target_` names."""

from fkd.config import resolvers  # noqa: F401 (configs call them)
from fkd.config.build_module import build_module, initialise
from fkd.config.build_parts import build_crop, build_detector, remarks_on_boxes
from fkd.config.faces import build_data, build_faces
from fkd.config.trainer import OBJECTIVES, best_checkpoint, build_trainer, check_config

__all__ = [
    "OBJECTIVES",
    "best_checkpoint",
    "build_crop",
    "build_data",
    "build_detector",
    "build_faces",
    "build_module",
    "build_trainer",
    "check_config",
    "initialise",
    "remarks_on_boxes",
]
