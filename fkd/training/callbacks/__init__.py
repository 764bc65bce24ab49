"""Lightning callbacks: checkpoints, EMA, progress, images, checks that end a training."""

from fkd.training.callbacks.ema import EMA
from fkd.training.callbacks.guard import FiniteGuard
from fkd.training.callbacks.last import Last
from fkd.training.callbacks.loggers import log_hyperparameters
from fkd.training.callbacks.lr_range import LearningRateRange
from fkd.training.callbacks.overlays import Overlays
from fkd.training.callbacks.progress import Progress
from fkd.training.callbacks.throughput import Throughput

__all__ = [
    "EMA",
    "FiniteGuard",
    "Last",
    "LearningRateRange",
    "Overlays",
    "Progress",
    "Throughput",
    "log_hyperparameters",
]
