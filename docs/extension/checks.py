"""The table of dataset checks, from their source."""

import ast
from pathlib import Path

from docs.extension.configs import escaped

_SEVERITIES = ("fault", "warning", "note")


def kinds(folder: Path) -> list[tuple[str, str, str, str]]:
    """Severity, name, title and advice of each kind of finding, the most serious first."""
    found = []
    for path in sorted(folder.glob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        values = {
            target.id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in values.values():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Kind":
                name, title, severity, advice = (_text(argument, values) for argument in node.args)
                found.append((severity, name, title, advice))
    return sorted(found, key=lambda kind: (_SEVERITIES.index(kind[0]), kind))


def _text(node: ast.expr, values: dict[str, ast.expr]) -> str:
    """A text, also one that is written elsewhere in the file."""
    if isinstance(node, ast.Name):
        node = values[node.id]
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        kind = values[node.value.id]
        assert isinstance(kind, ast.Call)
        node = kind.args[("name", "title", "severity", "advice").index(node.attr)]
    text: str = ast.literal_eval(node)
    return text


def markdown(folder: Path) -> str:
    """What the checks can find, and what to do then."""
    rows = [f"| {severity} | {escaped(title)} | {escaped(advice)} |" for severity, _, title, advice in kinds(folder)]
    return "\n".join(["| | finding | what to do |", "| --- | --- | --- |", *rows])
