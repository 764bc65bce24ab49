"""Whatever a file of one run holds, the others are compared, and what is wrong with that one is said in a line.

`python -m tests.comparison.test_damage 5000 1` runs 5,000 mutations from seed 1 by hand and counts what came of them.
"""

import collections
import csv
import io
import json
import random
import shutil
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf

from fkd import comparison
from fkd.commands.compare import main
from fkd.comparison import tested
from fkd.comparison.evaluations import EVALUATION
from fkd.errors import UserError
from fkd.training.runs.reading import read_yaml
from tests.comparison.folders import write_run
from tests.comparison.test_page import data_of
from tests.comparison.test_significance import annotations

ESCAPES = "\x1b]0;title\x07\x1b[2J\r\u202e\u2066"
TEXTS = (
    ESCAPES,
    "²",
    "",
    "<a href=//x>link</a>",
    "a" * 5000,
    "\ud800",
    "nan",
    "1e999",
    "${oc.env:HOME}",
    "\n\t,\"';",
    "=1+1",
)
NUMBERS = (10**400, -(10**400), 10**29, 1e308, -1e308, 5e-324, 0, -1, float("nan"), float("inf"), -0.0, 2**63)
OTHERS: tuple[Any, ...] = (
    None,
    True,
    [],
    {},
    [[[1]]],
    {"a": {"b": [None]}},
    ["x"] * 400,
    {str(i): i for i in range(400)},
)
ARRAYS: tuple[Callable[[np.random.Generator], Any], ...] = (
    lambda rng: np.array([{}] * 12, object),
    lambda rng: np.zeros((), np.float32),
    lambda rng: np.zeros(0, np.float32),
    lambda rng: np.full(12, np.nan, np.float32),
    lambda rng: np.full(12, -np.inf, np.float32),
    lambda rng: np.full(12, 1e38, np.float32),
    lambda rng: np.full(12, 1e300),
    lambda rng: rng.normal(size=(12, 68, 2)).astype(np.float32) * 1e30,
    lambda rng: np.zeros((12, 68, 2), np.float32),
    lambda rng: np.full((12, 68, 2), np.nan, np.float32),
    lambda rng: np.zeros((12, 3, 2), np.float32),
    lambda rng: np.zeros((12, 0, 2), np.float32),
    lambda rng: np.zeros((12, 68, 2), complex),
    lambda rng: np.zeros(12, [("a", "f4")]),
    lambda rng: np.zeros(12, "M8[s]"),
    lambda rng: np.full(12, 0x7FFFFFFF, np.int32).view("<U1"),  # no character
    lambda rng: np.array([ESCAPES] * 12),
    lambda rng: np.arange(12)[::-1],
    lambda rng: np.full(12, 2**40),
    lambda rng: np.ones(12, bool),
    lambda rng: rng.integers(0, 255, 12, np.uint8),
)


def leaves(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(found for key, child in inner for found in leaves(child, (*path, key)))]


def edited(content: Any, rng: random.Random) -> Any:
    """With one value replaced, one key renamed, or one removed."""
    path = rng.choice(leaves(content))
    value = rng.choice(rng.choice((TEXTS, NUMBERS, OTHERS)))
    if not path:
        return value
    node = content
    for key in path[:-1]:
        node = node[key]
    if isinstance(node, dict) and rng.random() < 0.3:
        old = node.pop(path[-1])
        if rng.random() < 0.5:
            node[rng.choice(TEXTS)] = old
    else:
        node[path[-1]] = value
    return content


def torn(data: bytes, rng: random.Random) -> bytes:
    """With bytes changed, cut, doubled or inserted."""
    start = rng.randrange(len(data) + 1)
    end = min(len(data), start + rng.choice((1, 2, 8, 64, 1000)))
    kind = rng.randrange(5)
    if kind == 0:
        return data[:start]
    if kind == 1:
        return data[:start] + data[end:]
    if kind == 2:
        return data[:end] + data[start:]
    if kind == 3:
        return data[:start] + rng.randbytes(end - start) + data[end:]
    return data[:start] + rng.choice((b"\0", b"\xff\xfe", b"\x1b[2J", b"9" * 401, b"[" * 5000)) + data[start:]


def mutate(path: Path, rng: random.Random) -> None:
    if path.suffix in (".json", ".yaml") and rng.random() < 0.8:
        content = edited((json.loads if path.suffix == ".json" else yaml.safe_load)(path.read_text()), rng)
        text = json.dumps(content) if path.suffix == ".json" else yaml.safe_dump(content, allow_unicode=True)
        path.write_text(text, "utf-8", "surrogatepass")
    elif path.suffix == ".csv" and rng.random() < 0.7:
        rows = [line.split(",") for line in path.read_text().splitlines()]
        row = rng.choice(rows)
        value = rng.choice((*TEXTS, *(str(number) for number in NUMBERS)))
        row[rng.randrange(len(row))] = value
        path.write_text("\n".join(",".join(row) for row in rows), "utf-8", "surrogatepass")
    elif path.suffix == ".npz" and rng.random() < 0.7:
        with np.load(path) as file:
            arrays = dict(file)
        name = rng.choice(sorted(arrays))
        if rng.random() < 0.2:
            del arrays[name]
        else:
            arrays[name] = rng.choice(ARRAYS)(np.random.default_rng(rng.randrange(9)))
        np.savez_compressed(path, **arrays)
    else:
        path.write_bytes(torn(path.read_bytes(), rng))


