"""Reading checkpoints, which may be untrusted."""

import importlib
import inspect
import json
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch.utils._python_dispatch import TorchDispatchMode

from fkd.data.split import anonymous
from fkd.detect import without_files
from fkd.errors import UserError
from fkd.io import trusted
from fkd.io.atomic import whole_file
from fkd.io.ranges import Within, annotations, check, check_amount
from fkd.types import UNKNOWN, Hashes

_PACKAGES = ("fkd.models", "fkd.codecs", "fkd.data.crop_plans", "fkd.geometry", "torch.nn.modules")
"""Packages whose own classes a config may name: their constructors build and do nothing else."""
_OWN_PARTS = (("encode", "decode"), ("training", "validation"))
"""Methods by which a class of the user's own package is known as a codec or a crop plan."""
_MOVED = ("fkd.data.crops.",)
"""Prefixes of class names in checkpoints of older versions."""
_OLDER = "expected a checkpoint of this version of fkd, found an older one; train again"
_UNREADABLE = (
    *(zipfile.BadZipFile, RuntimeError, pickle.UnpicklingError, EOFError, OSError),
    *(ValueError, KeyError, TypeError, SafetensorError),
)
"""Exceptions of reading a file that is no checkpoint."""
_TORCHVISION = {"_target_", "num_classes"}
"""Allowed keys of a network of torchvision.models; `weights` would download a file."""


_REPEATS = dict.fromkeys(("num_layers", "num_encoder_layers", "num_decoder_layers"), Annotated[int, Within(1, 1000)])
"""How often layers of torch copy others."""
_MOST_STEPS, _MOST_NUMBERS = 100_000, 2**28  # of building a net and running it on one crop; of one tensor
_MOST_VALUES = 2_000_000  # of a checkpoint, without its tensors
SAFETENSORS = ".safetensors"
_METADATA = "fkd"  # key of the JSON with all but the tensors
_MODEL = "model."  # prefix of a KeypointNet's weights in Lightning's module
_HASHES = "image_hashes"
_KEPT_DATA = ("name", "label_shift", "split")


def write_safetensors(content: Mapping[str, Any], path: Path) -> None:
    """Write the content of `read` as a safetensors file for others, without what only training needs.

    Paths and settings of the training are left out; subjects' names become pseudonyms (`fkd.data.split.anonymous`).
    With these and the hashes of images, whoever has a name or an image can test whether the net was trained on it.
    """
    config = {part: content["config"][part] for part in ("model", "crop", "schema", "channels", "detector")}
    config["data"] = {name: value for name, value in content["config"]["data"].items() if name in _KEPT_DATA}
    subjects = [anonymous(subject) for subject in content["subjects"]]
    metadata = {"config": config, "scores": content["scores"], "subjects": subjects, "shapes": content["shapes"]}
    config["detector"] = without_files(config["detector"])
    weights = {name: tensor.contiguous() for name, tensor in content["state_dict"].items()}
    if (hashes := content.get(_HASHES)) is not None:
        weights[_HASHES] = hashes
    with whole_file(path) as file:
        file.write(safetensors.torch.save(weights, {_METADATA: json.dumps(metadata)}))


def _read_safetensors(path: str | Path) -> Any:
    with safe_open(path, "pt") as file:
        metadata = json.loads((file.metadata() or {}).get(_METADATA, "null"))
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dictionary)
    return {**metadata, _HASHES: weights.pop(_HASHES, None), "state_dict": weights} if metadata else None


