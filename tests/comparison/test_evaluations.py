"""Evaluations of several nets on one more test set, side by side."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import fkd
from fkd import weights
from tests.comparison.folders import write_run
from tests.conftest import Outcome
from tests.scripts.test_scripts import on

Script = Callable[..., Outcome]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "comparison.csv").open() as file:
        return list(csv.DictReader(file))


def test_several_nets_are_scored_and_ranked(script: Script, faces_root: Path) -> None:
    shutil.copy(weights.exported(None), "same.onnx")
    nets = f"ckpt=[{weights.exported(None)},same.onnx]"
    outcome = script("evaluate", nets, *on(faces_root), "subset=all", "hydra.run.dir=scores")
    assert outcome.status == 0, outcome.err
    assert "2 runs by test NME" in outcome.out
    assert "may be no better than" in outcome.out  # the same net
    assert "inter-pupil" not in outcome.out, "the long tables are of a single net"
    before = outcome.out.partition("2 runs by test NME")[0]
    assert (
        len(re.findall(r"NME \d+\.\d+ %, mean face \d+\.\d+ %; figures and faces are in \S*/scores/[12]\n", before))
        == 2
    )
    assert len(before.splitlines()) <= 10
    metrics = [json.loads(Path(f"scores/{number}/metrics.json").read_text()) for number in (1, 2)]
    assert metrics[0]["nme_interocular"] == pytest.approx(metrics[1]["nme_interocular"], rel=1e-3)

    again = script("compare", "scores")
    assert again.status == 0, again.err
    assert {Path(row["net"]).name for row in rows(Path("scores"))} == {"same.onnx", "wild.onnx"}
    assert "no images" not in Path("scores/comparison.html").read_text()


def test_evaluations_of_one_recipes_seeds_are_one_line_and_other_faces_have_no_rank(
    script: Script, faces_root: Path, tmp_path: Path
) -> None:
    for seed in (0, 1):
        run = write_run(tmp_path / f"runs/{seed}", {"seed": seed})
        (run / "checkpoints").mkdir()
        shutil.copy(weights.checkpoint("udacity"), run / "checkpoints/best.safetensors")
        ckpt = f"ckpt={run}/checkpoints/best.safetensors"
        assert script("evaluate", ckpt, *on(faces_root), "hydra.run.dir=scores/seed" + str(seed)).status == 0
    script("evaluate", ckpt, *on(faces_root), "subset=val", "hydra.run.dir=scores/other")
    script("evaluate", ckpt, *on(faces_root), "flip=true", "hydra.run.dir=scores/flip")
    outcome = script("compare", "scores")
    assert outcome.status == 0, outcome.err
    assert re.search(r"true +1 .*\n.*false +2 ", outcome.out)  # flip, seeds
    found = {Path(row["run"]).name: row for row in rows(Path("scores"))}
    assert found["other"]["rank"] == ""
    assert found["flip"]["flip"] == "True"
    scores = [json.loads(Path(f"scores/seed{seed}/metrics.json").read_text()) for seed in (0, 1)]
    assert [float(found[f"seed{seed}"]["test/nme_interocular"]) for seed in (0, 1)] == pytest.approx(
        [metrics["nme_interocular"] for metrics in scores]
    )
    record = json.loads(Path("scores/seed0/evaluation.json").read_text())
    assert record["config"]["trainer"]["max_epochs"] == 5  # of the training's own config
    comparison = fkd.compare("scores")
    assert {type(run).__name__ for run in comparison.runs} == {"Evaluation"}


def test_the_last_net_of_a_run_is_not_its_best(script: Script, faces_root: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs/0", {"model": "simple"})
    for name in ("checkpoints/best", "checkpoints/last", "export/best"):
        (run / name).parent.mkdir(exist_ok=True)
        shutil.copy(weights.checkpoint(None), run / f"{name}.safetensors")
        ckpt = f"ckpt={run}/{name}.safetensors"
        assert script("evaluate", ckpt, *on(faces_root), f"hydra.run.dir=scores/{name.replace('/', '_')}").status == 0
    assert script("compare", "scores").status == 0
    found = {row["run"]: row for row in rows(Path("scores"))}
    assert [found[f"checkpoints_{name}"]["model"] for name in ("best", "last")] == ["simple", "simple"]
    assert [found[f"checkpoints_{name}"]["checkpoint"] for name in ("best", "last")] == ["best", "last"]
    other = found["export_best"]  # nobody knows where it comes from
    assert (other["model"], other["loss"], other["seed"]) == ("", "", "")
    assert Path(other["net"]) == run / "export/best.safetensors"


def test_what_an_evaluation_has_written_is_kept(script: Script, faces_root: Path) -> None:
    assert script("evaluate", *on(faces_root), "hydra.run.dir=scores").status == 0
    before = Path("scores/ced.png").read_bytes()
    assert script("compare", "scores").status == 0
    assert Path("scores/ced.png").read_bytes() == before
    assert Path("scores/comparison/comparison.html").is_file()
    again = script(
        "evaluate",
        f"ckpt=[{weights.checkpoint(None)},{weights.exported(None)}]",
        *on(faces_root),
        "hydra.run.dir=scores",
    )
    assert again.status == 2
    assert "expected a new folder, found evaluations in it" in again.err


def test_what_only_its_folder_tells_apart_has_its_folder_in_the_table(script: Script, faces_root: Path) -> None:
    outcome = script("evaluate", f"ckpt=[null,null,{weights.exported(None)}]", *on(faces_root), "hydra.run.dir=scores")
    assert outcome.status == 0, outcome.err
    table = outcome.out.split("by test NME")[1]
    assert re.search(r"\d  fkd/wild\.safetensors +1 ", table)
    assert re.search(r"\d  fkd/wild\.safetensors +2 ", table)
    assert re.search(r"\d  fkd/wild\.onnx +3 ", table)


def test_a_broken_evaluation_names_its_file(script: Script, faces_root: Path) -> None:
    for name in ("one", "two"):
        assert script("evaluate", *on(faces_root), f"hydra.run.dir=scores/{name}").status == 0
    Path("scores/two/evaluation.json").write_text("{")
    outcome = script("compare", "scores")
    assert "evaluation.json cannot be read" in " ".join(outcome.out.split())


def test_a_program_compares_several_nets(faces_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(weights.checkpoint(None), tmp_path / "a net, mine=1 (2).safetensors")
    compared = fkd.evaluate([weights.checkpoint(None), "a net, mine=1 (2).safetensors"], on(faces_root))
    assert len(compared.runs) == 2  # type: ignore[union-attr]


def test_where_nets_were_trained_only_trainings_are_compared(script: Script, faces_root: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "all/training", {})
    script("evaluate", *on(faces_root), "hydra.run.dir=all/evaluation")
    assert script("compare", "all").status == 0
    assert [row["run"] for row in rows(Path("all"))] == ["training"]


@pytest.mark.parametrize("given", ["[]", "[gone.ckpt]", "[1,true]"])
def test_a_wrong_list_of_nets_is_refused_before_one_is_scored(given: str, script: Script, faces_root: Path) -> None:
    nets = given.replace("[1", f"[{weights.checkpoint(None)}").replace("[gone", f"[{weights.checkpoint(None)},gone")
    outcome = script("evaluate", f"ckpt={nets}", *on(faces_root), "hydra.run.dir=scores")
    assert outcome.status == 2
    assert len(outcome.err.splitlines()) == 1
    assert not list(Path("scores").glob("*/metrics.json"))
