"""Trained nets as files: ONNX, also in 8 or 16 bits, and torch.export for others; safetensors for fkd itself.

Nets for other programs take uint8 crops `image` (B, C, S, S), any B, and give `keypoints` (B, K, 2) float32 in crop
pixels: scaling and decoding are part of the graph. ONNX files of nets with heatmaps also give `spread` (B, K) in crop
pixels, from which the metadata's `error_model` computes the expected error of each point.
"""

import importlib.util
import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from fkd.checkpoint import SAFETENSORS
from fkd.errors import UserError
from fkd.inference.metadata import Metadata
from fkd.inference.onnx_net import INPUT, OUTPUT, SPREAD, OnnxNet
from fkd.io.atomic import whole_file
from fkd.io.onnx_file import KEY
from fkd.models.keypoint_net import KeypointNet
from fkd.types import Image, Points

SUFFIXES = (".onnx", ".pt2", SAFETENSORS)
_OPSET = 18  # default of torch 2.6; ONNX Runtime supports it since 1.14
_WEIGHTED = ("Conv", "Gemm")
_KEPT_IN_8_BITS = ("Add", "Mul", "Relu", "MaxPool", "Resize")
"""Further nodes that ONNX Runtime computes in 8 bits; all others convert to float and back."""


def check_output(path: Path, int8: bool, half: bool) -> None:
    """Check, before the long work, that a net can be written to a file.

    Raises:
        UserError: the suffix is unknown, a package is missing, or the path is a folder.
    """
    if path.suffix not in SUFFIXES:
        raise UserError(f"output={path}: expected a name that ends with {', '.join(SUFFIXES)}, found {path.suffix!r}")
    if int8 and path.suffix != ".onnx":
        raise UserError(f"output={path}: expected a name that ends with .onnx with int8=true, found {path.suffix!r}")
    if half and path.suffix == ".pt2":
        raise UserError(
            f"output={path}: expected a name that ends with .onnx or {SAFETENSORS} with half=true, found .pt2"
        )
    if half and int8:
        raise UserError("half: expected one of half=true and int8=true, found both; leave one out")
    if path.suffix == ".onnx":
        check_packages()
    if path.is_dir():
        raise UserError(f"output={path}: expected the name of a file, found a folder; give e.g. {path}/net.onnx")


def to_onnx(model: KeypointNet, metadata: Metadata, path: Path) -> None:
    """Write one ONNX file that `fkd.inference.onnx_net.OnnxNet` runs without torch; the same net gives the same bytes.

    Args:
        model: on the CPU; afterwards in evaluation mode.
        metadata: is written to the file.
        path: of the new file.

    Raises:
        UserError: torch.export cannot trace the net, or `fkd[export]` is not installed.
    """
    check_packages()
    names = [OUTPUT, SPREAD] if model.has_spread else [OUTPUT]
    program = _program(_WithSpread(model) if model.has_spread else model, model, metadata.model)
    proto = onnx_model(program, names, metadata.model)
    _rename(proto.graph)
    _write(proto, metadata, path)


def onnx_model(program: ExportedProgram, outputs: Sequence[str], name: str) -> Any:
    """A program as an ONNX model without notes on this machine, with one input `image`.

    Args:
        program: of torch.export.
        outputs: names of its outputs.
        name: of the model, for errors.

    Raises:
        UserError: it uses an operation that ONNX does not have.
    """
    with quiet():
        try:
            exported = torch.onnx.export(
                program,
                dynamo=True,
                input_names=[INPUT],
                output_names=outputs,
                opset_version=_OPSET,
                external_data=False,
                verbose=False,
                optimize=True,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise UserError(f"model={name}: cannot be exported to ONNX ({_first_line(error)})") from error
    assert exported is not None
    proto = exported.model_proto
    for part in (proto, *proto.functions):
        _strip(part)
    return proto


def to_torch_export(model: KeypointNet, metadata: Metadata, path: Path) -> None:
    """Write a torch.export program (.pt2) with the metadata in its extra file `fkd`.

    Arguments and errors as of `to_onnx`.
    """
    program = _program(model, model, metadata.model)
    for part in program.graph_module.modules():
        for node in getattr(part, "graph", torch.fx.Graph()).nodes:
            node.meta.pop("stack_trace", None)  # has paths of this machine
    content = io.BytesIO()  # torch ends the process if a file cannot be written
    with quiet(), whole_file(path) as file:
        torch.export.save(program, content, extra_files={KEY: metadata.to_json()})
        file.write(content.getbuffer())


def to_int8(source: Path, path: Path, crops: Image) -> None:
    """Write an exported net with 8-bit weights and features (static quantisation by ONNX Runtime).

    The first layer, the layer that gives the coordinates, and after the last convolution all but dense layers stay in
    float32: eight bits are too few for coordinates. Weights have one scale per channel, features one per layer
    (Krishnamoorthi, arXiv:1806.08342, section 3). Weights use 7 bits, so that sums cannot overflow on CPUs without
    VNNI.

    Args:
        source: a file of `to_onnx`.
        path: of the new file.
        crops: (N, C, S, S) uint8, a few hundred typical ones; their features set the range of each layer.

    Raises:
        UserError: `fkd[export]` is not installed.
    """
    check_packages()
    import onnx
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.crops = iter(crops)

        def get_next(self) -> dict[str, Image] | None:
            crop = next(self.crops, None)
            return None if crop is None else {INPUT: crop[None]}

    model = onnx.load(source)
    with tempfile.TemporaryDirectory() as folder, quiet():
        small = Path(folder) / "int8.onnx"
        quantization.quantize_static(
            model,
            small,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            op_types_to_quantize=[*_WEIGHTED, *_KEPT_IN_8_BITS],
            nodes_to_exclude=_stay_float(model.graph.node),
        )
        _write(onnx.load(small), OnnxNet(source).metadata, path)


def to_half(source: Path, path: Path) -> None:
    """Write an exported net, ONNX or safetensors, with weights in float16: half the size. It computes in float32.

    Args:
        source: a file of `to_onnx` or of `fkd.checkpoint.write_safetensors`.
        path: of the new file.

    Raises:
        UserError: for ONNX, `fkd[export]` is not installed.
    """
    if path.suffix == SAFETENSORS:
        with safe_open(source, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dictionary)
            metadata = file.metadata()
        smaller = {
            name: tensor.half() if tensor.is_floating_point() and tensor.ndim > 1 and name != "mean_shape" else tensor
            for name, tensor in tensors.items()
        }
        with whole_file(path) as written:
            written.write(safetensors.torch.save(smaller, metadata))
        return
    check_packages()
    import onnx

    model = onnx.load(source)
    casts = []
    for weights in model.graph.initializer:
        if weights.data_type == onnx.TensorProto.FLOAT and len(weights.dims) > 1:
            name, half = weights.name, f"{weights.name}_half"
            weights.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weights).astype(np.float16), half))
            cast = onnx.helper.make_node("Cast", [half], [name], f"cast_{name}", to=onnx.TensorProto.FLOAT)
            casts.append(cast)  # ONNX Runtime computes it once, when it loads the file
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    _write(model, OnnxNet(source).metadata, path)


