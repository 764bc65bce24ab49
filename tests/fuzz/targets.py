"""What is fuzzed: each target takes a damaged file, and gives "accepted" or "refused", or raises what is a fault."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import safetensors.torch
import torch
from onnx import TensorProto, helper, numpy_helper

import fkd
from fkd import checkpoint, comparison, detect
from fkd.config.build_module import build_module
from fkd.data.face_data import Faces
from fkd.data.sources import FileSet, coco, csv_table, imglab, pts
from fkd.detect import WholeImage
from fkd.errors import UserError
from fkd.geometry import Correction, Jitter
from fkd.inference.predictor import Predictor
from fkd.inference.without_memory import WithoutMemory
from fkd.io import images
from fkd.io.ranges import check_amount
from fkd.types import Face
from tests.comparison.folders import write_run
from tests.config.test_conf import compose
from tests.data.sources.conftest import FOUR

CORPUS = Path(__file__).parent / "corpus"
_IMAGE = np.random.default_rng(0).integers(0, 256, (48, 64), np.uint8)


@dataclass(frozen=True)
class Target:
    """Something that reads files.

    Attributes:
        files: names in the corpus.
        prepare: writes into an empty folder what stays the same, and gives a function of a name in the corpus and a
            damaged content, which reads that.
    """

    files: Sequence[str]
    prepare: Callable[[Path], Callable[[str, bytes], None]]


def outcome(read: Callable[[str, bytes], None], name: str, data: bytes) -> str:
    """Whether a file was accepted.

    Raises:
        Exception: neither a value nor a UserError came of it.
    """
    try:
        read(name, data)
    except UserError as error:
        message = str(error)
    else:
        return "accepted"
    assert 0 < len(message) < 1000 + 2 * len(data), f"a message of {len(message)} characters: {message:.200}"
    return "refused"


def _labels(load: Callable[[FileSet, str], Faces], path: str, root: Path) -> Callable[[str, bytes], None]:
    for i in range(3):
        images.write(root / f"p{i}.png", np.full((40 + i, 60 + i), 20 * i, np.uint8))
    for name in ("coco.json", "face.pts"):
        (root / name.replace("face", "p0")).write_bytes((CORPUS / name).read_bytes())

    def read(name: str, data: bytes) -> None:
        (root / path.format(name=name)).write_bytes(data)
        exclude, cache = str(root / name) if name == "exclude.txt" else None, str(root / "cache")
        _check_faces(load(FileSet("set", str(root), FOUR, None, "image", exclude, 0.2, 0.2, 0, 1, cache), name), root)

    return read


def _check_faces(faces: Faces, root: Path) -> None:
    table = faces.table
    count = len(table)
    assert table.keypoints.shape == (count, 4, 2)
    assert table.keypoints.dtype == np.float32
    assert np.isfinite(table.keypoints).all()
    assert table.visible.shape == (count, 4)
    assert table.visible.dtype == bool
    assert (np.abs(table.keypoints) <= 1e6).all()
    assert sorted(row for rows in faces.splits.values() for row in rows.tolist()) == [*range(count)]
    for path in table.paths.tolist():
        assert (root / path).resolve().is_relative_to(root.resolve()), path
    for row in table.images.tolist():
        assert faces.images[row].dtype == np.uint8


def _coco(files: FileSet, name: str) -> Faces:
    return coco(files, None, None, "coco.json", ".", True, 0)


def _imglab(files: FileSet, name: str) -> Faces:
    return imglab(files, None, None, name)


def _csv(files: FileSet, name: str) -> Faces:
    return csv_table(files, None, None, name, ".", "file", 1, None if name == "table.csv" else "who")


def _pts(files: FileSet, name: str) -> Faces:
    return pts(files, [], [], ["."], 1)


def _net(root: Path) -> Callable[[str, bytes], None]:
    """The config of a checkpoint; its weights are those of the net that the corpus names."""
    torch.manual_seed(0)
    module = build_module(compose("model=compact", "crop.size=32", "detector=haar")).eval()
    weights = {name.removeprefix("model."): tensor.contiguous() for name, tensor in module.state_dict().items()}

    def read(name: str, data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        (root / "net.safetensors").write_bytes(safetensors.torch.save(weights, {"fkd": text}))
        _check_net(fkd.load(root / "net.safetensors", device="cpu"))
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            return
        state = module.state_dict()
        torch.save({**content, "state_dict": state} if isinstance(content, dict) else content, root / "net.ckpt")
        _check_net(fkd.load(root / "net.ckpt", device="cpu"))

    return read


def _values(root: Path) -> Callable[[str, bytes], None]:
    """Configs of every class that a file may name, each built as a net's file has it built."""
    first = (CORPUS / "values.json").read_bytes()
    points, whole = torch.full((2, 4, 2), 5.0), json.loads(first)

    def build(part: str, config: Any) -> None:
        if part == "detectors":
            detect.build(detect.without_files(config))
            return
        checkpoint.check_trusted(config, part)
        _check_numbers(config)
        try:
            with WithoutMemory():
                built = checkpoint.build(config)
                found = built.decode(built.encode(points)) if part == "codecs" else points
                window = built.window(np.float32([[1, 2, 5, 6]])) if part == "crops" else np.zeros(4)
        except Exception as error:  # as of `load_net`
            raise UserError(str(error)[:500] or type(error).__name__) from error
        assert found.shape == points.shape
        assert (np.abs(window) < 1e6).all()

    def read(name: str, data: bytes) -> None:
        try:
            content = json.loads(data)
            check_amount(content, name)
        except (ValueError, RecursionError) as error:
            raise UserError(str(error)[:500]) from error
        for part, configs in content.items() if isinstance(content, dict) else ():
            for config in configs if isinstance(configs, list) else ():
                if isinstance(config, dict) and (config not in whole.get(part, ()) or data == first):  # not built yet
                    build(part, config)

    return read


