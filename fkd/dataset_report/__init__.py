"""A look at a data set before training on it: who and what it holds, what it looks like, what the checks found."""

from pathlib import Path

from rich.table import Table

from fkd.dataset_report.exclusions import NAME, write_exclusions
from fkd.dataset_report.page import write_page
from fkd.dataset_report.sheets import sheet_of, sheets
from fkd.dataset_report.summary import Survey, survey
from fkd.errors import UserError
from fkd.io import images
from fkd.terminal import progress
from fkd.training.runs.run_folder import write_json

__all__ = ["Survey", "exclusion_line", "findings_table", "survey", "write"]

_STYLES = {"fault": "bold red", "warning": "yellow", "note": "blue"}


def write(output: Path, found: Survey, count: int, seed: int) -> None:
    """Writes report.html, report.json, exclude.txt (of a whole set that takes it) and contact sheets into a folder.

    Args:
        count: faces on a sheet, at most.
        seed: of those drawn at random.

    Raises:
        UserError: the folder cannot be written.
    """
    overview = sheets(found.faces, found.boxes, found.seen, count, seed)
    shown = {finding.name: sheet_of(finding, found.faces, count) for finding in found.findings}
    examples = {name: sheet for name, sheet in shown.items() if sheet is not None}
    try:
        with progress("writing contact sheets", len(overview) + len(examples)) as advance:
            for sheet in (*overview, *examples.values()):
                images.write(output / f"{sheet.name}.png", sheet.image())
                advance()
        write_json(output / "report.json", found.to_json())
        if found.can_exclude and found.is_whole:
            write_exclusions(output / NAME, found.faces, found.findings)
        write_page(output / "report.html", found, overview, examples)
    except OSError as error:
        raise UserError(f"output={output}: cannot be written ({error.strerror}); choose another place") from error


def findings_table(found: Survey) -> Table:
    """The findings for the terminal, the most serious first."""
    table = Table("", "finding", "count", "what was found", title="Findings", title_justify="left")
    for finding in found.findings:
        count = f"{finding.count:,} of {finding.total:,}"
        table.add_row(finding.severity, finding.title, count, finding.text, style=_STYLES[finding.severity])
    return table


def exclusion_line(found: Survey, output: Path) -> str:
    """How many faces should be left out of training, and how that is done."""
    count, total = len(found.excluded), len(found.faces.splits["train"])
    if not count:
        return "no training face"
    if not found.can_exclude:
        return f"{count:,} of {total:,} training faces; data={found.faces.name} takes no list of them"
    if not found.is_whole:
        return f"{count:,} more faces; look at the set with data.exclude=null to have all of them in one list"
    return f"{count:,} of {total:,} training faces: data.exclude={output}/{NAME}"
