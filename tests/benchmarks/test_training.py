import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmarks.training import as_written
from fkd.models.conv5 import Conv5
from fkd.models.naimish import NaimishNet
from fkd.models.naimish_bn import NaimishNetBatchNorm
from tests.conftest import Outcome

Script = Callable[..., Outcome]
FEW = ("crop.size=48", "data.batch_size=8", "turns=2", "trainer=cpu", "hydra.run.dir=out")


def test_the_script_times_all_sides_in_turn(script: Script, faces_root: Path) -> None:
    data = ("data=udacity", f"data.root={faces_root}", "data.cache_dir=cache", "data.val_share=0.3")
    outcome = script("benchmark", "train", *data, *FEW, "cases=null", "model=naimish", "steps=2")
    assert outcome.status == 0, outcome.err
    groups = json.loads(Path("out/benchmark.json").read_text())["figures"]
    rows = {row["name"]: row for row in groups["as given"]}
    sides = [f"{side}, {work}" for side, work in itertools.product(["notebook", "fkd"], ["loading", "step", "both"])]
    assert set(sides) <= set(rows)
    assert all(0 < row["low"] <= row["median"] <= row["high"] for name, row in rows.items() if "tax" not in name)
    (slowest, fastest), (slow, fast) = (of_two(rows[f"{side}, both"]) for side in ("fkd", "notebook"))
    assert slowest / fast <= rows["ratio, both"]["median"] * 1.001
    assert rows["ratio, both"]["median"] <= fastest / slow * 1.001
    assert rows["waiting for data"]["high"] < 100
    assert 1 < groups["start"][0]["median"] < 120
    assert Path("out/benchmark.png").stat().st_size > 1000
    assert "ratio, both" in outcome.out


def of_two(row: dict[str, float]) -> tuple[float, float]:
    """Both values whose quartiles a row has."""
    beyond = (row["high"] - row["low"]) / 2
    return row["low"] - beyond, row["high"] + beyond


def test_a_side_that_fails_ends_the_benchmark_with_its_own_line(script: Script, tmp_path: Path) -> None:
    outcome = script("benchmark", "train", *FEW, "cases=null", "data=udacity", f"data.root={tmp_path}/none")
    assert outcome.status == 2
    assert f"{tmp_path}/none" in outcome.err
    assert outcome.err.count("error:") == 1
    assert not Path("out/benchmark.json").exists()


@pytest.mark.parametrize("make", [Conv5, NaimishNet, NaimishNetBatchNorm])
def test_a_net_as_subjects_write_it_is_the_same_net(make: Callable[..., nn.Module]) -> None:
    net = make(channels=1, size=64, keypoints=3, dropout=1.0, init="torch").eval()
    written = as_written(net)
    kinds = [type(layer) for layer in written.modules()]
    assert all(kind.__module__.startswith("torch.") for kind in kinds if kind is not make)
    pools = [i for i, kind in enumerate(kinds) if kind is nn.MaxPool2d]
    assert all(issubclass(kinds[i - 1], nn.ELU | nn.SELU) for i in pools)
    images = torch.rand(2, 1, 64, 64)
    torch.testing.assert_close(written(images), net(images))


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("cases=x", "cases: expected name: {overrides, steps}, or null, found 'x'"),
        ("++cases.mine.steps=1", "cases: mine: expected overrides and steps from 1 on"),
        ("side=foo", "side=foo: expected none"),
        ("trainer=default", "trainer.accelerator=auto: expected cpu"),
    ],
)
def test_what_cannot_be_timed_is_one_line(script: Script, override: str, line: str) -> None:
    outcome = script("benchmark", "train", override, "hydra.run.dir=out")
    assert outcome.status == 2
    assert line in outcome.err
    assert "Traceback" not in outcome.err
