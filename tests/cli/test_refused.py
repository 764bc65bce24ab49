"""Of a command that is refused nothing is left, neither a folder nor a change in a folder that was there."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

import fkd
from fkd.cli import refused
from fkd.errors import UserError
from tests.conftest import Outcome

Script = Callable[..., Outcome]


def left() -> list[str]:
    return sorted(path.as_posix() for path in Path().rglob("*"))


@pytest.mark.parametrize(
    "command",
    [
        "train optimizer.lr=-1",
        "train optimizer.lr=-1 hydra.run.dir=a/b",
        "train data=udacity data.root=none",
        "train weights=none.ckpt",
        "train -m model=simple,naimsh",
        "train -m hydra/launcher=joblib model=simple,naimsh hydra.sweep.dir=a/b",
        "evaluate ckpt=none.ckpt",
        "evaluate data=udacity data.root=none",
        "benchmark what=none",
        "compare . output=a/b",
        "shard data=udacity data.root=none output=a/b",
        "calibrate data=udacity data.root=none output=a/b.yaml",
        "explore data=udacity data.root=none output=a/b",
        "prepare data=udacity data.root=a/b data.download.url=file:///none tries=1",
        "predict none.png",
        "filter broken.png output=a/b filter=hat +filter.layers.hat.anchors.99=[1,2]",
        "export ckpt=none.ckpt output=a/b/net.onnx",
    ],
)
def test_nothing_is_left_of_a_refused_command(script: Script, command: str, request: pytest.FixtureRequest) -> None:
    Path("broken.png").write_bytes(b"no image")
    name, *arguments = shlex.split(command)
    if name == "filter":
        request.getfixturevalue("stand_in")
    outcome = script(name, *arguments)
    assert outcome.status == 2, outcome
    assert left() == ["broken.png"]


def test_nothing_is_left_of_a_refused_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"optimizer\.lr"):
        fkd.train(["optimizer.lr=-1"])
    with pytest.raises(UserError, match=r"none\.ckpt"):
        fkd.evaluate("none.ckpt")
    assert left() == []


def test_folders_that_were_there_stay_as_they_were(script: Script) -> None:
    Path("old/.hydra").mkdir(parents=True)
    Path("old/.hydra/config.yaml").write_text("before")
    Path("old/notes.txt").write_text("mine")
    Path("empty").mkdir()
    for folder in ("old", "empty/new"):
        assert script("evaluate", "ckpt=none.ckpt", f"hydra.run.dir={folder}").status == 2
    assert Path("old/.hydra/config.yaml").read_text() == "before"
    assert Path("old/notes.txt").read_text() == "mine"
    assert Path("empty").is_dir()
    assert not list(Path("empty").iterdir())


def test_a_folder_that_another_process_makes_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is missing when the command looks, and the other process has a run in it when the command is refused."""
    monkeypatch.chdir(tmp_path)
    folder = Path("shared/run")

    def made_by_another(path: Path) -> list[Path]:
        path.mkdir(parents=True)
        (path / "result.json").write_text("{}")
        return [path, path.parent]

    monkeypatch.setattr(refused, "missing", made_by_another)
    config = OmegaConf.create({"hydra": {"run": {"dir": str(folder)}, "output_subdir": None}})
    refused.forget()
    refused.Before().on_run_start(config)
    refused.put_back(UserError("refused"))
    assert (folder / "result.json").read_text() == "{}"
