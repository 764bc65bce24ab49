"""Projects: how they are found, what they put before fkd's own, and what is wrong with them."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra

from fkd.config import CONF, project, resolvers
from fkd.errors import UserError


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", sys.path[:])
    yield
    project.use([])


def make(root: Path, package: str = "lab", model: str = "tiny") -> Path:
    """A project with one model."""
    (root / "conf/model").mkdir(parents=True)
    (root / "conf/model" / f"{model}.yaml").write_text(
        f"defaults: [base]\nname: {model}\nnet: {{_target_: {package}.Net}}\n"
    )
    (root / package).mkdir()
    (root / package / "__init__.py").write_text(f"Net = {root.name!r}\n")
    (root / "pyproject.toml").write_text(f'[tool.fkd]\npackage = "{package}"\n')
    return root


def compose(*overrides: str) -> object:
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return hydra.compose("train", [*overrides])


def test_the_nearest_folder_above_is_the_project(tmp_path: Path) -> None:
    outer = make(tmp_path / "outer", "one")
    inner = make(outer / "inner", "two")
    (outer / "notes/deep").mkdir(parents=True)
    (outer / "notes/pyproject.toml").write_text("[project]\nname = 'other'\n")  # of something else
    assert project.find(outer / "notes/deep") == project.Project(outer, outer / "conf", "one")
    assert project.find(inner / "conf") == project.Project(inner, inner / "conf", "two")
    assert project.find(tmp_path) is None


def test_a_file_beside_a_config_is_looked_for_in_the_project_first(tmp_path: Path) -> None:
    project.use([project.find(make(tmp_path / "here"))])  # type: ignore[list-item]
    assert resolvers.conf("filter/hat.png") == str(CONF / "filter/hat.png")
    assert resolvers.conf("filter/mono.png") == str(tmp_path / "here/conf/filter/mono.png"), "the one to be made"
    (tmp_path / "here/conf/filter").mkdir()
    (tmp_path / "here/conf/filter/hat.png").touch()
    assert resolvers.conf("filter/hat.png") == str(tmp_path / "here/conf/filter/hat.png")
    project.use([])
    assert resolvers.conf("filter/mono.png") == str(CONF / "filter/mono.png")


def test_its_configs_and_its_package_are_found_while_it_is_in_use(tmp_path: Path) -> None:
    project.use([project.find(make(tmp_path / "here", "lab_a"))])  # type: ignore[list-item]
    cfg = compose("model=tiny")
    assert (cfg.model.net._target_, cfg.model.net.channels) == ("lab_a.Net", 1)  # type: ignore[attr-defined]
    assert import_module("lab_a").Net == "here"
    assert dict(project.config_files("model"))["tiny"] == tmp_path / "here/conf/model/tiny.yaml"
    assert dict(project.config_files("model"))["compact"] == CONF / "model/compact.yaml"
    project.use([])
    assert str(tmp_path / "here") not in sys.path
    with pytest.raises(Exception, match="model/tiny"):
        compose("model=tiny")


def test_the_most_specific_project_wins_and_hides_what_it_has_too(tmp_path: Path) -> None:
    found = [project.find(make(tmp_path / name, f"lab_{name}", "compact")) for name in ("b", "c")]
    assert found[0] is not None
    assert found[0].hidden() == ["model/compact.yaml"]
    project.use(found)  # type: ignore[arg-type]
    assert compose("model=compact").model.net._target_ == "lab_b.Net"  # type: ignore[attr-defined]


def test_a_folder_where_everybody_may_write_ends_the_search(tmp_path: Path) -> None:
    outer = make(tmp_path / "outer", "one")
    (outer / "mine").mkdir()
    assert project.find(outer / "mine") is not None
    outer.chmod(0o777)
    assert project.find(outer / "mine") is None


def test_a_config_folder_beside_a_project_has_its_package(tmp_path: Path) -> None:
    root = make(tmp_path / "here")
    assert project.of_folder(root / "conf").package == "lab"
    (root / "pyproject.toml").unlink()
    assert project.of_folder(root / "conf").package is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool.fkd\n", "expected TOML, found .*; mend the file"),
        ("[tool]\nfkd = 3\n", r"expected \[tool.fkd\] with package = \"NAME\", found 3"),
        ("[tool.fkd]\npackages = 'lab'\n", r"expected \[tool.fkd\] with package"),
        ("[tool.fkd]\npackage = 'other'\n", "expected a package beside this file, found tool.fkd.package = 'other'"),
        ("[tool.fkd]\npackage = '../lab'\n", "expected a package beside this file"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    root = make(tmp_path / "here")
    (root / "pyproject.toml").write_text(text)
    with pytest.raises(UserError, match=f"^{root / 'pyproject.toml'}: {message}"):
        project.find(root)
