"""The command line of all scripts: its order, presets and near misses, and what a sweep prints."""

import json
import logging
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import pytorch_lightning as pl

from fkd.cli.command import quieten
from tests.conftest import PROJECT, Outcome

Script = Callable[..., Outcome]
FAST = ("trainer=debug", "crop.size=32", "data.batch_size=8", "data.num_workers=0", "test=false")


def on(root: Path) -> tuple[str, ...]:
    return ("data=udacity", f"data.root={root}", "data.cache_dir=cache", "data.val_share=0.3")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["sweep=tpe", "hydra.sweeper.ntrials=3"], ["hydra.sweeper.ntrials: no", "hydra.sweeper.n_trials"]),
        (["-m", "hydra/launcher=joblib", "hydra.launcher.n_job=2"], ["hydra.launcher.n_job: no", "launcher.n_jobs"]),
        (["-m", "hydra/launcher=jobilb", "seed=0,1"], ["hydra/launcher=jobilb: no", "did you mean joblib?"]),
        (["hydra/sweeper=tp"], ["hydra/sweeper=tp: no", "did you mean tpe?"]),
        (["resum=DIR"], ["resum: no such key; did you mean resume?\n"]),
        (["qqqq=1"], ["qqqq: no such key; conf/ lists all keys, +qqqq=... adds one\n"]),
        (["loss=smoothl1", "loss.bta=1"], ["loss.bta: no such key; did you mean loss.beta"]),
        (["-m", "model=simple,conv5", "optimizer.rl=1"], ["optimizer.rl: no such key; did you mean optimizer.lr"]),
        (["optimizer.lr=interval(1e-4,1e-2)"], ["optimizer.lr=interval(1e-4,1e-2): expected", "add sweep=tpe"]),
        (["-m", "optimizer.lr=tag(log,interval(1e-4,1e-2))"], ["optimizer.lr=tag(log", "add sweep=tpe"]),
        (["seed=0,1"], ["seed=0,1: expected one value", "-m"]),
        (["sweep="], ["sweep=: no such option; choose one of grid_small"]),
        (["model=compact,"], ["model=compact,: expected a value"]),
        (["model=compact", "tags=[a", "seed=1"], ["tags=[a: expected a value"]),
        (["-m", "hydra.launcher.n_jobs=2", "seed=0,1"], ["no launcher has been chosen", "hydra/launcher=NAME"]),
        (["-m", "sweep=seeds5,tpe"], ["sweep=seeds5,tpe: expected one preset"]),
        (["sweep=seeds5,tpe"], ["sweep=seeds5,tpe: expected one preset"]),
        (["-m", "debug=lr,overfit"], ["debug=lr,overfit: expected one preset"]),
        (["-m", "hydra/launcher=joblib,basic", "seed=0,1"], ["hydra/launcher=joblib,basic: expected one preset"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_command_line_is_one_line(script: Script, arguments: Sequence[str], parts: Sequence[str]) -> None:
    outcome = script("train", *arguments)
    assert outcome.status == 2
    (line,) = outcome.err.splitlines(keepends=True)
    assert line.startswith("error: ")
    for part in parts:
        assert part in line


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("train model=compact '#' we recommend \"(it's small)\"", "#: expected key=value, found a comment"),
        ("train model=compact '# we recommend'", "# we recommend: expected key=value, found a comment"),
        ("train -x", "-x: no such option; --help says"),
        ("train --modle model=compact", "--modle: no such option; --help says"),
        ("predict photo.jpg -m --nope -q", "--nope -q: no such option"),
        ("train --package", "--package/-p: expected one argument, found none"),
        ("train model compact", "model: expected model=VALUE"),
        ("train model = compact", "model: expected model=VALUE"),
        ("train trainer.max_epochs 3", "trainer.max_epochs: expected trainer.max_epochs=VALUE"),
        ("train .", ".: expected key=value, e.g. model=compact"),
        ("train 'a b'", "a b: expected key=value, e.g. model=compact"),
        ("train model==compact", "model==compact: expected a value"),
        ("train 'model='\"'compact\"", "model='compact: expected a value"),
        ("evaluate runs/best.ckpt", "runs/best.ckpt: expected key=value, e.g. ckpt=runs/best.ckpt"),
        ("evaluate ckpt", "ckpt: expected ckpt=VALUE"),
        ("prepare data", "data: expected data=VALUE"),
        ("benchmark predict x.ckpt", "x.ckpt: expected key=value after what=predict"),
        ("predict ckpt x.ckpt", "ckpt: expected ckpt=VALUE"),
        ("predict input x.jpg", "input: expected input=VALUE"),
        ("predict trainer.max_epochs output=o", "input=trainer.max_epochs: expected a photo"),
        ("predict a.jpg b.jpg output=o", "input=a.jpg: expected a photo"),
        ("predict . b.jpg flip output=o", "flip: expected flip=VALUE"),
        ("predict a.jpg input=b.jpg output=o", "a.jpg: expected key=value after input=b.jpg"),
        ("filter a.jpg b.jpg filter=ht", "filter=ht: no such option"),
        ("compare . b", "runs=b: expected a folder"),
    ],
)
def test_a_word_that_is_no_override_is_one_line(script: Script, command: str, line: str) -> None:
    name, *arguments = shlex.split(command)
    outcome = script(name, *arguments)
    assert outcome.status == 2
    assert outcome.err.startswith(f"error: {line}")
    assert outcome.err.count("\n") == 1
    assert "hydra.cc" not in outcome.err


