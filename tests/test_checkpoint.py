"""A net as a safetensors file: the same answers, nothing of the machine it was trained on, and refused when broken."""

import hashlib
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fkd import checkpoint
from fkd.config.build_module import build_module
from fkd.errors import UserError
from fkd.inference.torch_net import load_net
from fkd.training.runs.compatibility import plain
from tests.config.test_conf import SMALL, compose


@pytest.fixture
def content() -> dict[str, Any]:
    """What a best.ckpt holds of an untrained net."""
    cfg = compose("model=compact", *SMALL, "data=udacity", "data.root=/home/me/faces")
    module = build_module(cfg)
    module.learn_about(
        np.zeros((68, 2), np.float32), np.random.default_rng(0).random((30, 68, 2)), ["Ada_Lovelace", "Alan_Turing"]
    )
    shapes = None if module.shapes is None else module.shapes.to_dict()
    return {
        "config": plain(cfg),
        "state_dict": module.model.state_dict(),
        "scores": {"epoch": 3, "val/nme": 5.0},
        "subjects": module.subjects,
        "image_hashes": torch.tensor([5, -1]),
        "shapes": shapes,
    }


@pytest.fixture
def file(content: dict[str, Any], tmp_path: Path) -> Path:
    checkpoint.write_safetensors(content, tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


def test_it_answers_as_the_checkpoint(content: dict[str, Any], file: Path, tmp_path: Path) -> None:
    state = {f"model.{name}": weights for name, weights in content["state_dict"].items()}  # of Lightning's module
    torch.save(content | {"state_dict": state}, tmp_path / "best.ckpt")
    first, second = (load_net(path) for path in (tmp_path / "best.ckpt", file))
    images = torch.randint(0, 256, (3, 1, 32, 32), dtype=torch.uint8)
    assert torch.equal(first.model(images), second.model(images))
    assert (first.scores, first.metadata.size) == (second.scores, second.metadata.size)
    assert first.metadata.shapes is not None
    assert second.metadata.shapes is not None
    assert np.array_equal(first.metadata.shapes.axes, second.metadata.shapes.axes)
    assert first.image_hashes.tolist() == second.image_hashes.tolist() == [5, 2**64 - 1]


def test_hashes_that_are_not_known_stay_so(content: dict[str, Any], tmp_path: Path) -> None:
    del content["image_hashes"]
    checkpoint.write_safetensors(content, tmp_path / "net.safetensors")
    assert load_net(tmp_path / "net.safetensors").image_hashes.tolist() == [0]


def test_paths_settings_and_names_stay_behind(file: Path) -> None:
    for told in (b"/home/me", b"Ada_Lovelace", b"Alan_Turing"):
        assert told not in file.read_bytes()
    subjects = load_net(file).subjects
    assert subjects == ["sha256:" + hashlib.sha256(name).hexdigest()[:16] for name in (b"Ada_Lovelace", b"Alan_Turing")]
    config = checkpoint.read(file, "ckpt")["config"]
    assert set(config) == {"model", "crop", "schema", "channels", "detector", "data"}
    assert set(config["data"]) == {"name", "label_shift", "split"}


def with_metadata(file: Path, change: Any) -> Path:
    """The same file, its JSON changed."""
    data = file.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    said = json.loads(header["__metadata__"]["fkd"])
    header["__metadata__"]["fkd"] = json.dumps(change(said))
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    return file


def named_os_system(said: dict[str, Any]) -> dict[str, Any]:
    said["config"]["model"]["net"]["_target_"] = "os.system"
    return said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (named_os_system, "expected classes of .* found _target_ 'os.system'"),
        (lambda said: None, "expected a checkpoint of fkd"),
        (lambda said: [1, 2], "expected a checkpoint of fkd"),
        (lambda said: {**said, "subjects": None}, "expected a checkpoint of fkd with .* subjects"),
    ],
)
def test_a_hostile_or_foreign_file_is_one_line(file: Path, change: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_net(with_metadata(file, change))


@pytest.mark.parametrize("keep", [0, 5, 200, -10])
def test_a_truncated_file_is_one_line(file: Path, keep: int) -> None:
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(UserError, match="expected a checkpoint of fkd, found a truncated file or one of another kind"):
        load_net(file)


def test_files_of_older_versions_are_called_so(content: dict[str, Any], tmp_path: Path) -> None:
    """Which named weights, or the classes of crops, otherwise."""
    torch.save(content, tmp_path / "old.ckpt")
    content["config"]["crop"]["plan"]["_target_"] = "fkd.data.crops.FaceCrop"
    checkpoint.write_safetensors(content, tmp_path / "old.safetensors")
    for name in ("old.ckpt", "old.safetensors"):
        with pytest.raises(UserError, match=rf"^ckpt=.*{name}: .*this version of fkd, found an older one"):
            load_net(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": {"val/nme": "7"}}, r"scores\.val/nme: expected a number, found '7'"),
        ({"scores": {"val/nme": float("nan")}}, r"scores\.val/nme: expected a number from .* found nan"),
        ({"subjects": [1, None]}, r"subjects\[0\]: expected a list or a text, found 1"),
    ],
)
def test_values_of_a_file_have_a_type_and_a_range(
    content: dict[str, Any], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    state = {f"model.{name}": weights for name, weights in content["state_dict"].items()}  # of Lightning's module
    torch.save(content | {"state_dict": state} | change, tmp_path / "net.ckpt")
    with pytest.raises(UserError, match=message) as caught:
        load_net(tmp_path / "net.ckpt")
    assert "\n" not in str(caught.value)


def test_what_is_shared_by_reference_counts_each_time(content: dict[str, Any], tmp_path: Path) -> None:
    """Thirty lists in a small file, each twice in the next, are two to the power of thirty."""
    bomb: list[Any] = []
    for _ in range(30):
        bomb = [bomb, bomb]
    content["config"]["model"]["net"]["widths"] = bomb
    state = {f"model.{name}": weights for name, weights in content["state_dict"].items()}
    torch.save(content | {"state_dict": state}, tmp_path / "net.ckpt")
    with pytest.raises(UserError, match=r"config: expected at most 20,000 values, found more"):
        load_net(tmp_path / "net.ckpt")


def test_compressed_parts_are_refused(content: dict[str, Any], tmp_path: Path) -> None:
    torch.save(content, tmp_path / "net.ckpt")
    with zipfile.ZipFile(tmp_path / "net.ckpt") as plain_zip, zipfile.ZipFile(tmp_path / "b.ckpt", "w", 8) as packed:
        for part in plain_zip.infolist():
            packed.writestr(part.filename, plain_zip.read(part))
    with pytest.raises(UserError, match="found compressed parts"):
        load_net(tmp_path / "b.ckpt")
