"""Damage to files: bytes of any file, words and lines of texts, values of JSON and YAML."""

import copy
import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

_ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 255, 2**31, 2**63, 2**64, -(2**63), 10**30, 10**400, 10**9),
    *(0.5, -0.0, 1e-320, 1e39, 1e308, float("nan"), float("inf"), "", " ", "0", "7", "²", "1e9", "nan", "None"),
    *("../x", "/dev/zero", "/etc/passwd", "a\0b", "a\nb", "a\tb", "\ud800", "\x1b[31m", "${oc.env:HOME}", "x" * 70_000),
    *("(a+)+$", "<script>", "os.system", "torch.nn.Linear", "fkd.detect.YuNet", "fkd.detect.BoxFile"),
    *([], {}, [[]], [None], [1, None], {"": None}, {"_target_": "os.system", "_args_": ["true"]}, [0.5] * 1000),
)
_ODD_WORDS = (
    *("", "0", "-1", "1e39", "1e309", "nan", "inf", "-0", "0x1", "1_000", "²", "٣", "1,5", "9" * 20, "9" * 500),
    *("\t", "\n", "\r", "\0", "\x0c", "\u2028", "\ufeff", "é", "#", '"', "'", "&", "<", "&amp;", "&lol;", "]]>"),
    *("{", "}", "../x", "/dev/zero", "C:\\x", "p0.png", "x" * 5000),
)


def flip_bits(data: bytearray, at: int, chance: random.Random) -> None:
    for offset in range(chance.choice([1, 1, 4, 16])):
        data[(at + offset * 7) % len(data)] ^= 1 << chance.randrange(8)


def set_number(data: bytearray, at: int, chance: random.Random) -> None:
    """A length, a size or a count at its extremes, in either byte order."""
    number = chance.choice([0, 1, 2, 0x7FFF, 0x8000, 0xFFFF, 20_000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF])
    width = chance.choice([1, 2, 4])
    data[at : at + width] = (number % 256**width).to_bytes(width, chance.choice(["big", "little"]))  # type: ignore[arg-type]


def cut(data: bytearray, at: int, chance: random.Random) -> None:
    del data[max(at, 1) :]


def remove(data: bytearray, at: int, chance: random.Random) -> None:
    del data[at : at + chance.choice([1, 4, 32])]


def repeat(data: bytearray, at: int, chance: random.Random) -> None:
    data[at:at] = data[at : at + chance.choice([1, 4, 32])]


def swap(data: bytearray, at: int, chance: random.Random) -> None:
    other, length = chance.randrange(len(data)), chance.choice([4, 16, 64])
    data[at : at + length], data[other : other + length] = data[other : other + length], data[at : at + length]


DAMAGE = (flip_bits, flip_bits, set_number, set_number, cut, remove, repeat, swap)


def damaged_bytes(data: bytes, chance: random.Random) -> bytes:
    found = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4])):
        if len(found) > 1:
            chance.choice(DAMAGE)(found, chance.randrange(len(found)), chance)
    return bytes(found)


def damaged_text(data: bytes, chance: random.Random) -> bytes:
    """Other words, lines that are gone, twice or elsewhere; sometimes damaged bytes."""
    if chance.random() < 0.2:
        return damaged_bytes(data, chance)
    text = data.decode("utf-8", "surrogateescape")
    for _ in range(chance.choice([1, 1, 2, 5])):
        if chance.random() < 0.7:
            words = [*re.finditer(r"[\w.+-]+|[^\w\s]|\s", text)] or [re.match("", text)]
            word = chance.choice(words)
            assert word is not None
            keep = word.group() * chance.choice([0, 0, 0, 1, 2])
            text = text[: word.start()] + keep + chance.choice(_ODD_WORDS) + text[word.end() :]
        else:
            lines = text.splitlines(keepends=True) or [""]
            line = lines.pop(chance.randrange(len(lines)))
            for _ in range(chance.choice([0, 1, 2, 50])):
                lines.insert(chance.randrange(len(lines) + 1), line)
            text = "".join(lines)
    return text.encode("utf-8", "surrogateescape")


def damaged_values(values: Any, chance: random.Random) -> Any:
    """Other values, keys that are gone, new or of other places."""
    values = copy.deepcopy(values)
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        if not (places := [*_places(values)]):
            return chance.choice(_ODD_VALUES)
        parent, key = chance.choice(places)
        kind = chance.random()
        if kind < 0.6:
            parent[key] = copy.deepcopy(chance.choice(_ODD_VALUES))
        elif kind < 0.75:
            other, name = chance.choice(places)
            parent[key] = copy.deepcopy(other[name])
        elif kind < 0.85:
            del parent[key]
        elif isinstance(parent, list):
            parent[key:key] = [copy.deepcopy(parent[key])] * chance.choice([1, 2, 30])
        elif isinstance(parent[key], int | float):
            parent[key] = parent[key] * chance.choice([-1, 1000, 10**12])
        else:
            parent[chance.choice(["_target_", "_args_", "_partial_", "name", "x" * 300, "", "\n"])] = parent[key]
    return values


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    for key, child in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield node, key
        yield from _places(child)


def damaged_json(data: bytes, chance: random.Random) -> bytes:
    if (kind := chance.random()) < 0.15:
        return damaged_text(data, chance)
    if kind < 0.17:
        return b"[" * 100_000
    return json.dumps(damaged_values(json.loads(data), chance)).encode("utf-8", "surrogatepass")


def damaged_yaml(data: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.4:
        return damaged_text(data, chance)
    return yaml.safe_dump(damaged_values(yaml.safe_load(data), chance), allow_unicode=True).encode("utf-8", "replace")


def damage_of(name: str) -> Callable[[bytes, random.Random], bytes]:
    """What damages a file of this name."""
    return {"json": damaged_json, "yaml": damaged_yaml, "npz": damaged_bytes}.get(name.rpartition(".")[2], damaged_text)