@pytest.mark.parametrize("name", ["predict", "filter"])
@pytest.mark.parametrize("path", ["photo.jpg", "a,b (1).jpg", ".", "~/photo.jpg"])
def test_predict_and_filter_take_a_path_by_itself(
    script: Script, name: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/of/nobody")
    path_read = path.replace("~", "/home/of/nobody")
    line = "expected images" if path == "." else "expected a photo, folder, glob, video or number"
    assert script(name, path, "output=out").err.startswith(f"error: input={path_read}: {line}")


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("predict input=~/x.jpg output=o", "input=/home/of/nobody/x.jpg: expected a photo"),
        ("train weights=~/z.ckpt", "weights=/home/of/nobody/z.ckpt: expected a file"),
        ("train resume=~/run", "resume=/home/of/nobody/run: expected the folder"),
        ("compare ~/runs", "runs=/home/of/nobody/runs: expected a folder"),
        ("compare runs=[~/a,~/b]", "runs=/home/of/nobody/a: expected a folder"),
        ("export output=~/net.txt", "output=/home/of/nobody/net.txt: expected a name"),
        ("zoo results=~/r", "results=/home/of/nobody/r: expected records"),
    ],
)
def test_a_tilde_is_the_home_folder(script: Script, monkeypatch: pytest.MonkeyPatch, command: str, line: str) -> None:
    """Shells expand it only at the start of a word."""
    monkeypatch.setenv("HOME", "/home/of/nobody")
    name, *arguments = shlex.split(command)
    assert script(name, *arguments).err.startswith(f"error: {line}")


@pytest.mark.parametrize("launcher", [[], ["hydra/launcher=joblib"]])
def test_a_sweep_shows_nothing_of_what_lightning_says(launcher: list[str], tmp_path: Path, faces_root: Path) -> None:
    """In a process of its own, which imports Lightning when its first job begins."""
    command = [sys.executable, str(PROJECT / "scripts/train.py"), "loss=l1", "-m", "seed=0,1", *launcher]
    done = subprocess.run(
        [*command, *on(faces_root), *FAST, "hydra.sweep.dir=s"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout + done.stderr
    assert printed.count("epoch 1/1") == 2
    for advice in ("weights_only", "litlogger", "GPU available", "TPU available", "max_epochs=1", "estimate number"):
        assert advice not in printed


def test_warnings_of_lightning_stay(caplog: pytest.LogCaptureFixture) -> None:
    quieten()
    for name in ("trainer.connectors.checkpoint_connector", "utilities.rank_zero"):
        logging.getLogger(f"pytorch_lightning.{name}").info("advice")
        logging.getLogger(f"pytorch_lightning.{name}").warning("of a fault")
    assert caplog.messages == ["of a fault"] * 2


def test_ctrl_c_in_a_sweep_names_the_folder_of_the_sweep(
    script: Script, faces_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(self: object, *arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pl.Trainer, "fit", fit)
    outcome = script("train", "-m", "seed=0,1", *on(faces_root), *FAST, "hydra.sweep.dir=there")
    assert outcome.status == 1
    assert outcome.err.splitlines()[-1] == "error: interrupted; resume=there continues the sweep"
    assert [json.loads(path.read_text())["status"] for path in Path("there").glob("*/result.json")] == [
        "stopped: interrupted"
    ]


@pytest.mark.parametrize(
    "command",
    ["scripts/train.py --help", "-m fkd", "-m fkd --help", "-m fkd --version", "-m fkd train --cfg job"],
)
def test_output_that_nobody_reads_to_its_end_is_no_error(command: str) -> None:
    words = [sys.executable, *command.split()]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=PROJECT) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()  # before it writes anything
        assert process.stderr.read() == b""
    assert process.returncode == 0
