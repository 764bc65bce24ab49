"""Nets of other points than a set's: scored where the labels have theirs, and else one line that says so."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fkd import synthetic
from fkd.io import images
from tests.conftest import Outcome

Script = Callable[..., Outcome]
FIVE = "schema={name: five, parts: {eyes: 0-1, nose: '2', mouth: 3-4}, flip: [1, 0, 2, 4, 3], normaliser: [0, 1]}"
QUICK = ("model=simple", "crop.size=48", "trainer.max_epochs=1", "trainer=cpu", "test=false", "data.batch_size=4")


@pytest.fixture
def source(tmp_path: Path) -> tuple[str, ...]:
    """Faces with five points in a CSV file."""
    root = tmp_path / "csv"
    root.mkdir()
    lines = [",".join(["name", *(f"{axis}{i}" for i in range(5) for axis in "xy")])]
    for number in range(24):
        image, points = synthetic.face(0, number, 0, 96)
        images.write(root / f"{number}.png", image)
        five = np.stack([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]])
        lines.append(",".join([f"{number}.png", *map(str, five.ravel().tolist())]))
    (root / "train.csv").write_text("\n".join(lines))
    return "data=csv", f"data.root={root}", f"data.cache_dir={tmp_path}/cache"


def test_data_get_the_points_of_the_net(script: Script, source: tuple[str, ...], faces_root: Path) -> None:
    run = script("train", *source, FIVE, *QUICK, "hydra.run.dir=runs/a")
    assert run.status == 0, run.err
    checkpoint = "ckpt=runs/a/checkpoints/best.ckpt"
    assert script("evaluate", checkpoint, *source, "hydra.run.dir=scores").status == 0

    other = script("evaluate", checkpoint, "data=udacity", f"data.root={faces_root}", "data.cache_dir=other")
    assert other.status == 2
    assert other.err.splitlines()[-1] == (
        f"error: {checkpoint}: expected faces with the points of five, which this net finds, found data=udacity with "
        "those of ibug68; give another net or other data"
    )
    exported = script("export", checkpoint, "output=net.onnx", "data=udacity", f"data.root={faces_root}")
    assert exported.status == 2
    assert exported.err.splitlines()[-1].endswith(
        "this net was trained on data=csv: give data=csv data.root=DIR, as in its training"
    )
    gone = script("evaluate", checkpoint, "data=csv", "data.root=gone")
    assert "gone: found no such folder" in gone.err

    zoo = script("zoo", "runs", *source, "detector=whole_image", "output=out", "repeats=2")
    assert zoo.status == 0, zoo.err
    wrong = Path(source[1].partition("=")[2], "train.csv")
    wrong.write_text("\n".join(line.rpartition(",")[0] for line in wrong.read_text().splitlines()))
    left = script("zoo", "runs", *source, "detector=whole_image", "output=out", "repeats=2")
    assert left.status == 2
    assert "found 1 that cannot; a: its net finds the points of five, not ibug68: " in left.err