def _check_numbers(node: Any) -> None:
    """What is accepted is finite and not large, whatever takes it."""
    if isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            _check_numbers(child)
    elif isinstance(node, int | float):
        assert abs(node) <= 1e9
        assert isinstance(node, int) or np.isfinite(node)


def _onnx(root: Path) -> Callable[[str, bytes], None]:
    """The metadata of an exported net, whose graph puts all points at one place."""
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("GlobalAveragePool", ["pixels"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "ones"], ["copies"]),
        helper.make_node("Reshape", ["copies", "shape"], ["keypoints"]),
    ]
    fixed = [
        numpy_helper.from_array(np.full((1, 136), 0.1, np.float32), "ones"),
        numpy_helper.from_array(np.array([-1, 68, 2]), "shape"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 1, 32, 32])],
        [helper.make_tensor_value_info("keypoints", TensorProto.FLOAT, ["n", 68, 2])],
        fixed,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def read(name: str, data: bytes) -> None:
        del model.metadata_props[:]
        helper.set_model_props(model, {"fkd": data.decode("utf-8", "replace")})
        onnx.save(model, root / "net.onnx")
        _check_net(fkd.load(root / "net.onnx"))

    return read


def _check_net(predictor: Predictor) -> None:
    metadata = predictor.net.metadata
    assert isinstance(metadata.size, int)
    assert metadata.channels in (1, 3)
    _check_found(predictor(_IMAGE))
    whole = WholeImage(Correction(1.0, 0.0, 0.0), Jitter(0.0, 0.0, 0.0), None)
    _check_found(Predictor(predictor.net, whole, flip=False, max_pixels=10_000)(_IMAGE))


def _check_found(faces: Sequence[Face]) -> None:
    for found in faces:
        assert found.keypoints.dtype == np.float32
        assert np.isfinite(found.keypoints).all()
        assert np.isfinite(found.box).all()


def _run(root: Path) -> Callable[[str, bytes], None]:
    """A file of one of two runs that are compared; the other one is always there in the end."""
    places = {name: name for name in ("result.json", "metrics.csv", "test_faces.npz")}
    places["config.yaml"] = ".hydra/config.yaml"
    for name in ("whole", "damaged"):
        folder = write_run(root / "runs" / name, {"loss": name}, nme=6.0)
        (folder / "test_faces.npz").write_bytes((CORPUS / "test_faces.npz").read_bytes())
    kept = {name: (root / "runs/damaged" / place).read_bytes() for name, place in places.items()}

    def read(name: str, data: bytes) -> None:
        for other, place in places.items():
            (root / "runs/damaged" / place).write_bytes(data if other == name else kept[other])
        ranking = comparison.compare(comparison.folders(str(root / "runs")), "auto")
        judgement = comparison.verdict(ranking, 10)
        comparison.draw(ranking, 4)
        comparison.write_csv(root / "comparison.csv", ranking)
        comparison.shown(ranking, judgement, 10)
        assert "whole" in (root / "comparison.csv").read_text()
        (run,) = (run for run in comparison.read([root / "runs"]) if run.path.name == "damaged")
        if run.status != "done":
            raise UserError(run.reason or run.status)

    return read


TARGETS = {
    "checkpoint config": Target(["checkpoint.json"], _net),
    "config values": Target(["values.json"], _values),
    "ONNX metadata": Target(["onnx_metadata.json"], _onnx),
    "run": Target(["result.json", "metrics.csv", "config.yaml", "test_faces.npz"], _run),
    "pts": Target(["face.pts"], partial(_labels, _pts, "p0.pts")),
    "imglab": Target(["imglab.xml"], partial(_labels, _imglab, "{name}")),
    "COCO": Target(["coco.json"], partial(_labels, _coco, "{name}")),
    "CSV": Target(["table.csv", "table_half.csv"], partial(_labels, _csv, "{name}")),
    "exclude": Target(["exclude.txt"], partial(_labels, _coco, "{name}")),
}
