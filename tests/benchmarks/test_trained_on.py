"""Nets trained on one set and tested on others: their records and the table of them."""

import json
from pathlib import Path

import pytest

from benchmarks.trained_on import scores, table
from fkd.errors import UserError
from tests.conftest import PROJECT


def test_each_net_was_scored_on_each_set() -> None:
    results = json.loads((PROJECT / "results/trained_on.json").read_text())
    assert results["nets"].keys() == results["trainings"].keys()
    for test in results["tests"].values():
        assert test["scores"].keys() == results["nets"].keys()
        for net in test["scores"].values():
            assert str(net["faces"]) in test["title"] or test["title"].startswith("the same")


def test_scores_are_those_of_the_evaluations(tmp_path: Path) -> None:
    for number, (run, nme) in enumerate((("runs/one", 3.5), (None, 4.25)), 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        net = {"run": run, "ckpt": "nets/two.onnx", "parameters": 7}
        (folder / "evaluation.json").write_text(json.dumps(net))
        metrics = {"nme_interocular": nme, "auc_10": 0.5, "failure_rate_10": 1.0, "faces": 9, "boxes": "jitter"}
        (folder / "metrics.json").write_text(json.dumps(metrics | {"per_part": {}}))
    found = scores(tmp_path)
    assert {name: net["nme_interocular"] for name, net in found.items()} == {"one": 3.5, "two": 4.25}
    test = {"title": "here", "scores": found}
    lines = table({"nets": {"one": "A", "two": "B", "three": "C"}, "tests": {"t": test}}).splitlines()
    assert lines[2:] == ["| A | **3.50, 1.0** |", "| B | 4.25, 1.0 |", "| C | – |"]
    with pytest.raises(UserError, match=r"found no evaluation\.json below it"):
        scores(tmp_path / "1")
