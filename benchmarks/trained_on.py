"""Scores by what nets were trained on and where they were tested, from the folders of `fkd evaluate 'ckpt=[A,B]'`.

python -m benchmarks.trained_on outputs/trained_on/300w outputs/trained_on/udacity
python -m benchmarks.tables
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.script import run
from benchmarks.tables import markdown
from fkd.errors import UserError
from fkd.io.atomic import whole_file
from fkd.terminal import show

RESULTS = Path("results/trained_on.json")
_KEPT = ("nme_interocular", "auc_10", "failure_rate_10", "faces", "boxes")


def scores(folder: Path) -> dict[str, dict[str, Any]]:
    """Name of each net of an evaluation -> some of its `metrics.json`; a net is named as its run's folder or its file.

    Raises:
        UserError: it is no folder of evaluations.
    """
    found = {}
    for path in sorted(folder.glob("*/evaluation.json"), key=lambda path: path.parent.name):
        net, metrics = (json.loads(path.with_name(name).read_text()) for name in (path.name, "metrics.json"))
        name = Path(net["run"]).name if net["run"] else Path(net["ckpt"]).stem
        found[name] = {key: metrics[key] for key in _KEPT} | {"parameters": net["parameters"]}
    if not found:
        raise UserError(
            f"{folder}: expected the folder of fkd evaluate 'ckpt=[A,B]', found no evaluation.json below it"
        )
    return found


def table(results: Mapping[str, Any]) -> str:
    """The table in Markdown: a row for each net, a column for each test: NME and failures in percent; the best bold."""
    tests = results["tests"].values()
    rows = [[title, *(_cell(test["scores"], name) for test in tests)] for name, title in results["nets"].items()]
    return markdown.table(["trained on", *(test["title"] for test in tests)], rows)


def _cell(nets: Mapping[str, Mapping[str, float]], name: str) -> str:
    if name not in nets:
        return markdown.NONE
    lowest = min(net["nme_interocular"] for net in nets.values())
    nme, failures = nets[name]["nme_interocular"], nets[name]["failure_rate_10"]
    shown = f"{nme:.2f}, {failures:.1f}"
    return f"**{shown}**" if nme == lowest else shown


def main(folders: Sequence[str]) -> None:
    """Add the scores of folders, each named after its test, to the results."""
    results = json.loads(RESULTS.read_text())
    for folder in map(Path, folders):
        if folder.name not in results["tests"]:
            raise UserError(f"{folder}: expected a name of {', '.join(results['tests'])}, found {folder.name}")
        found = scores(folder)
        results["tests"][folder.name]["scores"] = {name: found[name] for name in results["nets"] if name in found}
    with whole_file(RESULTS) as file:
        file.write((json.dumps(results, indent=1, ensure_ascii=False) + "\n").encode())
    show(table(results))


if __name__ == "__main__":
    run(main)
