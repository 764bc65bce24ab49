from collections.abc import Callable

import pytest
from omegaconf import OmegaConf

from fkd.config import checks
from fkd.errors import UserError
from tests.conftest import Outcome

HUGE = 10**30


def test_a_whole_number_is_within_its_limits() -> None:
    for value, most in ((1, 4096), (4096, 4096), (2**32 - 1, None)):
        config = OmegaConf.create({"key": value})
        assert (checks.whole(config, "key", 1) if most is None else checks.whole(config, "key", 1, most)) == value
    for value, expected in (
        (0, "from 1 on, found 0"),
        (True, "from 1 on, found True"),
        (2.0, "from 1 on, found 2.0"),
        (2**32, "from 1 to 4,294,967,295, found 4294967296"),
        (HUGE, f"from 1 to 4,294,967,295, found {HUGE}"),
    ):
        with pytest.raises(UserError, match=f"^key: expected a whole number {expected}$"):
            checks.whole(OmegaConf.create({"key": value}), "key", 1)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seed=4294967296", "seed: expected a whole number from 0 to 4,294,967,295, found 4294967296"),
        ("crop.size=4097", "crop.size: expected a whole number from 1 to 4,096, found 4097"),
        (f"seed={HUGE}", f"seed: expected a number of at most 64 bits, found {HUGE}"),
        (f"data.num_workers={HUGE}", f"data.num_workers: expected a number of at most 64 bits, found {HUGE}"),
        (f"tags=[1,-{HUGE}]", f"tags[1]: expected a number of at most 64 bits, found -{HUGE}"),
    ],
)
def test_a_huge_number_is_one_line(script: Callable[..., Outcome], override: str, expected: str) -> None:
    outcome = script("train", "data=synthetic", override, "hydra.run.dir=run")
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1] == f"error: {expected}"
