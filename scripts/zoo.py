"""A table of nets, what they reach and what they cost, from records of runs: zoo.md, zoo.csv and zoo.png.

python scripts/zoo.py outputs/train data.root=DIR
python scripts/zoo.py results=results/zoo
"""

import sys
from pathlib import Path

from omegaconf import DictConfig

from fkd import comparison
from fkd.cli.command import command
from fkd.config import checks
from fkd.io.folders import make_folder
from fkd.terminal import labelled_lines, show

sys.path.append(str(Path(__file__).parents[1]))  # the package benchmarks is not installed

from benchmarks.zoo.records import read
from benchmarks.zoo.table import Table, rows
from benchmarks.zoo.trainings import trainings


@command("zoo", positional="runs", rewrite=comparison.alone)
def main(cfg: DictConfig) -> None:
    folders = None if cfg.runs is None else comparison.folders(cfg.runs)
    repeats = checks.whole(cfg, "repeats", least=2)
    results, output = checks.path(cfg, "results"), checks.path(cfg, "output")
    left_out: dict[str, str] = {}
    if folders is not None:
        from benchmarks.zoo.measuring import measure  # here, since both load torch: a table of records needs none
        from fkd.inference.export import check_packages

        check_packages()  # early, before the long work
        found, left_out = trainings(folders, cfg.data.name)
        records, unfit = measure(found, cfg, repeats)
        left_out |= unfit
        for record in records:
            if not record.write(results):
                left_out[record.name] = f"{results} has a newer training of the same command"
    table = Table(rows(read(results, cfg.data.name)))
    make_folder(output)
    table.write(output)
    show(
        table.shown,
        *(f"left out: {name} ({why})" for name, why in left_out.items()),
        labelled_lines(
            {"table": f"{output}/zoo.md", "every run": f"{output}/zoo.csv", "error and cost": f"{output}/zoo.png"}
        ),
    )


if __name__ == "__main__":
    main()
