"""Packages of the user's own whose classes a file may name, beside fkd's, torch.nn's and torchvision's."""

import ast
import importlib
import importlib.util
import pkgutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_of_projects: list[str] = []
_of_block: ContextVar[tuple[str, ...]] = ContextVar("trusted", default=())


def packages() -> tuple[str, ...]:
    """The packages that are trusted now, here."""
    return (*_of_projects, *_of_block.get())


def trust(names: Iterable[str]) -> None:
    """Makes these packages the trusted ones of the whole process: those of the projects in use."""
    _of_projects[:] = names


@contextmanager
def trusting(names: Iterable[str]) -> Iterator[None]:
    """Trusts these packages, too, within the block, in this thread only.

    Raises:
        ValueError: one text is given, not several.
    """
    if isinstance(names, str):
        raise ValueError(f"trusted: expected a list of names, found one text; give [{names!r}]")
    token = _of_block.set((*_of_block.get(), *names))
    try:
        yield
    finally:
        _of_block.reset(token)


def own_class(target: str) -> type | None:
    """The class that a file names, if it is one that a trusted package itself defines; else None.

    A module is imported only if its source has a class of that name, so that a file cannot choose another one, such as
    a script, to be run by its import.

    Args:
        target: dotted name of module and class.
    """
    module, _, name = target.rpartition(".")
    if not covers(module) or not _defines(module, name):
        return None
    found = getattr(importlib.import_module(module), name, None)
    return found if isinstance(found, type) and found.__module__ == module else None


def covers(module: str) -> bool:
    """Whether a module is of a trusted package."""
    return any(module == package or module.startswith(f"{package}.") for package in packages())


def absent(module: str) -> tuple[str, list[str]] | None:
    """What Python cannot find of a trusted package's module: the package, one within it, or the module itself.

    Returns:
        Its dotted name, and the names of the modules beside it; None if all are there.
    """
    parts, beside = module.split("."), list[str]()
    for count in range(1, len(parts) + 1):
        name = ".".join(parts[:count])
        spec = importlib.util.find_spec(name)  # imports the package that holds it, as `_defines` does
        if spec is None:
            return name, beside
        if count < len(parts) and spec.submodule_search_locations is None:
            return ".".join(parts[: count + 1]), []
        beside = [each.name for each in pkgutil.iter_modules(spec.submodule_search_locations or ())]
    return None


def _defines(module: str, name: str) -> bool:
    parents, parent = module.split(".")[:-1], ""
    for part in parents:  # find_spec imports packages: only those that are packages of the trusted one
        parent = f"{parent}.{part}".lstrip(".")
        spec = importlib.util.find_spec(parent)
        if spec is None or spec.submodule_search_locations is None:
            return False
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return False
    try:
        with open(spec.origin, "rb") as file:
            return any(isinstance(node, ast.ClassDef) and node.name == name for node in ast.parse(file.read()).body)
    except SyntaxError:
        return True  # its import runs nothing, and says where the error is
