"""Every model learns with what one gets by naming it, and with the rate that debug=lr suggests."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.config.test_conf import LOSSES
from tests.conftest import Outcome
from tests.training.test_debug import BUILT_ALIKE, MODELS

Script = Callable[..., Outcome]
SHORT = (
    "crop.size=48",
    "data.subjects=120",
    "data.frames=3",
    "data.size=96",
    "data.batch_size=8",
    "trainer.max_epochs=6",
)
"""192 steps, and small crops, for time; all else is what a user gets."""
CHANGES = {"conv5": ["crop.size=64"], "resnet18": ["crop.size=64"], "simple": ["trainer.max_epochs=36"]}
"""The smallest crops and the fewest steps with which they learn."""
LARGE = {*BUILT_ALIKE} - {"resnet18"}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drawn")


def train(script: Script, drawn: Path, model: str, *overrides: str) -> tuple[dict[str, Any], list[float]]:
    """The run's result and its `val/nme` by epoch."""
    words = [f"model={model}", *LOSSES.get(model, [])[-1:], f"data.root={drawn}", *SHORT, *CHANGES.get(model, [])]
    outcome = script("train", *words, "callbacks.overlays=null", "hydra.run.dir=run", *overrides)
    assert outcome.status == 0, outcome.err
    with Path("run/metrics.csv").open() as file:
        curve = [float(row["val/nme"]) for row in csv.DictReader(file) if row["val/nme"]]
    return json.loads(Path("run/result.json").read_text()), curve


@pytest.mark.parametrize("model", [model for model in MODELS if model not in LARGE])
def test_every_model_beats_the_mean_face_and_never_explodes(model: str, script: Script, drawn: Path) -> None:
    """In boxes as a detector's, in which `val/nme` is taken, the mean face has a third more than on the test faces.

    After the first epoch, of 31 steps, running means of BatchNorm may still be far off.
    """
    result, curve = train(script, drawn, model)
    assert result["test"]["nme_interocular"] < 0.85 * result["mean_shape_nme"]
    assert max(curve[1:]) < 3 * 1.3 * result["mean_shape_nme"]
    assert not [line for line in result["warnings"] if "still falling" not in line]


def test_a_net_that_starts_at_the_mean_shape_has_its_error(script: Script, drawn: Path) -> None:
    result, _ = train(script, drawn, "naimish_bn", "optimizer.lr=1e-12", "trainer.max_epochs=1")
    assert result["test"]["nme_interocular"] == pytest.approx(result["mean_shape_nme"], rel=1e-3)


@pytest.mark.parametrize("model", ["naimish", "naimish_bn", "conv5"])  # the others take twice as long
def test_the_rate_that_the_range_test_suggests_is_one_to_learn_with(model: str, script: Script, drawn: Path) -> None:
    words = [f"model={model}", f"data.root={drawn}", *SHORT, *CHANGES.get(model, [])]
    outcome = script("train", "debug=lr", *words, "data.batch_size=64", "hydra.run.dir=range")  # 64, as for a user
    found = re.search(r"try optimizer\.lr=(\S+)", outcome.out)
    assert found, outcome.out + outcome.err
    result, _ = train(script, drawn, model, f"optimizer.lr={found[1]}")
    assert result["test"]["nme_interocular"] < 0.95 * result["mean_shape_nme"]