def read(path: str | Path, key: str) -> dict[str, Any]:
    """The content of a checkpoint of fkd: tensors and plain data, on the CPU; no code of the file is run.

    A safetensors file only has what prediction and scores need.

    Args:
        path: the file.
        key: config key of the file, for errors.

    Raises:
        UserError: the file is missing, truncated or of another kind.
    """
    file = Path(str(path))
    if file.is_dir():
        raise UserError(
            f"{key}={path}: expected a checkpoint, found a folder; give a file, e.g. .../checkpoints/best.ckpt"
        )
    if not file.is_file():
        raise UserError(
            f"{key}={path}: expected a checkpoint, found no such file; give the path of a best.ckpt or last.ckpt"
        )
    if (suffix := file.suffix.lower()) in (".onnx", ".pt2"):
        raise UserError(
            f"{key}={path}: expected a checkpoint (.ckpt), found an exported net ({suffix}); give the "
            "checkpoint that was exported"
        )
    try:
        content = _read_safetensors(path) if suffix == SAFETENSORS else _read_torch(path, key)
    except UserError:
        raise
    except _UNREADABLE:
        raise UserError(
            f"{key}={path}: expected a checkpoint of fkd, found a truncated file or one of another kind; "
            "train again or give another file"
        ) from None
    needed = {"config": dict, "state_dict": dict, "scores": dict, "subjects": list, "shapes": dict | None}
    hashes = content.get(_HASHES) if isinstance(content, dict) else None  # older checkpoints have none
    has_hashes = isinstance(hashes, torch.Tensor) and hashes.dtype == torch.int64 and hashes.ndim == 1
    if not isinstance(content, dict) or not (
        all(isinstance(content.get(name), kind) for name, kind in needed.items()) and (has_hashes or hashes is None)
    ):
        raise UserError(
            f"{key}={path}: expected a checkpoint of fkd with {', '.join(needed)}, found a file of another kind"
        )
    try:
        check_amount(content["config"], f"{key}={path}: config")
        check_amount(content, f"{key}={path}", _MOST_VALUES)
        for name, score in content["scores"].items():
            check(score, float, f"{key}={path}: scores.{str(name)[:80]}")
        check(content["subjects"], Sequence[str], f"{key}={path}: subjects")
    except ValueError as error:
        raise UserError(str(error)) from None
    return content


def hashes_of(content: Mapping[str, Any]) -> Hashes:
    """Hashes of a checkpoint's training images; unknown in older checkpoints, which have none."""
    kept = content.get(_HASHES)
    return UNKNOWN if kept is None else kept.cpu().numpy().view(np.uint64)


def _read_torch(path: str | Path, key: str) -> Any:
    """The content of Lightning's checkpoint, with the names of weights relative to the `KeypointNet`."""
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()  # torch stores them as they are; compressed ones could grow to any size
        if any(p.compress_type for p in parts) or sum(p.file_size for p in parts) > Path(path).stat().st_size:
            raise UserError(f"{key}={path}: expected a checkpoint as torch writes it, found compressed parts")
        damaged = archive.testzip()  # torch does not verify the checksums
    if damaged is not None:
        raise UserError(f"{key}={path}: the file is damaged (its part {damaged}); copy it again")
    content = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(content, dict) and isinstance(state := content.get("state_dict"), dict):
        if "mean_shape" in state:
            raise UserError(f"{key}={path}: {_OLDER}")
        content["state_dict"] = {str(name).removeprefix(_MODEL): tensor for name, tensor in state.items()}
    return content


def build(node: Any) -> Any:
    """Build the object of a trusted config: `_target_` is called with the other keys, `_args_` are positional.

    Args:
        node: of a config that `check_trusted` accepted.
    """
    if isinstance(node, Mapping):
        values = {str(key): build(child) for key, child in node.items()}
        if (name := values.pop("_target_", None)) is None:
            return values
        module, _, attribute = str(name).rpartition(".")
        return getattr(importlib.import_module(module), attribute)(*values.pop("_args_", ()), **values)
    return [build(child) for child in node] if isinstance(node, list | tuple) else node


def check_trusted(node: Any, key: str) -> None:
    """Refuse a config that names classes which are not trusted, or has interpolations.

    Trusted are the classes of fkd's models, codecs and crops, the layers of torch.nn, and the networks of
    torchvision.models without pretrained weights (which would be downloaded).

    Raises:
        UserError: naming what was found.
    """
    if isinstance(node, Mapping):
        if (name := node.get("_target_")) is not None and not _trusted(name, node):
            if str(name).startswith(_MOVED):
                raise UserError(f"{key}: {_OLDER}")
            if trusted.covers(str(name).rpartition(".")[0]):
                module, _, kind = str(name).rpartition(".")
                raise UserError(
                    f"{key}: found _target_ {name!r}, but Python finds no net, codec or crop {kind} that is defined in "
                    f"{module}; write its name as it stands there, or add the folder that holds the package "
                    f"{module.partition('.')[0]} to PYTHONPATH"
                )
            raise UserError(
                f"{key}: expected classes of {', '.join(_PACKAGES)} or networks of torchvision.models without weights, "
                f"found _target_ {name!r}; if it is of a package of yours, trust that: fkd.load(path, trusted=[NAME]), "
                "or run the command in its project"
            )
        _check_values(node, key)
        for name, child in node.items():
            if str(name).startswith("_") and name not in ("_target_", "_args_"):
                raise UserError(f"{key}: expected only _target_ and _args_ of Hydra's keys, found {name}")
            check_trusted(child, key)
    elif isinstance(node, list | tuple):
        for child in node:
            check_trusted(child, key)
    elif isinstance(node, str) and "${" in node:
        raise UserError(f"{key}: expected plain values, found {node!r}")


