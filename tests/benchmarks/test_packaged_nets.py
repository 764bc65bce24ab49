"""Scores of the nets that come with fkd, on toy faces."""

import json
from pathlib import Path

import pytest

import fkd
from benchmarks import packaged_nets


def test_the_scores_are_those_of_evaluate(faces_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cache = f"data.cache_dir={tmp_path}/cache"
    arguments = f"ckpt=synthetic data=udacity data.root={{}} {cache} boxes=jitter detector=haar"
    monkeypatch.setattr(packaged_nets, "EVALUATIONS", {"toy": arguments})
    packaged_nets.main([str(faces_root)])
    content = json.loads(Path("results/packaged_nets.json").read_text())
    found = content["evaluations"]["toy"]
    assert "data.root=DIR " in found["command"]
    assert content["date"]
    assert content["environment"]["processor"]
    fkd.evaluate("synthetic", [*arguments.format(faces_root).split()[1:], "output=out"])
    metrics, conditions = (json.loads(Path(f"out/{name}.json").read_text()) for name in ("metrics", "conditions"))
    assert found["net"].items() <= metrics.items()
    assert found["conditions"] == conditions
    assert (
        found["mean_shape"]["nme_interocular"] == json.loads(Path("out/evaluation.json").read_text())["mean_shape_nme"]
    )
    assert found["parameters"] == 571_032
