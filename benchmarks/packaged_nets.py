"""Scores the nets that come with fkd, for the tables of their cards: results/packaged_nets.json, in half a minute.

python -m benchmarks.packaged_nets ../shared/data

The folder holds `udacity` (as published) and `300w_photos` (300-W's folders lfpw and helen).
"""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fkd
from benchmarks.script import run
from benchmarks.tables.pages import RESULTS
from fkd.commands.evaluate import faces_for, load
from fkd.config import checks
from fkd.evaluation.conditions import breakdown
from fkd.evaluation.evaluate import Candidate, evaluate
from fkd.inference.torch_net import TorchNet
from fkd.terminal import show
from fkd.training.runs.environment import environment
from fkd.training.runs.run_folder import write_json

_UDACITY, _COMMON = "data=udacity data.root={}/udacity", "data=300w data.root={}/300w_photos data.protocol=common"
EVALUATIONS = {
    "udacity_keypoints": f"ckpt=udacity {_UDACITY} boxes=keypoints",
    "udacity_jitter": f"ckpt=udacity {_UDACITY} boxes=jitter detector=fkd",
    "udacity_detector": f"ckpt=udacity {_UDACITY} boxes=detector detector=fkd",
    "udacity_jitter_haar": f"ckpt=udacity {_UDACITY} boxes=jitter detector=haar",
    "udacity_detector_haar": f"ckpt=udacity {_UDACITY} boxes=detector detector=haar",
    "wild_jitter_haar": f"ckpt=wild {_COMMON} boxes=jitter detector=haar",
}
"""Name -> arguments of `fkd evaluate`; {} is the folder of the data."""
_KEPT = ("nme_interocular", "auc_10", "failure_rate_10", "nme_all", "missed_faces", "faces")


def score(overrides: Sequence[str]) -> dict[str, Any]:
    """What `fkd evaluate` with these arguments finds.

    Returns:
        `net` and `mean_shape`: some of `metrics.json`; `conditions`: as in `conditions.json`; `parameters`: of the net.

    Raises:
        UserError: as of `fkd evaluate`.
    """
    cfg = fkd.compose([*overrides, "device=cpu"], "evaluate")
    ckpt = checks.net(cfg, "ckpt")
    (net,), detector = load(cfg, [ckpt])
    assert isinstance(net, TorchNet)  # the file is a checkpoint
    faces = faces_for(cfg, ckpt, net.metadata)
    scores = evaluate(Candidate.of(net), faces, cfg.subset, cfg.boxes, detector, cfg.data.batch_size)
    return {
        "parameters": sum(p.numel() for p in net.model.net.parameters()),
        "net": {key: scores.metrics[key] for key in _KEPT},
        "mean_shape": {key: scores.mean_shape[key] for key in _KEPT},
        "conditions": breakdown(scores, faces.subset(cfg.subset)),
    }


def main(words: Sequence[str]) -> None:
    """Score all and write the file."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.packaged_nets", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with udacity and 300w_photos")
    data = parser.parse_args(words).data
    around, found = environment(), {}  # before the working tree has a new file
    for name, arguments in EVALUATIONS.items():
        command = f"fkd evaluate {arguments.format('DIR')}"
        show(command)
        found[name] = {"command": command, **score([word.format(data) for word in arguments.split()])}
    date = datetime.now(UTC).date().isoformat()
    path = RESULTS / "packaged_nets.json"
    write_json(path, {"date": date, "environment": around, "evaluations": found})
    show(f"{path} is new; python -m benchmarks.tables makes the tables of it")


if __name__ == "__main__":
    run(main)
