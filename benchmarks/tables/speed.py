"""Tables of `scripts/benchmark.py`'s figures."""

import re
from collections.abc import Mapping
from typing import Any

from benchmarks.tables.markdown import table

_Content = Mapping[str, Any]


def medians(results: _Content, group: str) -> dict[str, float]:
    """Name of each figure of a group -> median."""
    return {row["name"]: row["median"] for row in results["figures"][group]}


def ratios(results: _Content) -> dict[str, dict[str, float]]:
    """Case of a comparison of trainings -> its medians, the largest ratio first."""
    cases = {title: medians(results, title) for title in results["figures"] if title != "start"}
    return dict(sorted(cases.items(), key=lambda case: -case[1]["ratio, both"]))


def training(results: _Content) -> str:
    """Images a second of a hand-written loop and of fkd, and their ratio."""
    return table(
        ("images a second, loading and training", "hand-written loop", "fkd", ""),
        [
            [
                re.sub(r"^\w+", r"`\g<0>`", title),
                *(_digits(each[f"{side}, both"], 100) for side in ("notebook", "fkd")),
                f"{each['ratio, both']:.1f}x",
            ]
            for title, each in ratios(results).items()
        ],
    )


def prediction(results: _Content) -> str:
    """Milliseconds of nets, detectors and both together."""
    nets, finders, small, wide = (
        medians(results, f"{group}, one thread")
        for group in ("one face", "detectors, 200 x 200", "200 x 200", "1280 x 720")
    )
    cascade = [finders[f"OpenCV's cascade, {settings}"] for settings in ("1.2 and 2", "1.1 and 5")]
    rows = {
        "the net alone, one face: torch, ONNX, ONNX int8": [[nets["torch"], nets["ONNX"], nets["ONNX int8"]]],
        "detector on 200 x 200 pixels; OpenCV's cascade at 1.2 and 2, at 1.1 and 5": [[finders["detector"]], cascade],
        "200 x 200 pixels to keypoints, with the detector; with boxes given": [
            [small["detector and ONNX"]],
            [small["boxes given and ONNX"]],
        ],
        "1280 x 720 pixels with one face to keypoints": [[wide["detector and ONNX"]]],
    }
    return table(
        ("", "ms"),
        [
            [title, "; ".join(", ".join(_digits(value, 20) for value in values) for values in groups)]
            for title, groups in rows.items()
        ],
    )


def _digits(value: float, whole: float) -> str:
    """Two digits below 1, one below `whole`, none from there on."""
    return f"{value:.{2 if value < 1 else 1 if value < whole else 0}f}"
