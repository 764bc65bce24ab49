"""Report on a data set before training: its content, contact sheets, and the findings of the dataset checks."""

from pathlib import Path

from rich.table import Table

from fkd.dataset_report.exclusions import write_exclusions
from fkd.dataset_report.page import write_page
from fkd.dataset_report.sheets import sheet_of, sheets
from fkd.dataset_report.summary import Survey, survey
from fkd.errors import UserError
from fkd.io import images
from fkd.terminal import progress
from fkd.training.runs.run_folder import write_json

__all__ = ["Survey", "findings_table", "survey", "write"]

_STYLES = {"fault": "bold red", "warning": "yellow", "note": "blue"}


def write(output: Path, found: Survey, count: int, seed: int) -> None:
    """Write report.html, report.json, contact sheets and, for a whole set that takes it, exclude.txt into a folder.

    Args:
        count: the most faces on a sheet.
        seed: for the random choice of faces.

    Raises:
        UserError: the folder cannot be written.
    """
    overview = sheets(found.faces, found.boxes, found.sample, count, seed)
    shown = {finding.name: sheet_of(finding, found.faces, count) for finding in found.findings if finding.rows}
    try:
        with progress("writing contact sheets", len(overview) + len(shown)) as advance:
            for sheet in (*overview, *shown.values()):
                images.write(output / f"{sheet.name}.png", sheet.image())
                advance()
        write_json(output / "report.json", found.to_json())
        if found.can_exclude and found.is_whole:
            write_exclusions(output / "exclude.txt", found.faces, found.findings)
        write_page(output / "report.html", found, overview, shown)
    except OSError as error:
        raise UserError(f"output={output}: cannot be written ({error.strerror}); choose another place") from error


def findings_table(found: Survey) -> Table:
    """The findings for the terminal, the most serious first."""
    table = Table("", "finding", "count", "what was found", title="Findings", title_justify="left")
    for finding in found.findings:
        count = f"{finding.count:,} of {finding.total:,}"
        table.add_row(finding.severity, finding.title, count, finding.text, style=_STYLES[finding.severity])
    return table
