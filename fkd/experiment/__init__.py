"""From config to objects, and from a checkpoint back to a net: the one place that builds what a `_target_` names."""

from fkd import resolvers  # noqa: F401 (configs call them)
from fkd.experiment.faces import build_data, build_faces
from fkd.experiment.loading import candidate, device, load, load_net
from fkd.experiment.nets import begin, build_module
from fkd.experiment.parts import build_crop, build_detector, remarks_on_boxes
from fkd.experiment.trainer import OBJECTIVES, best_checkpoint, build_trainer, check

__all__ = [
    "OBJECTIVES",
    "begin",
    "best_checkpoint",
    "build_crop",
    "build_data",
    "build_detector",
    "build_faces",
    "build_module",
    "build_trainer",
    "candidate",
    "check",
    "device",
    "load",
    "load_net",
    "remarks_on_boxes",
]
