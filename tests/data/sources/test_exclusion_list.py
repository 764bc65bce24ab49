"""Lists of faces that are left out: from the report that writes one to the data set that reads it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fkd.data.sources.annotation_list import Listing, Row
from fkd.data.sources.exclusion_list import Exclusion
from fkd.data.sources.fileset import FileSet
from fkd.dataset_report.checks import Finding
from fkd.dataset_report.exclusions import write_exclusions
from fkd.errors import UserError

from .conftest import face

_ODD = [*"#\t\n\r\f\v\"\x1c\x85\u2028\u2029\ufeff\ud800\udcff ,;\\'", "\r\n", "# ", "ä", "a", ".png"]


def odd_names(rng: np.random.Generator, count: int) -> list[str]:
    """Different names of one to five of the pieces above, or of longer words between them."""
    names = dict.fromkeys("".join(rng.choice(np.array(_ODD, object), rng.integers(1, 6))) for _ in range(count))
    return [*dict.fromkeys(["#", "# swapped", '"', '"a', "a\t0", "a", *names])]


@pytest.mark.parametrize("seed", range(5))
def test_every_listed_face_is_left_out_and_no_other(fileset: Callable[..., FileSet], tmp_path: Path, seed: int) -> None:
    """Names of any characters, some with several faces."""
    rng = np.random.default_rng(seed)
    names = [name for name in odd_names(rng, 40) for _ in range(rng.integers(1, 4))]
    listing = Listing.of(
        (Row(f"line {i}", name, face(i), np.ones(4, bool), "train") for i, name in enumerate(names)), points=4
    )

    def faces(**changes: object):
        pixels = np.zeros((400, 400), np.uint8)
        return fileset(**changes).faces(
            listing, ["train"], lambda shown, _: ([pixels] * len(shown), np.zeros(len(shown), np.uint64))
        )

    whole, path = faces(), tmp_path / "exclude.txt"
    out = np.sort(rng.choice(whole.splits["train"], 20, replace=False))
    finding = Finding("odd", "Odd\u2028names\n# here", "fault", 20, 20, "", "", exclude=tuple(out.tolist()))
    write_exclusions(path, whole, [finding])
    left = faces(exclude=str(path)).table.keypoints
    np.testing.assert_array_equal(left, np.delete(whole.table.keypoints, out, axis=0))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\n# comment\nother\n", 3),
        ('"b\nc"\nother\n', 3),
        ("a\t0\na\t2\n", 2),
        ("a\ta\n", 1),
        ("a\n\na\t0\t0\n", 3),
        ("a\t" + "9" * 5000, 1),
        ("a\t\u00b2", 1),
        ("a\t-1", 1),
        ('a\n"b', 2),
        ('a\n"b" c\n', 2),
        ('\n""\n', 2),
        ("a\n#no comment\n", 2),
    ],
)
def test_a_line_that_names_no_face_is_an_error_with_its_number(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "exclude.txt"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        Exclusion.read(str(path)).keeps(["a", "a", "b\nc"])
    assert str(error.value).startswith(f"{path} line {line}: expected ")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_plain_names_by_hand_need_no_quotes(tmp_path: Path) -> None:
    path = tmp_path / "exclude.txt"
    path.write_bytes(b'\xef\xbb\xbf# by hand\r\n#\r\n\r\na b, c.png  \r\n#1.png\r\nd"e".png\r\nf.png\t1')
    names = ["a b, c.png", "#1.png", 'd"e".png', "f.png", "f.png", "f.png"]
    assert Exclusion.read(str(path)).keeps(names).tolist() == [False, False, False, True, False, True]
