"""Reading checkpoints, which may be untrusted."""

import importlib
import inspect
import json
import math
import pickle
import pickletools
import zipfile
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from fkd import weights
from fkd.data.split import anonymous
from fkd.detect import without_files
from fkd.errors import UserError, did_you_mean
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

_REPEATS = dict.fromkeys(("num_layers", "num_encoder_layers", "num_decoder_layers"), Annotated[int, Within(1, 100)])
"""How often layers of torch are copied."""
_MOST_LAYERS = 10_000
_PLAIN_TYPES = {
    *("collections OrderedDict", "builtins set", "torch Size", "torch device"),
    *("torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_parameter"),
}
"""What a checkpoint's pickle may name beside types of numbers.

Others that torch calls can allocate much memory from a small file.
"""
_MOST_VALUES = 2_000_000  # of a checkpoint, without its tensors
SAFETENSORS = ".safetensors"
_ZIP = b"PK\x03\x04"  # first bytes of a checkpoint of torch
_METADATA = "fkd"  # key of the JSON with all but the tensors
_MODEL = "model."  # prefix of a KeypointNet's weights in Lightning's module
_HASHES = "image_hashes"
CALIBRATED = ("error_model", "visibility_model")
"""What is known of a net's points; a checkpoint may have none."""
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
    metadata |= {name: content.get(name) for name in CALIBRATED}
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
        hint = did_you_mean(str(path), weights.NETS) or "give the path of a best.ckpt or last.ckpt"
        raise UserError(f"{key}={path}: expected a checkpoint, found no such file; {hint}")
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
    with Path(path).open("rb") as file:  # torch looks at the beginning, zipfile at the end
        if file.read(len(_ZIP)) != _ZIP:
            raise zipfile.BadZipFile
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()  # torch stores them as they are; compressed ones could grow to any size
        if any(p.compress_type for p in parts) or sum(p.file_size for p in parts) > Path(path).stat().st_size:
            raise UserError(f"{key}={path}: expected a checkpoint as torch writes it, found compressed parts")
        damaged = archive.testzip()  # torch does not verify the checksums
        pickles = (
            [archive.read(part) for part in parts if part.filename.lower().endswith("data.pkl")] if not damaged else []
        )
    if damaged is not None:
        raise UserError(f"{key}={path}: the file is damaged (its part {damaged}); copy it again")
    for step, name, _ in chain.from_iterable(map(pickletools.genops, pickles)):
        if step.name == "GLOBAL" and name not in _PLAIN_TYPES and not _is_of_numbers(str(name)):
            raise UserError(f"{key}={path}: expected tensors and plain data, found {str(name)[:80]!r}")
    content = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(content, dict) and isinstance(state := content.get("state_dict"), dict):
        if "mean_shape" in state:
            raise UserError(f"{key}={path}: {_OLDER}")
        content["state_dict"] = {str(name).removeprefix(_MODEL): tensor for name, tensor in state.items()}
    return content


def _is_of_numbers(name: str) -> bool:
    """Whether a pickle's name is that of a type of tensors' numbers or of their storage."""
    module, _, kind = name.partition(" ")
    return module == "torch" and (kind.endswith("Storage") or isinstance(getattr(torch, kind, None), torch.dtype))


def build(node: Any) -> Any:
    """Build the object of a trusted config: `_target_` is called with the other keys, `_args_` are positional.

    Args:
        node: of a config that `check_trusted` accepted.
    """
    if isinstance(node, Mapping):
        values = {str(key): build(child) for key, child in node.items()}
        if (name := values.pop("_target_", None)) is None:
            return values
        return _named(name)(*values.pop("_args_", ()), **values)
    return [build(child) for child in node] if isinstance(node, list | tuple) else node


def check_trusted(node: Any, key: str) -> None:
    """Refuse a config that names classes which are not trusted, has interpolations, or values out of their ranges.

    Trusted are the classes of fkd's models, codecs and crops, the layers of torch.nn, and the networks of
    torchvision.models without pretrained weights (which would be downloaded).

    Raises:
        UserError: naming what was found.
    """
    _checked(node, key)


def _checked(node: Any, key: str) -> int:
    """Check a config as `check_trusted` does: the number of layers that it builds."""
    layers = 0
    if isinstance(node, Mapping):
        if (name := node.get("_target_")) is not None and not _trusted(name, node):
            if str(name).startswith(_MOVED):
                raise UserError(f"{key}: {_OLDER}")
            if trusted.covers(str(name).rpartition(".")[0]):
                module, _, kind = str(name).rpartition(".")
                if (found := trusted.absent(module)) is not None and "." in found[0]:
                    missing, beside = found
                    hint = (
                        did_you_mean(missing.rpartition(".")[2], beside)
                        or f"beside it are {', '.join(beside) or 'none'}"
                    )
                    raise UserError(f"{key}: found _target_ {name!r}, but there is no module {missing}; {hint}")
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
        for each, child in node.items():
            if str(each).startswith("_") and each not in ("_target_", "_args_"):
                raise UserError(f"{key}: expected only _target_ and _args_ of Hydra's keys, found {each}")
            layers += _checked(child, key)
        layers = (layers + 1) * _check_values(node, key)
        if layers > _MOST_LAYERS:
            raise UserError(f"{key}: expected at most {_MOST_LAYERS:,} layers, found more")
    elif isinstance(node, list | tuple):
        layers = sum(_checked(child, key) for child in node)
    elif isinstance(node, str) and "${" in node:
        raise UserError(f"{key}: expected plain values, found {node!r}")
    return layers


def _check_values(node: Mapping[Any, Any], key: str) -> int:
    """Check the plain values of a trusted node against its class's annotations: how often it copies a layer."""
    target = dict if node.get("_target_") is None else _named(node["_target_"])
    values = {name: value for name, value in node.items() if name not in ("_target_", "_args_")}
    if not isinstance(positional := node.get("_args_", []), list | tuple):
        raise UserError(f"{key}: expected a list of _args_, found {type(positional).__name__}")
    if positional and target is not dict:
        taken = inspect.signature(target).parameters.values()
        names = [each.name for each in taken if each.kind is each.POSITIONAL_OR_KEYWORD]
        values |= {names[i] if i < len(names) else i: value for i, value in enumerate(positional)}
    hints = annotations(target) or ({} if trusted.covers(target.__module__) else _REPEATS)
    try:
        for name, value in values.items():
            if hints is _REPEATS and isinstance(name, int) and isinstance(value, int):
                raise ValueError(
                    f"{key}: {target.__name__}: expected a name for the number {str(value)[:20]}, found none"
                )
            check(value, hints.get(name, Any), f"{key}: {str(name)[:80]}")
    except ValueError as error:
        raise UserError(str(error)) from None
    repeats = (value for name, value in values.items() if hints is _REPEATS and name in hints)
    return math.prod(value for value in repeats if isinstance(value, int))


def _named(target: Any) -> Any:
    module, _, name = str(target).rpartition(".")
    return getattr(importlib.import_module(module), name)


def names_own_classes(node: Any) -> bool:
    """Whether a config names classes of the packages that the user trusts."""
    if isinstance(node, Mapping):
        own = trusted.covers(str(node.get("_target_", "")).rpartition(".")[0])
        return own or any(map(names_own_classes, node.values()))
    return isinstance(node, list | tuple) and any(map(names_own_classes, node))


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
