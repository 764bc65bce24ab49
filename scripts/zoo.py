"""A table of nets, what they reach and what they cost, from the folders of their runs: zoo.md, zoo.csv and zoo.png.

python scripts/zoo.py outputs/zoo data.root=DIR
python scripts/zoo.py 'runs=[outputs/train,outputs/multirun]' output=zoo into=README.md
"""

from omegaconf import DictConfig

from fkd import comparison, options
from fkd.cli import command
from fkd.console import facts, show


@command("zoo", positional="runs", rewrite=comparison.alone)
def main(cfg: DictConfig) -> None:
    folders = comparison.folders(cfg.runs)
    from fkd import zoo  # here, with all that loads torch, so that --help answers at once
    from fkd.inputs import make_folder

    repeats, output = options.whole(cfg, "repeats", least=2), options.path(cfg, "output")
    into = None if cfg.into is None else options.path(cfg, "into")
    if into is not None:
        zoo.around_table(into)  # early, before the long work
    entries, left_out = zoo.entries(folders, cfg.data.name)
    make_folder(output)
    rows, unfit = zoo.measure(entries, cfg, repeats)
    table = zoo.Table(rows)
    table.write(output, into)
    show(
        table.shown,
        *(f"left out: {name} ({why})" for name, why in (left_out | unfit).items()),
        facts({"table": f"{output}/zoo.md", "every run": f"{output}/zoo.csv", "error and cost": f"{output}/zoo.png"}),
    )


if __name__ == "__main__":
    main()