def write_folder(folder: Path, evaluations: bool) -> list[str]:
    """Three runs or evaluations, of which "bad" will be damaged; gives the files of that one."""
    table = annotations(subjects=3, frames=4)
    for number, name in enumerate(("bad", "good1", "good2")):
        run = write_run(
            folder / name, {"model": f"m{number}"}, 5.0 + number, faces=table, noise=number, crops=(0, 1, 2)
        )
        if evaluations:
            result = json.loads((run / "result.json").read_text())
            (run / "result.json").unlink()
            (run / "metrics.json").write_text(json.dumps(result["test"]))
            kept = {key: result[key] for key in ("settings", "mean_shape_nme", "parameters")}
            more = {
                "ckpt": "x",
                "run": "/elsewhere",
                "recipe": name,
                "faces": {"test": "a"},
                "config": {"data": {"a": 1}},
            }
            (run / EVALUATION).write_text(json.dumps(kept | more))
    own = ("evaluation.json", "metrics.json") if evaluations else ("result.json", "metrics.csv", ".hydra/config.yaml")
    return [*own, tested.FILE, tested.CROPS]


def compared(folder: Path) -> tuple[int, str]:
    """Exit status and output of `fkd compare`, whose PNG files are left out since they take most of the time."""
    options = {"rank": "auto", "rows": 20, "curves": 20, "chosen": 6, "faces": 8, "resamples": 100}
    out = io.StringIO()
    with patch("fkd.commands.compare.write_figures", return_value=[]), redirect_stdout(out), redirect_stderr(out):
        try:
            main.task(OmegaConf.create({"runs": str(folder), "output": None} | options))
        except UserError as error:
            return error.status, str(error)
    return 0, out.getvalue()


def check(folder: Path) -> str:
    """What came of the damaged run; the others are compared with each other."""
    status, text = compared(folder)
    assert status == 0, text
    assert not set(text.replace("\n", "")) & {"\x1b", "\r", "\x07", "\u202e", "\u2066"}, text
    with (folder / "comparison.csv").open(encoding="utf-8", errors="replace") as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    assert all(rows[name]["status"] == "done" for name in ("good1", "good2"))
    page = (folder / "comparison.html").read_text()
    states = {row["name"]: row["state"] for row in data_of(page)["runs"]["rows"]}
    assert states["good1"] == states["good2"] == "done"
    assert not {"\x1b", "\u202e", "\u2066"} & set(page.split('<script id="data"')[1])
    assert ("bad" in rows) or "bad" not in states
    return f"{rows['bad']['status'] if 'bad' in rows else 'not a run'}{', warned' if 'test_faces' in text else ''}"


@pytest.mark.parametrize("evaluations", [False, True], ids=["runs", "evaluations"])
def test_a_mutated_file_of_one_run_leaves_the_others_compared(tmp_path: Path, evaluations: bool) -> None:
    files = write_folder(tmp_path / "whole", evaluations)
    for seed in range(15):
        rng = random.Random(f"{evaluations} {seed}")
        shutil.copytree(tmp_path / "whole", tmp_path / "now")
        mutate(tmp_path / "now" / "bad" / files[seed % len(files)], rng)
        check(tmp_path / "now")
        shutil.rmtree(tmp_path / "now")


def without_points(content: bytes) -> bytes:
    with np.load(io.BytesIO(content)) as file:
        arrays = {name: file[name] for name in file if name != "preds"}
    np.savez_compressed(file := io.BytesIO(), **arrays)
    return file.getvalue()


