"""The trainer of a config."""

import math
import os

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import ModelCheckpoint, Timer

from fkd.config.instantiate import instantiate
from fkd.errors import UserError
from fkd.terminal import tell
from fkd.training.precision import choose

_MONITORED = ("val/loss", "val/nme", "train/loss")
"""Metrics that callbacks may monitor, which are logged in each epoch."""


def build_trainer(cfg: DictConfig, sweep: bool) -> pl.Trainer:
    """The trainer with its callbacks and loggers; prints the chosen precision.

    Raises:
        UserError: several processes in a sweep; each would start the whole sweep again.
    """
    precision, why = choose(cfg.trainer.precision, cfg.trainer.accelerator)
    tell(f"precision: {precision} ({why})")
    devices, cores = cfg.trainer.devices, max(os.cpu_count() or 1, 2)  # at least two, for tests on any machine
    if cfg.trainer.accelerator == "cpu" and isinstance(devices, int) and devices > cores:
        raise UserError(f"trainer.devices={devices}: expected at most one process for each of {cores} cores")
    callbacks = {name: instantiate(c, f"callbacks.{name}") for name, c in cfg.callbacks.items() if c is not None}
    for name, callback in callbacks.items():
        if (monitor := getattr(callback, "monitor", None)) not in (None, *_MONITORED):
            raise UserError(f"callbacks.{name}.monitor={monitor}: expected one of {', '.join(_MONITORED)}")
    trainer: pl.Trainer = instantiate(
        OmegaConf.merge(cfg.trainer, {"precision": precision}),
        "trainer",
        callbacks=list(callbacks.values()),
        logger=[instantiate(c, f"logger.{name}") for name, c in cfg.logger.items() if c is not None],
    )
    if sweep and trainer.world_size > 1 and not _started_elsewhere(trainer):
        raise UserError(
            f"trainer: expected one process in a sweep (-m), found {trainer.world_size}, each of which would start the "
            f"sweep again; set trainer.devices=1, or let the cluster start them: hydra/launcher=submitit_slurm "
            f"hydra.launcher.tasks_per_node={trainer.num_devices} trainer.devices={trainer.num_devices}"
        )
    return trainer


def _started_elsewhere(trainer: pl.Trainer) -> bool:
    """Whether a cluster, not Lightning, starts the processes of this training."""
    environment = getattr(trainer.strategy, "cluster_environment", None)
    return environment is not None and environment.creates_processes_externally


def best_checkpoint(trainer: pl.Trainer) -> str:
    """The checkpoint of the epoch with the lowest `val/loss`.

    Raises:
        UserError: no epoch was completed.
    """
    callbacks = (c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint) and c.monitor == "val/loss")
    path = next((c.best_model_path for c in callbacks), "")
    if not path:
        raise UserError("trainer.max_epochs: no epoch was trained and validated, so there is no net to score")
    return path


def ended_by_time(trainer: pl.Trainer) -> list[str]:
    """One line if `trainer.max_time` ended a training before its last step; none if it has no last step."""
    timer = next((c for c in trainer.callbacks if isinstance(c, Timer)), None)  # type: ignore[attr-defined]
    remaining = None if timer is None else timer.time_remaining()
    if remaining is None or remaining > 0 or not trainer.global_step < trainer.estimated_stepping_batches < math.inf:
        return []
    return [f"trainer.max_time ended the training in epoch {trainer.current_epoch} of {trainer.max_epochs}"]
