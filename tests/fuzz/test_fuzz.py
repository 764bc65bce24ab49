"""A damaged file gives a value or one clean error, in bounded time and memory. `python -m tests.fuzz` runs long."""

from pathlib import Path

import pytest

from tests.fuzz.fuzzing import fuzz
from tests.fuzz.targets import TARGETS

CASES = {"checkpoint config": 120, "config values": 700, "ONNX metadata": 1000, "run": 800}
"""In a few seconds; 1,200 of other targets."""


@pytest.mark.parametrize("name", TARGETS)
def test_a_damaged_file_gives_a_value_or_one_clean_error(name: str, tmp_path: Path) -> None:
    report = fuzz(name, 0, CASES.get(name, 1200), 60, tmp_path)
    assert report["faults"] == {}
    assert report["cases"] == CASES.get(name, 1200)
    assert report["outcomes"].get("refused", 0) > report["cases"] / 50  # the damage was real,
    assert report["outcomes"]["accepted"] > 0  # and not always fatal
