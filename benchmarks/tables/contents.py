"""Which table of which page is made of which files in `results/`."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from benchmarks import trained_on
from benchmarks.detectors import table as detectors
from benchmarks.tables import accuracy, readme, speed
from benchmarks.tables.markdown import listed
from benchmarks.tables.pages import Table
from benchmarks.zoo import table as zoo
from benchmarks.zoo.records import Record

_README, _ACCURACY, _USE, _CARDS = "README.md", "docs/accuracy.md", "docs/use.md", "fkd/weights/README.md"


def _zoo(records: Sequence[Mapping[str, Any]]) -> str:
    return zoo.Table(zoo.rows([Record(**record) for record in records])).markdown


TABLES = {
    "good_accuracy": Table(_README, ("recipe.json", "packaged_nets.json"), readme.accuracy, is_inline=True),
    "good_training": Table(_README, ("training_speed.json",), readme.training, is_inline=True),
    "good_prediction": Table(_README, ("prediction_speed.json",), readme.prediction, is_inline=True),
    "good_detector": Table(_README, ("detectors.json",), readme.detector, is_inline=True),
    "good_light": Table(_README, ("light_use.json",), readme.light, is_inline=True),
    "recipe": Table(_ACCURACY, ("packaged_nets.json", "recipe.json"), accuracy.recipe),
    "trained_on": Table(_ACCURACY, ("trained_on.json",), trained_on.table),
    "changes": Table(_ACCURACY, ("changes.json",), listed),
    "long_trainings": Table(_ACCURACY, ("long_trainings.json",), listed),
    "losses": Table(_ACCURACY, ("losses",), accuracy.losses),
    "zoo": Table(_ACCURACY, ("zoo",), _zoo),
    "four_points": Table(_ACCURACY, ("four_points.json",), accuracy.four_points),
    "training_speed": Table(_ACCURACY, ("training_speed.json",), speed.training),
    "prediction_speed": Table(_ACCURACY, ("prediction_speed.json",), speed.prediction),
    "detectors": Table(_ACCURACY, ("detectors.json",), detectors.table),
    "light_use": Table(_USE, ("light_use.json",), readme.light_sentence, is_inline=True),
    "blur": Table(_USE, ("blur.json",), listed),
    "three_nets": Table(_CARDS, ("trained_on.json",), accuracy.three_nets),
    "wild_conditions": Table(_CARDS, ("packaged_nets.json",), partial(accuracy.conditions, name="wild_jitter_haar")),
    "udacity": Table(_CARDS, ("packaged_nets.json",), accuracy.udacity),
    "udacity_conditions": Table(
        _CARDS, ("packaged_nets.json",), partial(accuracy.conditions, name="udacity_jitter_haar")
    ),
}
"""Name in the marks around a table -> the table."""
