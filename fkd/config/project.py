"""A project of the user's own: a folder with configs in `conf/` and a Python package, beside fkd's.

The folder has a `pyproject.toml` with

    [tool.fkd]
    package = "mylab"

Its configs come before fkd's own and its package can be imported. Nets of that package are trusted: a checkpoint may
name its classes.
"""

import stat
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fkd.config import CONF
from fkd.errors import UserError
from fkd.io import trusted

FILE = "pyproject.toml"


@dataclass(frozen=True)
class Project:
    """A project.

    Attributes:
        root: its folder, absolute; on Python's path while it is in use.
        conf: folder of its configs.
        package: name of its Python package; None if it has none.
    """

    root: Path
    conf: Path
    package: str | None

    def __str__(self) -> str:
        return f"project {self.root} (package {self.package})" if self.package else f"configs of {self.conf}"

    def remarks(self) -> list[str]:
        """What its user should know: that it is in use, and what it hides."""
        hidden = ", ".join(self.hidden())
        return [str(self), *([f"its conf/ has files in the place of fkd's own: {hidden}"] if hidden else [])]

    def hidden(self) -> list[str]:
        """Names, relative to conf/, of fkd's configs that the project replaces."""
        files = (path.relative_to(self.conf) for path in self.conf.rglob("*.yaml"))
        return sorted(path.as_posix() for path in files if (CONF / path).is_file())


_active: list[Project] = []
_on_path: list[str] = []
"""What `use` has put on Python's path."""


def active() -> Sequence[Project]:
    """The projects in use, the most specific first."""
    return tuple(_active)


def folders() -> list[Path]:
    """All folders of configs, in the order in which they are searched."""
    return [*(project.conf for project in _active), CONF]


def config_files(group: str, places: Sequence[Path] | None = None) -> Iterator[tuple[str, Path]]:
    """Option and file of each config of a group, sorted; of several with one name the one that is found first.

    Args:
        group: its name, with / in it where it lies in another.
        places: folders of configs; None: those in use.
    """
    found: dict[str, Path] = {}
    for folder in folders() if places is None else places:
        for path in sorted((folder / group).rglob("*.yaml")):
            found.setdefault(path.relative_to(folder / group).with_suffix("").as_posix(), path)
    yield from sorted(found.items())


def find(start: Path) -> Project | None:
    """The project of a folder: the folder itself, or the nearest above it that is one.

    The search ends at a folder of another owner or where everybody may write: its code would be run.

    Raises:
        UserError: the project's file cannot be read, or says something else than expected.
    """
    owner = start.stat().st_uid
    for folder in (start, *start.parents):
        try:
            status = folder.stat()
            if folder != start and (status.st_uid != owner or status.st_mode & stat.S_IWOTH):
                return None
            is_there = (folder / FILE).is_file()
        except OSError:
            return None
        if is_there and (project := _read(folder)) is not None:
            return project
    return None


def of_folder(conf: Path) -> Project:
    """A folder of configs as a project; modules beside it can be imported, its package is that of a project there.

    Raises:
        UserError: there is no such folder.
    """
    if not conf.is_dir():
        raise UserError(f"--config-dir {conf}: expected a folder of configs, found none")
    root = conf.absolute().parent
    found = _read(root) if (root / FILE).is_file() else None
    return Project(root, conf.absolute(), None if found is None else found.package)


def use(projects: Sequence[Project]) -> None:
    """Makes these projects, the most specific first, those in use: configs are found, packages imported and trusted."""
    for root in _on_path:
        sys.path.remove(root)
    _active[:] = projects
    _on_path[:] = dict.fromkeys(root for each in projects if (root := str(each.root)) not in sys.path)
    sys.path += _on_path  # last: nothing that is installed is hidden
    trusted.trust([project.package for project in projects if project.package])


def _read(root: Path) -> Project | None:
    file = root / FILE
    try:
        content = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: expected TOML, found {error}; mend the file") from error
    tool = content.get("tool", {})
    if not isinstance(tool, dict) or "fkd" not in tool:
        return None
    table, package = tool["fkd"], None
    if isinstance(table, dict):
        package = table.get("package")
    if not isinstance(table, dict) or set(table) - {"package"} or not isinstance(package, str | None):
        raise UserError(f'{file}: expected [tool.fkd] with package = "NAME", found {table!r}')
    if package is not None and not (package.isidentifier() and _is_package(root, package)):
        raise UserError(
            f"{file}: expected a package beside this file, found tool.fkd.package = {package!r}; make the folder "
            f"{root / package} with a file __init__.py, or leave package out"
        )
    if package == "fkd":
        raise UserError(f"{file}: expected another name than fkd for the project's package")
    return Project(root, root / "conf", package)


def _is_package(root: Path, package: str) -> bool:
    return (root / package / "__init__.py").is_file() or (root / f"{package}.py").is_file()
