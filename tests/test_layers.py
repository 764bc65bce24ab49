"""Imports go down only: a wing of fkd imports wings of the lines above its own."""

import ast
from pathlib import Path

import pytest

FKD = Path(__file__).parents[1] / "fkd"
LAYERS = (
    {"errors", "schema", "weights"},
    {"head_pose", "terminal"},
    {"types", "distributed", "losses", "metrics", "library_internals"},
    {"io"},
    {"codecs"},
    {"geometry", "models"},
    {"detect", "data", "shape_model", "visualization"},
    {"synthetic", "checkpoint", "filters"},
    {"training"},
    {"inference"},
    {"evaluation", "dataset_report"},
    {"detector_training"},
    {"config"},
    {"comparison"},
    {"cli"},
    {"commands"},
    {"api"},
    {"__main__"},
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
FORBIDDEN = {("data", "models"), ("data", "losses"), ("data", "codecs")}
"""Faces know nothing of nets: the second lies below the first, and yet is none of its business."""

FILES = sorted(path for path in FKD.rglob("*.py") if path != FKD / "__init__.py" and "new_project" not in path.parts)


def part(path: Path) -> str:
    return path.relative_to(FKD).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Parts of fkd that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "fkd":
            names |= {f"fkd.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module or "")
    return {name.split(".")[1] for name in names if name.startswith("fkd.")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FKD)))
def test_imports_go_down(path: Path) -> None:
    me = part(path)
    for other in imported(path) - {me}:
        assert LEVEL[other] < LEVEL[me], f"{me} imports {other}"
        assert (me, other) not in FORBIDDEN


def test_few_modules_lie_loose() -> None:
    assert len([path for path in FKD.glob("*.py") if not path.name.startswith("__")]) <= 12


def test_what_is_not_installed_is_not_imported() -> None:
    for path in FILES:
        assert "import benchmarks" not in path.read_text()
        assert "from benchmarks" not in path.read_text()


@pytest.mark.parametrize("path", sorted((FKD / "models").glob("*.py")), ids=lambda path: path.name)
def test_a_model_imports_no_model_but_what_they_share(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fkd.models"):
            assert node.module in ("fkd.models.layers", "fkd.models.hourglass")


def test_albumentations_and_hydra_are_imported_where_they_are_at_home() -> None:
    def users(library: str) -> set[str]:
        found = set()
        for path in FILES:
            for node in ast.walk(ast.parse(path.read_text())):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                if any(name.split(".")[0] == library for name in names):
                    found.add(str(path.relative_to(FKD)))
        return found

    assert users("albumentations") == {"data/augment.py"}
    assert users("hydra") == {
        "config/instantiate.py",
        "library_internals/hydra.py",
        "cli/arguments.py",
        "cli/command.py",
        "cli/completion.py",
        "cli/messages.py",
        "cli/refused.py",
        "cli/sweep_folders.py",
        "commands/prepare.py",
        "commands/train.py",
        "training/runs/command_line.py",
    }
