"""Times what fkd does, both sides of every ratio in one run: tables, benchmark.json and bars in the run folder.

python scripts/benchmark.py train data=udacity data.root=DIR
python scripts/benchmark.py data data=udacity data.root=DIR
python scripts/benchmark.py scale
python scripts/benchmark.py predict ckpt=outputs/.../checkpoints/best.ckpt data=udacity data.root=DIR
"""

import importlib
import re
import shlex
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from omegaconf import DictConfig

from fkd.cli.command import command
from fkd.config import checks
from fkd.errors import UserError
from fkd.terminal import labelled_lines, show
from fkd.training.runs.run_folder import write_json

sys.path.append(str(Path(__file__).parents[1]))  # the package benchmarks is not installed

PARTS = {"train": "training", "data": "loading", "scale": "scaling", "predict": "prediction"}
"""Value of `what` -> module of benchmarks."""


@command("benchmark", positional="what")
def main(cfg: DictConfig) -> None:
    from benchmarks import figures  # here, since both load torch: --help answers at once
    from fkd.training.runs.environment import environment

    if cfg.what not in PARTS:
        raise UserError(f"what={cfg.what}: expected one of {', '.join(PARTS)}, as in python scripts/benchmark.py train")
    part, run_dir = importlib.import_module(f"benchmarks.{PARTS[cfg.what]}"), Path(cfg.run_dir)
    if cfg.side is not None and hasattr(part, "serve"):  # a process that the benchmark started
        part.serve(cfg)
        return
    results = None if cfg.results is None else checks.path(cfg, "results")
    around = environment()  # before a part sets the number of threads to one
    with tempfile.TemporaryDirectory() as scratch:
        rows = part.measure(cfg, Path(scratch))
    show(*(figures.table(title, group) for title, group in rows.items()))
    words = [shlex.quote(re.sub(r"=['\"]?(/|~|\.\.).*", "=PATH", word)) for word in cfg.overrides]
    content = {
        "date": datetime.now(UTC).date().isoformat(),
        "environment": around,
        "command": " ".join(["python scripts/benchmark.py", *words]),  # without this machine's folders
        "figures": figures.as_json(rows),
    }
    for path in [run_dir / "benchmark.json"] + [results] * (results is not None):
        write_json(path, content)
    figures.bars(rows, run_dir / "benchmark.png")
    show(labelled_lines({"all figures": f"{run_dir}/benchmark.json", "bars": f"{run_dir}/benchmark.png"}))


if __name__ == "__main__":
    main()
