"""Results of `fkd.train`, `evaluate` and `compare`, displayed as tables and images in notebooks."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import RenderableType
from rich.text import Text

import fkd
from fkd import comparison
from fkd.comparison import Ranking
from fkd.config import CONF
from fkd.errors import UserError
from fkd.inference.predictor import Predictor
from fkd.io import images
from fkd.terminal import Console
from fkd.training.runs import metrics_csv
from fkd.training.runs.reading import read_json, read_yaml
from fkd.visualization.html_page import escape

_WIDTH = 160  # characters of a table
_STYLE = "display: block; max-width: min(100%, 720px)"


class _InFolder:
    """What a command left in a folder.

    Args:
        folder: of its run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r})"

    def _read(self, name: str) -> dict[str, Any]:
        try:
            return read_json(self.folder, name)
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(
                f"{self.folder / name}: expected what fkd has written, found a damaged file ({error})"
            ) from error

    def _html(self, rows: Iterable[tuple[str, str]], curve: str = "") -> str:
        """A table, and the images of some faces and of the error curve."""
        cells = "".join(f"<tr><th>{escape(key)}</th><td>{escape(value)}</td></tr>" for key, value in rows)
        shown = "".join(_image(self.folder / name) for name in ("faces.png", "ced.png"))
        return f"<p><code>{escape(str(self.folder))}</code></p><table>{cells}</table>{curve}{shown}"


class TrainedRun(_InFolder):
    """A training in its folder."""

    @cached_property
    def result(self) -> dict[str, Any]:
        """Content of `result.json`."""
        return self._read("result.json")

    @property
    def scores(self) -> dict[str, Any]:
        """Test scores, as in `metrics.json` of an evaluation; without a test (test=false) those of the best epoch."""
        scores: dict[str, Any] = self.result.get("test") or self.result["best"]
        return scores

    @property
    def history(self) -> dict[str, npt.NDArray[np.float64]]:
        """Logged name -> its value in each epoch (E,); NaN where nothing was logged. "epoch" counts from 1.

        Raises:
            ValueError: metrics.csv is too large or broken.
        """
        curves = metrics_csv.read(self.folder)
        epochs = range(1, metrics_csv.last_epoch(curves) + 1)
        values = {name: np.array([curve.get(epoch, np.nan) for epoch in epochs]) for name, curve in curves.items()}
        return {"epoch": np.array(epochs, np.float64), **values}

    @property
    def best(self) -> Path:
        """The checkpoint of the epoch with the lowest val/loss."""
        return self.folder / "checkpoints" / "best.ckpt"

    @cached_property
    def predictor(self) -> Predictor:
        """The net of that checkpoint, ready for photos."""
        return fkd.load(self.best)

    def _repr_html_(self) -> str:
        best = self.result["best"]
        rows = [("best epoch", f"{best['epoch']}, val/nme {best['val/nme']:.2f} %")]
        if "test" in self.result:
            rows += [*_score_rows(self.scores), ("NME of the mean face", f"{self.result['mean_shape_nme']:.2f} %")]
        rows += [("warning", line) for line in self.result.get("warnings", ())]
        try:
            curve = _curve(self.history)
        except ValueError as error:
            rows, curve = [*rows, ("no curve", f"metrics.csv: {error}")], ""
        return self._html(rows, curve)


class Evaluation(_InFolder):
    """Scores of a net in a folder."""

    @cached_property
    def scores(self) -> dict[str, Any]:
        """Content of `metrics.json`."""
        return self._read("metrics.json")

    def _repr_html_(self) -> str:
        return self._html(_score_rows(self.scores))


class Comparison:
    """Ranked runs.

    Attributes:
        ranking: best first.
        judgement: whether the best differs from the second by more than chance; None if that cannot be said.
    """

    def __init__(self, ranking: Ranking) -> None:
        self.ranking = ranking
        self._config = read_yaml(CONF, "compare.yaml")
        self.judgement = comparison.verdict(ranking, self._config["resamples"])

    @property
    def runs(self) -> list[TrainedRun | Evaluation]:
        """The ranked ones, best first."""
        return [(Evaluation if run.is_evaluation else TrainedRun)(run.path) for run in self.ranking.ranked]

    def __str__(self) -> str:
        return _printed(*self._parts())

    def __repr__(self) -> str:
        return f"Comparison of {len(self.runs)} runs"

    def _repr_html_(self) -> str:
        """Tables as text, and sentences as paragraphs, which a page can wrap."""
        return "".join(
            f"<p>{escape(part.plain)}</p>" if isinstance(part, Text) else f"<pre>{escape(_printed(part))}</pre>"
            for part in self._parts()
        )

    def _parts(self) -> list[RenderableType]:
        return comparison.shown(self.ranking, self.judgement, self._config["rows"])


def _printed(*parts: RenderableType) -> str:
    console = Console(file=StringIO(), width=_WIDTH)
    console.print(*parts, sep="\n")
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def _score_rows(scores: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for label, key, unit in (
        ("AUC to 10 %", "auc_10", ""),
        ("failures over 10 %", "failure_rate_10", " %"),
        ("NME inter-ocular", "nme_interocular", " %"),
        ("faces", "faces", ""),
        ("faces missed", "missed_faces", ""),
    ):
        if (value := scores.get(key)) is not None:
            yield label, f"{value:.3f}{unit}" if isinstance(value, float) else f"{value:,}"


def _image(path: Path) -> str:
    if not path.is_file():
        return ""
    uri = images.data_uri(images.read(path, 3), images.QUALITY)
    return f'<img alt="{escape(path.name)}" style="{_STYLE}" src="{uri}">'


def _curve(history: Mapping[str, npt.NDArray[np.float64]]) -> str:
    """val/nme by epoch as SVG."""
    if "val/nme" not in history:
        return ""
    from matplotlib.figure import Figure  # slow, and only a notebook shows it

    figure = Figure(figsize=(5, 2.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(history["epoch"], history["val/nme"], marker="o", markersize=3)
    axes.set(xlabel="epoch", ylabel="val/nme (%)", ylim=(0, None))
    axes.grid(alpha=0.3)
    text = StringIO()
    figure.savefig(text, format="svg")
    svg = text.getvalue()
    return svg[svg.index("<svg") :]