@pytest.mark.parametrize(
    ("file", "change", "reason"),
    [
        ("result.json", lambda b: b.replace(b"571032", b"9" * 401), ""),
        ("result.json", lambda b: b.replace(b'"m0"', b"9" * 401), ""),
        ("result.json", lambda b: b.replace(b'"m0"', b'{"a":' * 300 + b"1" + b"}" * 300), ""),
        ("result.json", lambda b: b"[" * 100_000, "cannot be read"),
        ("result.json", lambda b: b"[1]", "expected an object"),
        ("result.json", lambda b: b" " * 5_000_000 + b, "expected at most 4,000,000 bytes"),
        (
            "result.json",
            lambda b: json.dumps({"status": "done", "settings": dict.fromkeys(map(str, range(999)), 1)}).encode(),
            "at most 300",
        ),
        ("metrics.csv", lambda b: b.replace(b"\r\n1,", "\r\n²,".encode(), 1), ""),
        (
            "metrics.csv",
            lambda b: b"epoch,x\n0," + b"a" * 200_000,
            "metrics.csv: line 2: expected at most 100,000 characters, found 200,002",
        ),
        ("test_faces.npz", without_points, "expected an array preds, found none"),
        ("test_faces.npz", lambda b: b"PK", "test_faces.npz: cannot be read"),
        ("test_faces.npz", lambda b: b[: len(b) // 2], "test_faces.npz: cannot be read"),
    ],
)
def test_the_reason_is_in_the_output_and_on_the_page(
    tmp_path: Path, file: str, change: Callable[[bytes], bytes], reason: str
) -> None:
    write_folder(tmp_path, evaluations=False)
    path = tmp_path / "bad" / file
    path.write_bytes(change(path.read_bytes()))
    check(tmp_path)
    assert reason in (tmp_path / "comparison.html").read_text()
    assert not reason or {"broken:", "warning:"} & set(compared(tmp_path)[1].split())


def npy(shape: str, descr: str = "<f4") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


@pytest.mark.parametrize("content", [npy("(10**12,)"), npy("(1000000000000,)"), npy("(12,)", "|O"), npy("(-1,)"), b""])
def test_a_header_that_claims_too_much_is_refused_before_memory_is_taken(tmp_path: Path, content: bytes) -> None:
    write_folder(tmp_path, evaluations=False)
    with np.load(tmp_path / "bad" / tested.FILE) as file:
        arrays = dict(file)
    del arrays["nme"]
    np.savez_compressed(tmp_path / "bad" / tested.FILE, **arrays)
    with zipfile.ZipFile(tmp_path / "bad" / tested.FILE, "a") as archive:
        archive.writestr("nme.npy", content)
    with pytest.raises(ValueError, match=r"test_faces\.npz: cannot be read"):
        tested.read(tmp_path / "bad")


def test_a_yaml_bomb_is_not_expanded_and_what_omegaconf_writes_is_read(tmp_path: Path) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))
    for text in (bomb, "[" * 10_000, "a: 1\n" * 300_000, "!!python/object/apply:os.getcwd []", "- 1", "a: &b 1\nc: *b"):
        (tmp_path / "config.yaml").write_text(text)
        assert read_yaml(tmp_path, "config.yaml") == {}
    shared = {"lr": 1e-5, "betas": [0.9, 0.999]}
    config = {"seed": 7, "a": shared, "b": shared, "on": True, "none": None, "name": "x", "root": "${oc.env:HOME}"}
    OmegaConf.save(OmegaConf.create(config), tmp_path / "config.yaml")
    assert read_yaml(tmp_path, "config.yaml") == config
    (tmp_path / "config.yaml").write_text("t: " + ":".join(["59"] * 100_000))  # a number to base 60 in YAML 1.1
    assert isinstance(read_yaml(tmp_path, "config.yaml")["t"], str)


def test_no_file_outside_of_a_run_is_read(tmp_path: Path) -> None:
    """Neither by a link in the folder of a run nor by the name of a folder in an evaluation."""
    write_folder(tmp_path / "scores", evaluations=True)
    elsewhere = write_run(tmp_path / "elsewhere", {"data.secret": 1})
    (elsewhere / ".hydra" / "config.yaml").write_text("data: {secret: 4711}\n")
    path = tmp_path / "scores" / "bad" / EVALUATION
    content = json.loads(path.read_text()) | {"run": str(elsewhere)}
    path.write_text(json.dumps(content))
    other = tmp_path / "scores" / "good1" / EVALUATION
    content = json.loads(other.read_text())
    other.write_text(json.dumps(content | {"settings": content["settings"] | {"data.secret": 1}}))
    check(tmp_path / "scores")
    assert "4711" not in (tmp_path / "scores" / "comparison.csv").read_text()
    path.unlink()
    path.symlink_to(other)
    check(tmp_path / "scores")
    assert comparison.read([tmp_path / "scores"])[0].reason.endswith("found a link out of it)")


def by_hand(count: int, seed: int) -> None:
    outcomes, slowest = collections.Counter[str](), (0.0, "")
    with tempfile.TemporaryDirectory() as scratch:
        whole = [Path(scratch, name) for name in ("runs", "evaluations")]
        files = [write_folder(folder, folder.name == "evaluations") for folder in whole]
        for number in range(seed, seed + count):
            rng = random.Random(number)
            kind = rng.randrange(2)
            name = rng.choice(files[kind])
            shutil.copytree(whole[kind], now := Path(scratch, "now"))
            start = time.monotonic()
            try:
                for _ in range(rng.choice((1, 1, 1, 2, 3))):
                    mutate(now / "bad" / name, rng)
            except Exception:  # an earlier mutation has left nothing to mutate
                pass
            try:
                outcome = check(now)
            except Exception:
                outcome = "FAULT"
                print(f"{number}: {name}\n{traceback.format_exc(limit=-4)}")
            outcomes[f"{whole[kind].name} {name}: {outcome}"] += 1
            slowest = max(slowest, (time.monotonic() - start, f"{number} {name}"))
            shutil.rmtree(now)
    print(*(f"{count:6,} {outcome}" for outcome, count in sorted(outcomes.items())), sep="\n")
    print(f"slowest: {slowest}")


if __name__ == "__main__":
    by_hand(*map(int, sys.argv[1:]))
