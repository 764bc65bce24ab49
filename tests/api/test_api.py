"""Training, scoring and comparing from Python: the same as the commands, and nothing stays behind."""

import html
import logging
import os
import re
import resource
import threading
from pathlib import Path

import numpy as np
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

import fkd
from fkd.api.results import TrainedRun
from fkd.config.build_module import build_module
from fkd.errors import Diverged, UserError
from fkd.training.runs import metrics_csv
from tests.conftest import Outcome

DATA = ["data.subjects=20", "data.frames=4", "data.size=96"]
TINY = ["trainer=debug", "crop.size=32", "data.batch_size=8", "data.num_workers=0", *DATA]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_training_is_the_one_of_the_command(script: "type[Outcome]") -> None:
    run = fkd.train([*TINY, "hydra.run.dir=one"])
    assert script("train", *TINY, "hydra.run.dir=two").status == 0  # type: ignore[call-arg]
    other = fkd.api.TrainedRun(Path("two"))  # type: ignore[attr-defined]
    assert run.folder == Path("one").absolute()
    assert run.scores == other.scores
    assert run.result["recipe"] == other.result["recipe"]
    assert run.history["epoch"].tolist() == [1]
    np.testing.assert_array_equal(run.history["val/nme"], other.history["val/nme"])
    assert run.predictor.schema.name == "ibug68"
    shown = run._repr_html_()
    assert shown.count('<img alt="faces.png"') == shown.count('<img alt="ced.png"') == 1
    assert "<svg" in shown
    assert len(shown) < 0.5 * sum((run.folder / name).stat().st_size for name in ("faces.png", "ced.png"))


def test_a_run_keeps_its_result_though_its_curves_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_csv, "_VALUES", 1)  # as after very many epochs
    run = fkd.train([*TINY, "trainer=cpu", "trainer.max_epochs=1", "hydra.run.dir=run"])
    assert run.result["status"] == "done"
    assert run.result["objective"] == run.result["best"]["val/loss"]
    assert any("metrics.csv: expected at most 1 values" in line for line in run.result["warnings"])
    shown = run._repr_html_()
    assert shown.count("metrics.csv: expected at most 1 values") == 2
    assert "<svg" not in shown
    assert f"{run.scores['nme_interocular']:.3f} %" in shown


def test_an_evaluation_scores_what_the_training_scored() -> None:
    run = fkd.train(TINY)
    scored = fkd.evaluate(run.best, DATA)
    assert scored.scores["nme_interocular"] == pytest.approx(run.scores["nme_interocular"], rel=1e-6)
    assert scored._repr_html_().count("<img") == 2


def test_runs_are_compared() -> None:
    runs = [fkd.train([*TINY, f"seed={seed}"]) for seed in (0, 1)]
    compared = fkd.compare("outputs/train")
    assert {run.folder.resolve() for run in compared.runs} == {run.folder for run in runs}
    assert "2 seeds" in str(compared)
    assert compared._repr_html_().startswith("<pre>")


def test_a_page_can_wrap_the_sentences_of_a_comparison() -> None:
    for lr in ("1e-3", "1e-4"):
        fkd.train([*TINY, f"optimizer.lr={lr}"])
    compared = fkd.compare("outputs/train")
    table, *lines = re.findall(r"<(?:pre|p)>(.*?)</(?:pre|p)>", compared._repr_html_(), re.S)
    assert "NME" in table
    notes = [f"note: {note}" for note in compared.ranking.notes]
    assert [html.unescape(line) for line in lines] == [*notes, compared.judgement]


def test_a_config_is_composed_as_the_command_has_it() -> None:
    cfg = fkd.compose(["experiment=face/compact", "seed=3"])
    assert (cfg.model.name, cfg.seed) == ("compact", 3)
    assert fkd.compose(config="predict").csv is False


MISTAKES = pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=naimsh"], "^model=naimsh: no such option; did you mean naimish"),
        (["modle=compact"], "^modle: no such key; did you mean model"),
        (["model=simple,naimish"], "^model=simple,naimish: expected one value, found several"),
        ("model=naimish", r"^overrides: expected a list of texts, found one text; give \['model=naimish'\]"),
        (["-m"], "^-m: expected key=value, found an option, which only the command line takes"),
    ],
)


@MISTAKES
def test_a_mistake_in_composing_is_the_same_exception(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        fkd.compose(overrides)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.subjects=abc"], "^data.subjects=abc: expected a whole number"),
        (["resume=nowhere"], "^resume=nowhere: expected the folder of a run"),
        (["trainer=ddp", *TINY[1:]], "^trainer=ddp: expected one process"),
    ],
)
def test_a_mistake_of_the_task_is_one_too(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        fkd.train(overrides)


def test_a_path_may_hold_what_means_something_to_hydra(tmp_path: Path) -> None:
    assert fkd.compose(["data.root=My Data (1)"]).data.root == "My Data (1)"


def test_divergence_is_no_mistake_in_the_input() -> None:
    with pytest.raises(Diverged):
        fkd.train([*TINY, "optimizer=sgd", "optimizer.lr=1e30", "trainer.gradient_clip_val=null", "loss=mse"])


def test_a_net_can_be_built_of_a_composed_config() -> None:
    assert len(build_module(fkd.compose(["model=naimish"])).model.schema) == 68


@MISTAKES
def test_a_mistake_is_an_exception_with_the_line_of_the_command(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        fkd.train(overrides)


def test_a_folder_of_another_command_is_refused_and_stays() -> None:
    fkd.train([*TINY, "hydra.run.dir=one"])
    before = {path: path.read_bytes() for path in Path("one").rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=r"^one: "):
        fkd.train([*TINY, "seed=1", "hydra.run.dir=one"])
    assert {path: path.read_bytes() for path in Path("one").rglob("*") if path.is_file()} == before


def test_ten_trainings_leave_nothing_behind() -> None:
    fkd.train(TINY)  # imports what it needs
    handlers, files = logging.getLogger().handlers[:], len(os.listdir("/proc/self/fd"))
    threads = threading.active_count()
    peaks = []
    for seed in range(10):
        fkd.train([*TINY, f"seed={seed}", "test=false"])
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    assert not GlobalHydra.instance().is_initialized()
    assert HydraConfig.instance().cfg is None
    assert logging.getLogger().handlers == handlers
    assert len(os.listdir("/proc/self/fd")) <= files + 2
    assert threading.active_count() <= threads + 1
    assert peaks[-1] - peaks[2] < 50_000  # KB


def test_an_unknown_name_is_none_of_the_package() -> None:
    with pytest.raises(AttributeError, match="module 'fkd' has no attribute 'trian'"):
        fkd.trian  # noqa: B018


@pytest.mark.parametrize("content", ["[1]", "{", '{"best": ' + "[" * 100_000, None])
def test_a_damaged_result_is_one_line(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "result.json").write_text(content)
    with pytest.raises(UserError, match=r"result\.json: expected what fkd has written, found a damaged file \("):
        _ = TrainedRun(tmp_path).scores
