"""Untrusted ONNX files: what no exported net needs is refused before a library gets the file."""

import json
import random
import resource
import struct
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fkd import weights
from fkd.errors import UserError
from fkd.inference.onnx_net import OnnxNet
from fkd.io.onnx_file import metadata_of
from tests.fuzz.mutation import damaged_bytes

DESCRIBED = json.dumps(
    json.loads(metadata_of(weights.exported(None).read_bytes()))
    | {"size": 32, "error_model": None, "visibility_model": None}
)


def net(nodes: list[Any], fixed: list[Any] = (), **more: Any) -> onnx.ModelProto:  # type: ignore[assignment]
    """A net that puts all points at `z` (a number)."""
    ends = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("GlobalAveragePool", ["pixels"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "zeros"], ["copies"]),
        *nodes,
        helper.make_node("Add", ["copies", "z"], ["moved"]),
        helper.make_node("Reshape", ["moved", "shape"], ["keypoints"]),
    ]
    known = [
        numpy_helper.from_array(np.zeros((1, 136), np.float32), "zeros"),
        numpy_helper.from_array(np.array([-1, 68, 2]), "shape"),
        *fixed,
    ]
    graph = helper.make_graph(
        ends,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 1, 32, 32])],
        [helper.make_tensor_value_info("keypoints", TensorProto.FLOAT, ["n", 68, 2])],
        known,
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("own", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, **more)
    helper.set_model_props(model, {"fkd": DESCRIBED})
    return model


def number(value: Any, name: str = "z") -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(value), name)


def graph_with(*nodes: onnx.NodeProto) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), "g", [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, [])])


def branch() -> onnx.ModelProto:
    one = graph_with(helper.make_node("Constant", [], ["z"], value=number(np.float32(1), "c")))
    return net(
        [helper.make_node("If", ["yes"], ["z"], then_branch=one, else_branch=one)], [number(np.bool_(True), "yes")]
    )


def function() -> onnx.ModelProto:
    double = helper.make_function(
        "own", "Double", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 18)]
    )
    made = helper.make_node("Double", ["c"], ["z"], domain="own")
    return net([made], [number(np.float32(1), "c")], functions=[double])


def outside() -> onnx.ModelProto:
    weights = number(np.float32(1))
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="../../etc/passwd")
    return net([], [weights])


def large() -> onnx.ModelProto:
    weights = number(np.zeros(3, np.float32))
    weights.dims[:] = [10**6, 10**6]
    return net([], [weights])


def many() -> onnx.ModelProto:
    steps = [helper.make_node("Relu", [f"r{i}"], [f"r{i + 1}"]) for i in range(10_000)]
    return net([*steps, helper.make_node("Relu", ["r10000"], ["z"])], [number(np.float32(1), "r0")])


def told() -> onnx.ModelProto:
    model = net([], [number(np.float32(1))])
    helper.set_model_props(model, {"fkd": DESCRIBED + " " * 2**24})
    return model


def computed(folds: bool) -> onnx.ModelProto:
    """Asks for 5 GiB of numbers whose count no part of the file says."""
    count = [helper.make_node("Constant", [], ["n"], value=number([5 * 2**28], "n"))]
    if not folds:
        shape = helper.make_node("Shape", ["image"], ["shaped"])
        count = [shape, helper.make_node("Mul", ["shaped", "f"], ["n"])]
    made = [helper.make_node("ConstantOfShape", ["n"], ["o"]), helper.make_node("ReduceMax", ["o"], ["z"], keepdims=0)]
    return net([*count, *made], [number([1, 5 * 2**18, 1, 1], "f")])


def memory(path: Path, model: onnx.ModelProto) -> OnnxNet:
    path.write_bytes(model.SerializeToString())
    return OnnxNet(path)