def names_own_classes(node: Any) -> bool:
    """Whether a config names classes of the packages that the user trusts."""
    if isinstance(node, Mapping):
        own = trusted.covers(str(node.get("_target_", "")).rpartition(".")[0])
        return own or any(map(names_own_classes, node.values()))
    return isinstance(node, list | tuple) and any(map(names_own_classes, node))


def _check_values(node: Mapping[Any, Any], key: str) -> None:
    """Check the plain values of a trusted node against the annotations of its target."""
    values, positional = dict(node), node.get("_args_", ())
    hints: dict[str, Any] = {}
    if (name := values.pop("_target_", None)) is not None:
        module, _, attribute = str(name).rpartition(".")
        target = getattr(importlib.import_module(module), attribute)
        hints = annotations(target) or _REPEATS
        if isinstance(positional, list | tuple) and positional:
            parameters = [name for name in inspect.signature(target).parameters if name != "self"]
            values |= zip(parameters, positional, strict=False)
    try:
        for name, value in values.items():
            check(value, hints.get(name, Any), f"{key}: {str(name)[:80]}")
    except ValueError as error:
        raise UserError(str(error)) from None


class Sparing(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tensors without memory, and an error where a net would take more than a net of a file may.

    What a net builds and computes here, it also does with memory, so that an untrusted one is tried first.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._steps = 0

    def __enter__(self) -> "Sparing":
        self._device = torch.device("meta")
        self._device.__enter__()
        return super().__enter__()  # type: ignore[no-any-return, no-untyped-call]

    def __exit__(self, *args: Any) -> None:
        super().__exit__(*args)  # type: ignore[no-untyped-call]
        self._device.__exit__(*args)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        self._steps += 1
        for tensor in found if isinstance(found, list | tuple) else [found]:
            if isinstance(tensor, torch.Tensor) and tensor.numel() > _MOST_NUMBERS:
                raise UserError(
                    f"model.net: expected tensors of at most {_MOST_NUMBERS:,} numbers, found {tuple(tensor.shape)}"
                )
        if self._steps > _MOST_STEPS:
            raise UserError(f"model.net: expected at most {_MOST_STEPS:,} steps to build and run it, found more")
        return found


def check_weights(net: torch.nn.Module, weights: Mapping[str, Any]) -> None:
    """Hold a net without memory against the weights that are there: names and shapes.

    Raises:
        UserError: they differ, or buffers that no file has are too large.
    """
    expected = net.state_dict()
    for name in [*expected, *weights]:
        wanted, found = (getattr(part.get(name), "shape", None) for part in (expected, weights))
        if wanted is None or wanted != found:
            raise UserError(f"weights {str(name)[:80]}: expected shape {_shape(wanted)}, found {_shape(found)}")
    if sum(buffer.numel() for buffer in net.buffers()) > _MOST_NUMBERS + sum(each.numel() for each in weights.values()):
        raise UserError(f"model.net: expected buffers of at most {_MOST_NUMBERS:,} numbers beside the weights")


def _shape(shape: Any) -> str:
    return "none" if shape is None else str(tuple(shape))


def check_paths(node: Any, key: str) -> None:
    """Refuse state of callbacks with paths of other file systems or with ..: Lightning deletes old checkpoints there.

    Raises:
        UserError: naming what was found.
    """
    if isinstance(node, Mapping):
        for name, child in node.items():
            check_paths(name, key)
            check_paths(child, key)
    elif isinstance(node, list | tuple):
        for child in node:
            check_paths(child, key)
    elif isinstance(node, str) and ("://" in node or "::" in node or ".." in Path(node).parts):
        raise UserError(f"{key}: expected plain paths in the state of callbacks, found {node!r}")


def _trusted(target: Any, node: Mapping[Any, Any]) -> bool:
    """Whether a target is defined in a trusted package; classes that the package only imports are not."""
    module, _, name = str(target).rpartition(".")
    if module == "torchvision.models":
        import torchvision  # slow to import, and needed by few nets

        return name in torchvision.models.list_models(torchvision.models) and node.keys() <= _TORCHVISION
    if (own := trusted.own_class(str(target))) is not None:
        return issubclass(own, torch.nn.Module) or any(all(hasattr(own, name) for name in part) for part in _OWN_PARTS)
    if not (_below(module) or module == "torch.nn"):
        return False
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError:
        return False
    return isinstance(found, type) and _below(found.__module__)


def _below(module: str) -> bool:
    return any(module == package or module.startswith(package + ".") for package in _PACKAGES)
