"""Measures the correction and jitter of a detector's boxes, and writes them as a file for conf/detector.

fkd calibrate detector=haar data=udacity data.root=DIR output=conf/detector/mine.yaml
"""

from collections.abc import Callable, Mapping

import numpy as np
from omegaconf import DictConfig, OmegaConf
from rich.table import Table

from fkd.cli.command import command
from fkd.config import checks
from fkd.config.build_parts import build_detector
from fkd.config.faces import build_faces
from fkd.config.project import config_files
from fkd.errors import UserError
from fkd.evaluation.calibration import Calibration, calibrate, halves, look
from fkd.io.atomic import whole_file
from fkd.io.folders import unless_wrong
from fkd.terminal import show


@command("calibrate")
def main(cfg: DictConfig) -> None:
    output = checks.path(cfg, "output")
    if "correction" not in cfg.detector or "jitter" not in cfg.detector:
        raise UserError("detector: expected one with a correction and a jitter, found others; see conf/detector")
    cfg.detector.correction.update(scale=1.0, x=0.0, y=0.0)
    with unless_wrong(output.parent):
        detector, faces = build_detector(cfg), build_faces(cfg)
        show(*faces.remarks)
        looks = list(look(detector, faces, "train"))
        columns = {"all": calibrate(looks)}
    columns |= {f"{name} half": calibrate(half) for name, half in zip(("one", "other"), halves(looks), strict=True)}
    show(table(f"{cfg.detector._target_} on data={faces.name}, training split; scores at 5, 50 and 95 %", columns))

    measured = columns["all"]
    for group, numbers in (("correction", measured.correction), ("jitter", measured.jitter)):
        cfg.detector[group].update({name: round(value, 3) for name, value in vars(numbers).items()})
    lines = f"# Measured by fkd calibrate on {measured.faces:,} faces, data={faces.name}.\n"
    lines += OmegaConf.to_yaml(cfg.detector, resolve=True)
    try:
        with whole_file(output) as file:
            file.write(lines.encode())
    except OSError as error:
        raise UserError(f"output={output}: cannot be written ({error.strerror}); choose another place") from error
    is_found = output.resolve() in (file.resolve() for _, file in config_files("detector"))
    where = "" if is_found else "put into conf/detector, "
    show(lines, f"written to {output}; {where}it is chosen as detector={output.stem}")


def table(title: str, columns: Mapping[str, Calibration]) -> Table:
    """Measurements side by side; differences of the columns show how reliable the numbers are."""
    rows: dict[str, Callable[[Calibration], str]] = {
        "correction: scale": lambda c: f"{c.correction.scale:.3f}",
        "correction: x, y": lambda c: f"{c.correction.x:+.3f}, {c.correction.y:+.3f}",
        "jitter: scale": lambda c: f"{c.jitter.scale:.3f}",
        "jitter: x, y": lambda c: f"{c.jitter.x:.3f}, {c.jitter.y:.3f}",
        "faces": lambda c: f"{c.faces:,}",
        "missed": lambda c: f"{c.missed:,} ({c.missed / c.faces:.2%})",
        "false per image": lambda c: f"{c.false / c.images:.3f}",
        "scores, faces": lambda c: percentiles(c.found_scores),
        "scores, false": lambda c: percentiles(c.false_scores),
    }
    result = Table("", *columns, title=title, title_justify="left")
    for label, cell in rows.items():
        result.add_row(label, *(cell(column) for column in columns.values()))
    return result


def percentiles(scores: np.ndarray) -> str:
    known = scores[~np.isnan(scores)]
    return ", ".join(f"{value:.3g}" for value in np.percentile(known, [5, 50, 95])) if len(known) else "-"


if __name__ == "__main__":
    main()
