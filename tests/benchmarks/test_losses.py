"""Every net with every loss: records of trainings by name, on synthetic and on real faces."""

import re
from pathlib import Path

import pytest

from benchmarks.zoo.records import Record, read
from tests.conftest import PROJECT

RECORDS = {data: read(PROJECT / "results/losses", data) for data in ("synthetic", "udacity")}
EACH = [pytest.param(record, id=record.name) for records in RECORDS.values() for record in records]


def loss_of(record: Record) -> str:
    found = re.search(r"\bloss=(\w+)", record.commands[-1])
    return found[1] if found else "l1"


@pytest.mark.parametrize("record", EACH)
def test_a_net_that_is_named_learns(record: Record) -> None:
    """Its test error is below two thirds of the mean face's, and in no epoch `val/nme` is above three times that."""
    assert record.mean_shape_nme is not None
    assert record.scores["keypoints"]["nme_interocular"] < 2 / 3 * record.mean_shape_nme
    curve = [value for value in record.curve["val/nme"] if value is not None]
    assert curve[-1] < curve[0]
    assert max(curve) < 3 * record.mean_shape_nme


@pytest.mark.parametrize("data", RECORDS)
def test_no_combination_is_missing(data: str) -> None:
    models = ("batchnorm", "compact", "conv5", "naimish", "naimish_bn", "simple")
    losses = ("interval", "l1", "mse", "smoothl1", "softwing", "wing")
    found = {(record.model, loss_of(record)) for record in RECORDS[data]}
    assert found >= {(model, loss) for model in models for loss in losses}


def test_the_files_are_kept(tmp_path: Path) -> None:
    assert all(record.environment and record.date for records in RECORDS.values() for record in records)
