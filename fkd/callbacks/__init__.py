"""What goes along with a training: some of it watches, some saves or ends it, some changes what is learned."""

from fkd.callbacks.ema import EMA
from fkd.callbacks.guard import FiniteGuard
from fkd.callbacks.hyperparameters import log_hyperparameters
from fkd.callbacks.last import Last
from fkd.callbacks.lr_range import LearningRateRange
from fkd.callbacks.overlays import Overlays
from fkd.callbacks.progress import Progress
from fkd.callbacks.throughput import Throughput

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
