"""The commands for programs and notebooks: `fkd.train(["model=naimish"])` does what `fkd train model=naimish` does.

Overrides are those of the command line, one text each. A mistake in them is a `fkd.errors.UserError` with the line that
the command prints.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from omegaconf import DictConfig

from fkd import comparison
from fkd.api.results import Comparison, Evaluation, TrainedRun
from fkd.cli.arguments import quoted
from fkd.cli.command import Command, composed
from fkd.comparison.evaluations import EVALUATION
from fkd.library_internals.hydra import in_quotes

__all__ = ["Comparison", "Evaluation", "TrainedRun", "compare", "compose", "evaluate", "train"]


def compose(overrides: Sequence[str] = (), config: str = "train") -> DictConfig:
    """The config as a command has it.

    Args:
        overrides: as on the command line, e.g. ``["experiment=face/compact"]``.
        config: name of the command.

    Raises:
        UserError: an override is wrong.
    """
    return composed(config, overrides)


def train(overrides: Sequence[str] = ()) -> TrainedRun:
    """Train and score a net; progress is shown.

    A program calls it below ``if __name__ == "__main__":``, since faces are drawn by processes that import it again.

    Args:
        overrides: as of `fkd train`, ``["resume=DIR"]`` too; no sweep.

    Raises:
        UserError: an override, the data or something else is wrong; the message says what to do.
        Stopped: the training diverged or was interrupted.
    """
    return TrainedRun(_call("train", overrides))


def evaluate(
    ckpt: str | Path | Sequence[str | Path] | None = None, overrides: Sequence[str] = ()
) -> Evaluation | Comparison:
    """Score a net on annotated faces.

    Args:
        ckpt: a checkpoint or an exported net; several give a `Comparison`; None: the net that comes with fkd.
        overrides: as of `fkd evaluate`, e.g. ``["data=pts", "data.root=300w", "boxes=detector"]``.

    Raises:
        UserError: as of `train`.
    """
    if ckpt is None:
        given = []
    elif isinstance(ckpt, str | Path):
        given = [quoted(f"ckpt={ckpt}")]
    else:
        given = [f"ckpt=[{','.join(in_quotes(str(each)) for each in ckpt)}]"]
    folder = _call("evaluate", [*given, *overrides])
    return Evaluation(folder) if (folder / EVALUATION).exists() else compare(folder)


def compare(runs: str | Path | Sequence[str | Path], rank: str = "auto") -> Comparison:
    """Rank trainings or evaluations.

    Args:
        runs: a run, a folder of runs, sweeps or evaluations, a glob, or several of these.
        rank: "auto", "test" or "val".

    Raises:
        UserError: there are no runs, or `rank` is another word.
    """
    several = [runs] if isinstance(runs, str | Path) else runs
    return Comparison(comparison.compare(comparison.folders([str(each) for each in several]), rank))


def _call(name: str, overrides: Sequence[str]) -> Path:
    """Run a command in this process; gives its folder."""
    command: Command = import_module(f"fkd.commands.{name}").main
    return command.call(overrides)
