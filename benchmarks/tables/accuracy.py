"""Tables of errors: of the recommended recipe, of losses, of few labelled faces, and of the nets that come with fkd."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from benchmarks.tables.markdown import spread, table

_Content = Mapping[str, Any]
_LOSSES = ("l1", "mse", "smoothl1", "wing", "softwing", "interval")
_MODELS = ("conv5", "naimish", "naimish_bn", "simple", "batchnorm", "compact")
_STARTS = {
    "mapped": "the `udacity` net",
    "backbone": "the same without the mapping of its points",
    "fresh": "nothing",
}


def recipe(nets: _Content, own: _Content) -> str:
    """The recommended recipe: the net of fkd that was trained by it, one on other splits, and the mean face."""
    found = nets["evaluations"]
    fkd = [found[name] for name in ("udacity_keypoints", "udacity_jitter", "udacity_detector")]
    haar = [None, found["udacity_jitter_haar"], found["udacity_detector_haar"]]
    heads = (
        "`boxes=keypoints`",
        "`jitter`",
        "`detector`, faces found",
        "faces missed",
        "`detector`, all faces (`nme_all`)",
    )
    first = "`data.split=official data.val_share=0.02`, 80 epochs (subjects of the test are in training)"
    return table(
        ("trained and tested on", *heads),
        [
            _boxes(first, [each["net"] for each in fkd]),
            _boxes("the same with `detector=haar`", [each and each["net"] for each in haar]),
            _boxes(own["title"], [own["scores"][boxes] for boxes in ("keypoints", "jitter", "detector")]),
            _boxes("the mean face, official test file", [each["mean_shape"] for each in fkd]),
        ],
    )


def _boxes(title: str, scores: Sequence[_Content | None]) -> list[str]:
    """A row of the errors in true, jittered and found boxes."""
    errors = ["" if each is None else f"{each['nme_interocular']:#.3g} %" for each in scores]
    last = scores[-1]
    assert last is not None
    return [title, *errors, f"{last['missed_faces']} of {last['faces']}", f"{last['nme_all']:#.3g} %"]


def losses(records: Sequence[_Content]) -> str:
    """Errors of each net with each loss, on synthetic and on Udacity's faces."""
    errors = {
        (record["data"], record["model"], _loss(record)): f"{record['scores']['keypoints']['nme_interocular']:.1f}"
        for record in records
    }
    return table(
        ("model", *(f"`{loss}`" for loss in _LOSSES)),
        [
            [f"`{net}`", *(f"{errors['synthetic', net, loss]}, {errors['udacity', net, loss]}" for loss in _LOSSES)]
            for net in _MODELS
        ],
    )


def _loss(record: _Content) -> str:
    found = re.search(r"\bloss=(\w+)", record["commands"][-1])
    return found[1] if found else "l1"


def four_points(results: _Content) -> str:
    """Errors by what the training starts from, each with the learning rate whose validation error is least."""
    by_rate = defaultdict[str, dict[str, list[_Content]]](lambda: defaultdict(list))
    for run in results["runs"]:
        by_rate[run["start"]][re.findall(r"optimizer\.lr=(\S+)", run["command"])[-1]].append(run)
    rows = []
    for start, title in _STARTS.items():
        best = min(by_rate[start].values(), key=lambda runs: mean(run["best"]["val/nme"] for run in runs))
        tests = [run["test"] for run in best]
        failures = mean(test["failure_rate_10"] for test in tests)
        rows.append([title, spread([test["nme_interocular"] for test in tests], 2, " %"), f"{failures:.1f} %"])
    baseline = mean(run["mean_shape_nme"] for run in results["runs"])
    return table(("start", "NME", "failures"), [*rows, ["the mean face", f"{baseline:.1f} %", ""]])


_NETS = {
    "mixture": "`wild`",
    "udacity_ft": "`udacity`, by the recipe on other splits (see below)",
    "drawn96": "`synthetic`",
}
_TESTS = {
    "300w": "300-W common, 554 faces",
    "udacity": "Udacity `data.split=subject`, 563 faces",
    "synthetic": "synthetic faces turned by up to 90 degrees, 400",
}


def three_nets(results: _Content) -> str:
    """Error and failures of the nets that come with fkd on faces of others."""
    scores = {test: results["tests"][test]["scores"] for test in _TESTS}
    return table(
        ("", *_TESTS.values()),
        [
            [
                title,
                *(
                    f"{each[net]['nme_interocular']:.2f}, {each[net]['failure_rate_10']:.1f}"
                    for each in scores.values()
                ),
            ]
            for net, title in _NETS.items()
        ],
    )


_BOXES = {
    "udacity_keypoints": "`keypoints` (squares around the true points)",
    "udacity_jitter": "`jitter` (spread as `detector=fkd`'s)",
    "udacity_detector": "`detector` (`fkd`, as in use)",
    "udacity_detector_haar": "`detector` with `detector=haar`",
}


def udacity(nets: _Content) -> str:
    """Scores of the net `udacity` by the kind of boxes."""
    heads = ("AUC to 10 %", "failures over 10 %", "NME of all (`nme_all`)", "NME of the faces found", "missed")
    rows = []
    for name, title in _BOXES.items():
        net = nets["evaluations"][name]["net"]
        errors = [f"{net[key]:.2f} %" for key in ("nme_all", "nme_interocular")]
        rows.append(
            [title, f"{net['auc_10']:.3f}", f"{net['failure_rate_10']:.1f} %", *errors, str(net["missed_faces"])]
        )
    return table(("`boxes`", *heads), rows)


def conditions(nets: _Content, name: str) -> str:
    """Errors of an evaluation by the size of the face and by its head pose."""
    return table(
        ("", "faces", "NME"),
        [
            [
                f"{condition.split(',')[0]} {limits} {condition.split(', ')[1]}",
                str(each["faces"]),
                f"{each['nme']:.2f} %",
            ]
            for condition, ranges in nets["evaluations"][name]["conditions"].items()
            for limits, each in ranges.items()
        ],
    )
