"""Compares runs or evaluations: a ranked table, and in the output folder a page, a CSV file and curves as PNG.

fkd compare outputs/multirun/train/DATE/TIME
fkd compare 'runs=[sweep_a,sweep_b]' output=comparison
"""

from omegaconf import DictConfig

from fkd import comparison
from fkd.cli.command import command
from fkd.comparison.figures import write_figures
from fkd.comparison.page import write_page
from fkd.config import checks
from fkd.io.folders import unless_wrong
from fkd.terminal import labelled_lines, show


@command("compare", positional="runs", rewrite=comparison.alone)
def main(cfg: DictConfig) -> None:
    rows, curves, chosen, faces, resamples = (
        checks.whole(cfg, key, least=1) for key in ("rows", "curves", "chosen", "faces", "resamples")
    )
    folders = comparison.folders(cfg.runs)
    output = comparison.output_folder(None if cfg.output is None else checks.path(cfg, "output"), folders)

    with unless_wrong(output):
        ranking = comparison.compare(folders, cfg.rank)
    judgement = comparison.verdict(ranking, resamples)
    drawn = comparison.draw(ranking, curves)
    ranking = comparison.with_damage(ranking, drawn)
    comparison.write_csv(output / "comparison.csv", ranking)
    write_page(output / "comparison.html", ranking, judgement, drawn, chosen, faces)
    images = write_figures(output, ranking, drawn[:chosen])

    names = ", ".join(["comparison.csv", *(path.name for path in images)])
    show(
        *comparison.shown(ranking, judgement, rows),
        labelled_lines({"look closer": f"{output}/comparison.html (opens in any browser)", "beside it": names}),
    )


if __name__ == "__main__":
    main()
