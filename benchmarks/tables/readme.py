"""The figures of the README, as the words that stand in its table of what fkd is good at."""

from collections.abc import Mapping
from typing import Any

from benchmarks.tables.speed import medians, ratios

_Content = Mapping[str, Any]


def accuracy(own: _Content, nets: _Content) -> str:
    """Errors of the recommended recipe on subjects of no training."""
    true, found = (own["scores"][boxes]["nme_interocular"] for boxes in ("keypoints", "detector"))
    net = nets["evaluations"]["udacity_keypoints"]  # of the same size
    return (
        f"points {true:.1f} % of the eye distance off in true boxes, {found:.1f} % in found ones, on people it has "
        f"never seen, with {net['parameters'] / 1e6:.2f} M parameters; the mean face is "
        f"{net['mean_shape']['nme_interocular']:.0f} % off"
    )


def training(results: _Content) -> str:
    """The least and the largest ratio of two speeds of training."""
    found = [case["ratio, both"] for case in ratios(results).values()]
    return (
        f"{min(found):.1f} to {max(found):.1f} times the images a second of a hand-written loop, the same networks on "
        "two cores"
    )


def prediction(results: _Content) -> str:
    """Milliseconds of the net alone."""
    ms = medians(results, "one face, one thread")
    return f"{ms['ONNX']:.1f} ms a face as ONNX, {ms['ONNX int8']:.2f} ms in eight bits, on one thread"


def detector(results: _Content) -> str:
    """What fkd's own detector misses, and its time with a net."""
    row = results["detectors"]["fkd"]
    photos, (ms, _) = row["sets"]["300w"], row["ms_to_keypoints"]["200"]
    missed = photos["faces"] - photos["found"] or "none"
    return (
        f"misses {missed} of {photos['faces']} on 300-W's common photos; 200 pixels to keypoints in {ms:.1f} ms on one "
        "core"
    )


def light(results: _Content) -> str:
    """Time and memory of one photo."""
    return f"one photo in {results['seconds']:.2g} s and {results['megabytes']:.0f} MB, start included, without torch"


def light_sentence(results: _Content) -> str:
    """The same beside what torch alone takes, with the machine."""
    return (
        f"on {results['machine']} ({results['date']}) a photo takes {results['seconds']:.2g} s and "
        f"{results['megabytes']:.0f} MB, start included; `import torch` alone takes {results['torch_seconds']:.2g} s "
        f"and {results['torch_megabytes']:.0f} MB."
    )
