"""fkd new: the project that it writes works as its README says, and what it refuses."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fkd.commands.new import write_project
from fkd.errors import UserError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_project(tmp_path, "facelab")
    return tmp_path / "facelab"


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *words], cwd=folder, capture_output=True, text=True, timeout=300)


def test_every_file_has_the_name_and_nothing_else_is_left(project: Path) -> None:
    assert [path.name for path in project.parent.iterdir()] == ["facelab"]
    files = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    assert {"README.md", ".gitignore", "pyproject.toml", "facelab/tiny.py", "conf/model/tiny.yaml"} <= files
    assert not [file for file in files if "mylab" in file or "mylab" in (project / file).read_text()]


def test_the_name_of_the_example_is_one_too(tmp_path: Path) -> None:
    write_project(tmp_path, "mylab")
    assert (tmp_path / "mylab/mylab/tiny.py").is_file()


def test_a_project_in_a_project_is_refused(project: Path) -> None:
    with pytest.raises(UserError, match=f"expected a folder outside of projects, found project {project} .*; go to"):
        write_project(project / "conf", "another")
    assert not (project / "conf/another").exists()


def test_its_own_tests_pass_and_no_settings_of_a_folder_above_count(project: Path) -> None:
    """As in a project that was made in the clone."""
    (project.parent / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = "--nonsense"\n')
    done = run(project, "pytest", "-q", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my lab", "expected a name that Python can import, letters, digits and _; e.g. my_lab"),
        ("my-lab", "e.g. my_lab"),
        ("class", "expected a name that Python can import"),
        ("../lab", "e.g. lab"),
        ("3d", "expected a name that Python can import.*; e.g. mylab"),
        ("json", "Python has a module of this name already"),
        ("fkd", "Python has a module of this name already"),
        ("conf", "a folder of the project has this name"),
        ("", "expected a name"),
    ],
)
def test_a_name_that_cannot_be_is_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UserError, match=f"^fkd new {re.escape(name)}: .*{message}"):
        write_project(tmp_path, name)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "facelab").mkdir()
    with pytest.raises(UserError, match="expected a new folder, found"):
        write_project(tmp_path, "facelab")
    assert not list((tmp_path / "facelab").iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match=f"^{tmp_path}: cannot be written to"):
        write_project(tmp_path, "facelab")


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [((), 2, "expected one name, found none"), (("a", "b"), 2, "found a b"), (("--help",), 0, "usage: fkd new NAME")],
)
def test_the_command_line(tmp_path: Path, arguments: tuple[str, ...], status: int, line: str) -> None:
    done = run(tmp_path, "fkd", "new", *arguments)
    assert done.returncode == status
    assert line in done.stdout + done.stderr


def test_it_says_what_to_type(tmp_path: Path) -> None:
    done = run(tmp_path, "fkd", "new", "facelab")
    assert done.returncode == 0
    assert "cd facelab && fkd train model=tiny loss=huber" in done.stdout