def test_a_file_without_such_parts_is_run(tmp_path: Path) -> None:
    found = memory(tmp_path / "net.onnx", net([], [number(np.float32(3))]))
    np.testing.assert_array_equal(found(np.zeros((1, 1, 32, 32), np.uint8)), np.full((1, 68, 2), 3, np.float32))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (branch(), "found a graph in a node"),
        (function(), "found functions"),
        (outside(), "found references to other files"),
        (large(), r"expected weights with all their numbers, found \[1000000, 1000000\] in \d+ bytes"),
        (many(), "expected at most 10,000 nodes, found 10,007"),
        (told(), "expected at most 16,777,216 bytes of metadata, found more"),
        (net([helper.make_node("Gelu", ["c"], ["z"], domain="com.microsoft")], [number(np.float32(1), "c")]), "own op"),
        (computed(folds=True), "Available memory"),
        (computed(folds=False), "Available memory"),
    ],
    ids=["branch", "function", "outside", "large", "many", "told", "domain", "folded", "computed"],
)
def test_what_no_exported_net_needs_is_refused(tmp_path: Path, model: onnx.ModelProto, message: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=message) as caught:
        memory(tmp_path / "net.onnx", model)
    assert str(caught.value).startswith(f"{tmp_path / 'net.onnx'}: ")
    assert "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB


@pytest.mark.parametrize("content", [b"\x0a", b"\x0a\xff\xff\xff\xff\x0f", b"\x0b", b"\xff" * 20, b"\x3a\x02\x0a\x7f"])
def test_a_broken_message_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="expected a net in ONNX, found a broken file or one of another kind"):
        metadata_of(content)


def test_damaged_files_give_what_onnx_reads_or_an_error() -> None:
    """Its reader and fkd's may refuse different files; where both read one, they read the same."""
    chance, whole, read = random.Random(0), net([], [number(np.float32(3))]).SerializeToString(), 0
    for _ in range(5000):
        data = damaged_bytes(whole, chance)
        try:
            found = metadata_of(data)
        except ValueError:
            continue
        try:
            model = onnx.load_from_string(data)
        except Exception:  # of protobuf, which has no common class
            continue
        read += 1
        assert found == {entry.key: entry.value for entry in model.metadata_props}["fkd"]
        assert not model.functions
        for node in model.graph.node:
            assert node.domain in ("", "ai.onnx")
            assert not any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)
        for initializer in model.graph.initializer:
            assert not initializer.external_data
            assert np.prod(initializer.dims, dtype=object) <= 2 * initializer.ByteSize()
    assert read > 500


def test_long_shapes_take_no_time() -> None:
    """The product of many sizes would be a number of millions of digits."""
    sizes = b"".join(b"\x08" + b"\xff" * 9 + b"\x01" for _ in range(400_000))
    graph = b"\x2a" + varint(len(sizes)) + sizes
    with pytest.raises(ValueError, match="expected weights with all their numbers"):
        metadata_of(b"\x3a" + varint(len(graph)) + graph)


def varint(value: int) -> bytes:
    digits = b""
    while value > 127:
        digits, value = digits + struct.pack("B", value & 127 | 128), value >> 7
    return digits + struct.pack("B", value)


def test_a_field_number_that_readers_cut_off_is_refused() -> None:
    """Readers keep 32 bits of a tag, so a graph under a longer tag would reach them unchecked."""
    content = weights.exported(None).read_bytes()
    tag = bytes([0x3A])  # field 7 of a model, its graph
    longer = bytes([0x3A | 0x80, 0x80, 0x80, 0x80, 0x10])  # the same with a bit beyond the 32
    start = content.index(tag)
    with pytest.raises(ValueError, match="a broken file or one of another kind"):
        metadata_of(content[:start] + longer + content[start + 1 :])


def test_a_tensor_in_parts_is_refused() -> None:
    """Readers join the parts of one field, and their sizes with them."""

    def field(number: int, content: bytes) -> bytes:
        assert len(content) < 128
        return bytes([number << 3 | 2, len(content)]) + content

    tensor = field(5, numpy_helper.from_array(np.zeros(3, np.float32)).SerializeToString())
    joined = onnx.AttributeProto.FromString(tensor + tensor)
    assert list(joined.t.dims) == [3, 3]
    with pytest.raises(ValueError, match="expected one tensor in an attribute"):
        metadata_of(field(7, field(1, field(5, tensor + tensor))))
