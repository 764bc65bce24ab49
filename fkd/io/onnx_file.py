"""Checks of an ONNX file, which may be untrusted, before a library gets it. Needs no package for ONNX.

It is a protobuf message (protobuf.dev/programming-guides/encoding): fields, each with a number and bytes or a whole
number. The numbers and their meaning are those of onnx/onnx.proto.
"""

from collections.abc import Iterator
from math import prod

KEY = "fkd"
"""Of fkd's entry in the metadata."""

_MOST_FIELDS, _MOST_NODES, _MOST_METADATA = 500_000, 10_000, 2**24
_DOMAINS = (b"", b"ai.onnx")
"""Of operators; others may be anything."""
_REFUSED = {
    ("model", 20): "steps of a training",
    ("model", 25): "functions",
    ("graph", 15): "sparse weights",
    ("attribute", 6): "a graph in a node",
    ("attribute", 11): "graphs in a node",
    ("attribute", 22): "sparse weights",
    ("attribute", 23): "sparse weights",
    ("tensor", 13): "references to other files",
    ("tensor", 14): "references to other files",
}
_WITHIN = {
    ("model", 7): "graph",
    ("model", 14): "entry",
    ("graph", 1): "node",
    ("graph", 5): "tensor",
    ("node", 5): "attribute",
    ("attribute", 5): "tensor",
    ("attribute", 10): "tensor",
}
"""Messages in messages; the others are only passed over."""


def metadata_of(content: bytes) -> str:
    """The metadata of a net that fkd exported, from a file that is checked.

    Its nodes have no graphs inside, such as loops; all are ONNX's own. Its weights are in the file. The sizes of
    intermediate results are not checked here: the memory limit of ONNX Runtime bounds them.

    Raises:
        ValueError: the file is broken, another program wrote it, or it has what no exported net needs.
    """
    fields = nodes = 0
    metadata = None
    messages = [("model", memoryview(content))]
    while messages:
        kind, message = messages.pop()
        sizes, entry, any_tensor = [], {}, False
        for number, value in _fields(message):
            if (fields := fields + 1) > _MOST_FIELDS:
                raise ValueError(f"expected at most {_MOST_FIELDS:,} parts, found more")
            if (what := _REFUSED.get((kind, number))) and value != 0:
                raise ValueError(f"expected a net in one file, found {what}; export it again with fkd")
            if isinstance(value, int):
                sizes += [value] if (kind, number) == ("tensor", 1) else []
            elif below := _WITHIN.get((kind, number)):
                if (kind, number) == ("attribute", 5) and any_tensor:
                    raise ValueError("expected one tensor in an attribute, found parts of one")
                any_tensor = any_tensor or (kind, number) == ("attribute", 5)
                messages.append((below, value))
                nodes += below == "node"
            elif (kind, number) == ("tensor", 1):
                sizes += _packed(value)
            elif (kind, number) == ("node", 7) and bytes(value) not in _DOMAINS:
                raise ValueError(f"expected ONNX's own operators, found some of {bytes(value[:80])!r}")
            elif kind == "entry":
                entry[number] = bytes(value[: _MOST_METADATA + 1])
        if kind == "tensor" and (len(sizes) > 16 or prod(sizes) > 2 * len(message)):  # a byte has two of 4 bits
            raise ValueError(f"expected weights with all their numbers, found {sizes[:8]} in {len(message):,} bytes")
        if entry.get(1) == KEY.encode():
            metadata = entry.get(2, b"")
    if nodes > _MOST_NODES:
        raise ValueError(f"expected at most {_MOST_NODES:,} nodes, found {nodes:,}")
    if metadata is None:
        raise ValueError(f"expected {KEY!r} in its metadata, found none: another program wrote it")
    if len(metadata) > _MOST_METADATA:
        raise ValueError(f"expected at most {_MOST_METADATA:,} bytes of metadata, found more")
    return metadata.decode()


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Number and value of each field: a whole number, or bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if not 0 < number < 2**29:  # readers drop higher bits, and would find another field
            raise ValueError("expected a net in ONNX, found a broken file or one of another kind")
        if kind == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        length, at = _varint(message, at) if kind == 2 else ({1: 8, 5: 4}.get(kind, len(message) + 1), at)
        if at + length > len(message):
            raise ValueError("expected a net in ONNX, found a broken file or one of another kind")
        yield number, message[at : at + length]
        at += length


def _packed(numbers: memoryview) -> Iterator[int]:
    at = 0
    while at < len(numbers):
        value, at = _varint(numbers, at)
        yield value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A whole number in base 128, the lowest digit first, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at + shift // 7 >= len(message):
            break
        digit = message[at + shift // 7]
        value |= (digit & 127) << shift
        if digit < 128:
            return value, at + shift // 7 + 1
    raise ValueError("expected a net in ONNX, found a broken file or one of another kind")
