"""The command `fkd`: what it lists, and that it runs what the scripts run."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import fkd
from fkd.__main__ import summaries
from fkd.config import CONF
from tests.conftest import PROJECT

SCRIPTS = {path.stem for path in (PROJECT / "scripts").glob("*.py")}


WITHOUT = """
import importlib.util, sys
importlib.util.find_spec = lambda name, find=importlib.util.find_spec: None if name in {0} else find(name)
sys.modules |= dict.fromkeys({0})
sys.argv[1:] = {1}
import fkd.__main__
fkd.__main__.main()
"""


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fkd", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd)


def test_each_command_has_a_script_a_config_and_one_line() -> None:
    known = summaries()
    assert SCRIPTS - known.keys() == {"benchmark", "zoo"}, "these two need the clone"
    assert known.keys() - SCRIPTS == {"new"}, "it writes what a clone has"
    for name, text in known.items():
        assert (CONF / f"{name}.yaml").is_file() or name == "new"
        assert 20 < len(text) < 140
        assert text.endswith(".")


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_it_lists_the_commands(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    listed = [line.split()[0] for line in done.stdout.split("commands\n")[1].splitlines() if line.startswith("  ")]
    assert (done.returncode, done.stderr, listed) == (0, "", sorted(summaries()))


def test_it_says_its_version() -> None:
    assert run("--version").stdout == f"fkd {fkd.__version__}\n"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("trian", "did you mean fkd train? "),
        ("xyz", ""),
        ("../api/results", ""),
        ("Train", "did you mean fkd train? "),
        ("__init__", ""),
        ("model=naimish", ""),
    ],
)
def test_an_unknown_command_is_one_line(name: str, hint: str) -> None:
    done = run(name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {name}: no such command; {hint}`fkd` lists all\n"


def test_it_lists_commands_without_torch_or_hydra() -> None:
    code = "import sys, fkd.__main__ as m; m.main(); sys.exit(bool({'torch', 'hydra', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60).returncode == 0


@pytest.mark.parametrize("name", sorted(summaries().keys() & SCRIPTS))
def test_command_and_script_are_the_same(name: str) -> None:
    script = [sys.executable, str(PROJECT / "scripts" / f"{name}.py"), "--help"]
    assert (
        run(name, "--help").stdout == subprocess.run(script, capture_output=True, text=True, timeout=120).stdout != ""
    )


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("line", "expected", "other"),
    [
        ("fkd ", {"train", "predict", "new"}, "model="),
        ("fkd tr", {"train"}, "predict"),
        ("fkd train model=naim", {"model=naimish", "model=naimish_bn"}, "model=simple"),
        ("fkd train model=naimish loss.b", set(), "loss="),
        ("fkd predict outp", {"output="}, "input="),
        ("fkd predict ckpt=fkd/weights/wil", {"ckpt=fkd/weights/wild.onnx"}, "ckpt=fkd/weights/README.md"),
        ("fkd train seed=1 resume=f", {"resume=fkd/"}, "resume=docs/"),
        ("fkd evaluate ckpt=", {"ckpt=fkd/", "ckpt=README.md"}, "ckpt=.git/"),
        ("fkd nonsense ckpt=f", set(), "ckpt=fkd/"),
        ("fkd nonsense mod", set(), "model="),
    ],
)
def test_a_shell_completes_commands_groups_and_options(line: str, expected: set[str], other: str) -> None:
    """As bash calls the function that `fkd -sc install=bash` prints."""
    words = line.split(" ")
    script = (
        f'eval "$(fkd -sc install=bash)"; COMP_LINE="{line}" COMP_POINT={len(line)} COMP_CWORD={len(words) - 1}; '
        "hydra_bash_completion; printf '%s\n' \"${COMPREPLY[@]}\""
    )
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = ["bash", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, cwd=PROJECT)
    found = set(done.stdout.split())
    assert found >= expected, done.stderr
    assert other not in found


def test_a_mistake_ends_with_one_line_and_status_2(tmp_path: Path) -> None:
    done = run("train", "model=naimsh", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: model=naimsh: no such option; did you mean naimish")
    assert not list(tmp_path.iterdir())


def test_without_torch_what_needs_it_says_so(tmp_path: Path) -> None:
    """As after `pip install --no-deps` and requirements-light.txt."""
    code = WITHOUT.format({"torch"}, ["train"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: fkd train: needs torch, which is not installed; install fkd again without --no-deps\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("missing", [{"rich", "hydra"}, {"hydra"}, {"rich"}])
@pytest.mark.parametrize("name", ["predict", "train", "new", "--help"])
def test_without_rich_or_hydra_every_command_says_what_it_needs(missing: set[str], name: str, tmp_path: Path) -> None:
    """As after the packages that `fkd.load` needs."""
    code = WITHOUT.format(missing, [name])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    head, _, wanted = done.stderr.partition("pip install ")
    assert head == "error: fkd: its commands need what is not installed yet; "
    lines = {line for line in (PROJECT / "requirements-light.txt").read_text().splitlines() if not line.startswith("#")}
    assert {re.match("[a-z]+", word)[0] for word in shlex.split(wanted)} == missing
    assert {*shlex.split(wanted)} <= lines


def test_the_light_requirements_are_bounded_as_those_of_the_whole() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    whole = {*project["dependencies"], *project["optional-dependencies"]["export"]}
    lines = (PROJECT / "requirements-light.txt").read_text().splitlines()
    assert {line for line in lines if not line.startswith("#")} <= whole
