"""Time and memory of a program, against programs whose use is known."""

import sys

import pytest

from benchmarks.light_use import cost
from fkd.errors import UserError


def test_a_program_is_timed_from_its_start_with_its_largest_memory() -> None:
    slow = "import time; time.sleep(0.3); x = bytearray(200_000_000); del x"
    seconds, megabytes = cost([sys.executable, "-c", slow], 2)
    assert 0.3 < seconds < 10
    assert 200 < megabytes < 300
    assert cost([sys.executable, "-c", ""], 2)[1] < 100


def test_a_program_that_fails_is_named() -> None:
    with pytest.raises(UserError, match=r"-c exit\(3\): expected that it works, found exit status 3"):
        cost([sys.executable, "-c", "exit(3)"], 1)