def reader(path: Path) -> Callable[[Image], Points]:
    """A function that runs an exported file: crops (B, C, S, S) uint8 -> (B, K, 2) crop pixels."""
    if path.suffix == ".onnx":
        return OnnxNet(path)
    program = torch.export.load(path).module()

    def run(crops: Image) -> Points:
        with torch.inference_mode():
            keypoints: Points = program(torch.from_numpy(crops)).numpy()
        return keypoints

    return run


class _WithSpread(nn.Module):
    def __init__(self, model: KeypointNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.model.with_spread(images)


def _program(graph: nn.Module, model: KeypointNet, name: str) -> ExportedProgram:
    images = torch.zeros(2, model.channels, model.size, model.size, dtype=torch.uint8)  # 1 would fix the batch size
    shapes = ({0: Dim("batch", min=1)},)
    graph.eval()
    with quiet(), torch.inference_mode(False), torch.no_grad():
        try:
            return torch.export.export(graph, (images,), dynamic_shapes=shapes, strict=False)
        except Exception:  # the strict mode is slower, but supports more of Python, e.g. len(x)
            try:
                return torch.export.export(graph, (images,), dynamic_shapes=shapes, strict=True)
            except Exception as error:  # the net may be the user's own and raise anything
                raise UserError(f"model={name}: torch.export cannot trace it ({_first_line(error)})") from error


def _stay_float(nodes: Any) -> list[str]:
    """Names of the nodes, given in topological order, that must not be in 8 bits."""
    seen: set[str] = set()  # tensors after a layer with weights
    awaited: set[str] = set()  # tensors before a layer with weights
    convolved: set[str] = set()  # tensors before a convolution
    names = []
    for node in nodes:
        is_first = node.op_type in _WEIGHTED and not seen.intersection(node.input)
        if is_first:
            names.append(node.name)
        if node.op_type in _WEIGHTED or seen.intersection(node.input):
            seen.update(node.output)
    for node in reversed(nodes):
        weighs, convolves = awaited.intersection(node.output), convolved.intersection(node.output)
        if not (weighs if node.op_type in _WEIGHTED else convolves):
            names.append(node.name)
        if weighs or node.op_type in _WEIGHTED:
            awaited.update(node.input)
        if convolves or node.op_type == "Conv":
            convolved.update(node.input)
    return sorted(set(names))


def _rename(graph: Any) -> None:
    """Number all names: torch's names differ between exports and may come from the user's code."""
    names = {INPUT: INPUT, OUTPUT: OUTPUT, SPREAD: SPREAD, "": ""}
    for put in (*graph.initializer, *(name for node in graph.node for name in node.output)):
        name = getattr(put, "name", put)
        names.setdefault(name, f"v{len(names)}")
    for initializer in graph.initializer:
        initializer.name = names[initializer.name]
    for number, node in enumerate(graph.node):
        node.name = f"n{number}"
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    for put in (*graph.input, *graph.output):
        for dim in put.type.tensor_type.shape.dim:
            if dim.HasField("dim_param"):
                dim.dim_param = "batch"
    graph.name = KEY
    graph.ClearField("value_info")  # can be inferred


def _strip(message: Any) -> None:
    """Remove the exporter's notes, which have paths of this machine, from an ONNX message and all below it."""
    for name in ("doc_string", "metadata_props"):
        if name in message.DESCRIPTOR.fields_by_name:
            message.ClearField(name)
    for field, value in message.ListFields():
        if field.message_type is not None:
            for child in value if hasattr(value, "__len__") else [value]:
                _strip(child)


def _write(model: Any, metadata: Metadata, path: Path) -> None:
    del model.metadata_props[:]
    model.producer_name, model.producer_version = "fkd", ""
    model.metadata_props.add(key=KEY, value=metadata.to_json())
    with whole_file(path) as file:
        file.write(model.SerializeToString(deterministic=True))


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings of torch and ONNX Runtime."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def check_packages() -> None:
    """Check, before the long work, that nets can be written as ONNX.

    Raises:
        UserError: a package is missing.
    """
    for package in ("onnx", "onnxruntime", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise UserError(f'export: expected the package {package}, found none; pip install "fkd[export]"')


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]
