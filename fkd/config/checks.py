"""Checked values of a config; errors name the key."""

import os
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from fkd import weights
from fkd.distributed import loader_workers
from fkd.errors import UserError, did_you_mean

OBJECTIVES = ("val/loss", "val/nme", "test/nme")
"""Values of `optimized_metric`: the first two are of the best epoch, the last needs `test=true`."""
_LARGEST, _LARGEST_CROP = 2**32 - 1, 4096
"""Of whole numbers, as seeds have it, and of a crop's pixels, as in `fkd.io.ranges.Size`."""


def flag(config: DictConfig, key: str) -> bool:
    """A value that is true or false.

    Raises:
        UserError: the value is something else.
    """
    value = OmegaConf.select(config, key, throw_on_missing=True)
    if not isinstance(value, bool):
        raise UserError(f"{key}: expected true or false, found {value!r}")
    return value


def whole(config: DictConfig, key: str, least: int, most: int = _LARGEST) -> int:
    """A whole number from `least` to `most`.

    Raises:
        UserError: the value is something else.
    """
    value = OmegaConf.select(config, key, throw_on_missing=True)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UserError(f"{key}: expected a whole number from {least} on, found {value!r}")
    if value > most:
        raise UserError(f"{key}: expected a whole number from {least} to {most:,}, found {value}")
    return value


def number(config: DictConfig, key: str, least: float) -> float:
    """A finite number from `least` on.

    Raises:
        UserError: the value is something else.
    """
    value = OmegaConf.select(config, key, throw_on_missing=True)
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value < float("inf"):
        raise UserError(f"{key}: expected a number from {least:g} on, found {value!r}")
    return float(value)


def check_files(config: DictConfig, keys: Sequence[str]) -> None:
    """Check that the files of some keys exist, or are nets that come with fkd; a key may be missing or null.

    Raises:
        UserError: one does not; names the first.
    """
    for key in keys:
        if OmegaConf.select(config, key) is not None and not (file := net(config, key)).exists():
            hint = did_you_mean(str(file), weights.NETS) or "give another path"
            raise UserError(f"{key}={file}: expected a file, found no such file; {hint}")


def net(config: DictConfig, key: str) -> Path:
    """The path of a net's file; of its checkpoint if it comes with fkd and is named, and of the first of these if null.

    Raises:
        UserError: it is something else, or empty.
    """
    value = OmegaConf.select(config, key, throw_on_missing=True)
    return weights.checkpoint(value) if weights.is_name(value) else path(config, key)


def path(config: DictConfig, key: str) -> Path:
    """The path of a file or folder, where ~ is the home folder; Hydra gives a name of digits as a number.

    Raises:
        UserError: it is something else, or empty.
    """
    value = OmegaConf.select(config, key, throw_on_missing=True)
    if isinstance(value, bool | float) or not isinstance(value, str | int) or value == "":
        raise UserError(f"{key}: expected the name of a file or folder, found {value!r}")
    return Path(os.path.expanduser(str(value)))


def check_numbers(config: DictConfig) -> None:
    """Check that libraries can take all whole numbers of a config: they have 64 bits.

    Raises:
        UserError: naming the key.
    """
    nodes = [("", OmegaConf.to_container(config, resolve=False))]
    while nodes:
        key, node = nodes.pop()
        if isinstance(node, dict):
            nodes += [((key and f"{key}.") + str(name), value) for name, value in node.items()]
        elif isinstance(node, list):
            nodes += [(f"{key}[{place}]", value) for place, value in enumerate(node)]
        elif isinstance(node, int) and not -(2**63) <= node < 2**63:
            raise UserError(f"{key}: expected a number of at most 64 bits, found {node}")


def check_training(cfg: DictConfig) -> None:
    """Check keys that would otherwise fail late, some after hours of training.

    Raises:
        UserError: naming the key.
    """
    whole(cfg, "seed", least=0)
    if whole(cfg, "channels", least=1) not in (1, 3):
        raise UserError(f"channels={cfg.channels}: expected 1 (grey) or 3 (RGB)")
    if "name" not in cfg.model:
        raise UserError("model: expected a network, found settings that others include; choose another option")
    whole(cfg, "crop.size", least=1, most=_LARGEST_CROP)
    whole(cfg, "data.batch_size", least=1)
    loader_workers(cfg.data.num_workers, gpus=0)  # raises an error if it is no number of workers
    if "starts_at_mean_shape" in cfg.model:
        flag(cfg, "model.starts_at_mean_shape")
    if "dropout" in cfg.model.get("net", {}) and number(cfg, "model.net.dropout", least=0) > 1:
        raise UserError(f"model.net.dropout={cfg.model.net.dropout}: expected a number from 0 to 1")
    if cfg.trainer.max_epochs != -1:  # no limit
        whole(cfg, "trainer.max_epochs", least=1)
    if cfg.optimizer.get("lr") is not None:
        is_models = OmegaConf.to_container(cfg.optimizer, resolve=False)["lr"] == "${model.lr}"  # type: ignore[call-overload, index]
        number(cfg, "model.lr" if is_models else "optimizer.lr", least=0)
    if cfg.trainer.get("gradient_clip_val") is not None:
        number(cfg, "trainer.gradient_clip_val", least=0)
    if cfg.optimizer.get("fused") is not None:
        flag(cfg, "optimizer.fused")
    if cfg.optimized_metric not in OBJECTIVES or (cfg.optimized_metric == "test/nme" and not cfg.test):
        raise UserError(
            f"optimized_metric={cfg.optimized_metric}: expected one of {', '.join(OBJECTIVES)} (with test=true)"
        )
    if cfg.ckpt_path is None and not cfg.train:
        raise UserError("train=false: expected a checkpoint to score, found ckpt_path=null; set ckpt_path=PATH")
