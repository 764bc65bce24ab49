"""The page of a report on a data set."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from fkd.dataset_report import figures
from fkd.dataset_report.checks import Finding
from fkd.dataset_report.measurements import Quantity, why_no_pose
from fkd.dataset_report.population import Population
from fkd.dataset_report.shapes import Shapes
from fkd.dataset_report.sheets import Sheet, Tile
from fkd.dataset_report.summary import Survey
from fkd.schema import KeypointSchema
from fkd.terminal import progress
from fkd.visualization import html_page
from fkd.visualization.html_page import escape

_NAMED = 8  # subjects
_LEGEND = (
    "<p>Colours show the sides of a face: of two points that a mirror image exchanges, the first is green, the second"
    " blue; a point without a partner is white.</p>"
)
_SHOWN = 8  # faces of a finding; the others unfold


def write_page(path: Path, found: Survey, sheets: Sequence[Sheet], examples: Mapping[str, Sheet]) -> None:
    """Write the page as one file that opens offline in any browser, with a progress bar; its folder must exist.

    Args:
        sheets: faces of the data set.
        examples: name of a finding -> faces that show it.
    """
    schema, count = found.faces.table.schema, found.population.counts["all"]
    drawn: dict[str, Callable[[], str]] = {
        "Findings": lambda: _findings(found, examples),
        "Counts": lambda: _counts(found.population, schema),
        "Faces": lambda: (
            _LEGEND + "".join(f'<h3 class="sheet">{escape(sheet.title)}</h3>{_tiles(sheet.tiles)}' for sheet in sheets)
        ),
        "Shape": lambda: _shape(found.shapes, schema),
        "Measures": lambda: _measures(found),
    }
    links, sections = [], []
    with progress("drawing the page", len(drawn)) as advance:
        for title, draw in drawn.items():
            anchor = title.lower().replace(" ", "-")
            links.append(f'<a href="#{anchor}">{title}</a>')
            sections.append(f'<section id="{anchor}"><h2>{title}</h2>{draw()}</section>')
            advance()
    parts = {
        "title": escape(f"Data set: {found.faces.name}"),
        "counts": f"{count['faces']:,} faces with {len(schema)} points on {count['images']:,} images of"
        f" {count['subjects']:,} subjects",
        "remarks": "".join(f'<p class="remark">{escape(remark)}</p>' for remark in found.faces.remarks),
        "contents": "".join(links),
        "sections": "\n".join(sections),
    }
    html_page.write_page(path, Path(__file__).parent, parts)


def _findings(found: Survey, examples: Mapping[str, Sheet]) -> str:
    if not found.findings:
        return "<p>The checks found nothing.</p>"
    advice = f"<p>Leave out: {escape(found.exclusion_line('FILE'))}.</p>"
    return advice + "".join(_finding(finding, examples.get(finding.name)) for finding in found.findings)


def _finding(finding: Finding, sheet: Sheet | None) -> str:
    share = f"{finding.count:,} of {finding.total:,}"
    share += f" ({finding.count / finding.total:.1%})" if finding.total else ""
    first, rest = (sheet.tiles[:_SHOWN], sheet.tiles[_SHOWN:]) if sheet is not None else ((), ())
    return (
        f'<article class="finding {finding.severity}"><h3><span class="badge">{finding.severity}</span>'
        f"{escape(finding.title)} <small>{share}</small></h3>"
        f'<p>{escape(finding.text)}</p><p class="advice">{escape(finding.advice)}</p>'
        f"{_tiles(first) if first else ''}"
        f"{f'<details><summary>{len(rest)} more</summary>{_tiles(rest)}</details>' if rest else ''}</article>"
    )


def _tiles(tiles: Iterable[Tile]) -> str:
    return f'<div class="tiles">{"".join(_figure(t.uri, t.caption, t.caption) for t in tiles)}</div>'


def _counts(population: Population, schema: KeypointSchema) -> str:
    counts = _table("", population.counts)
    shared = _table("in both", {" and ".join(pair): both for pair, both in population.shared.items()})
    named = ", ".join(f"{name} {images:,}" for name, images in population.most_images(_NAMED))
    if (population.images_of == 1).all():
        subjects = "<p>Each subject is on one image, or the set does not name the subjects.</p>"
    else:
        drawn = figures.images_per_subject(population.images_of)
        subjects = _figure(drawn, "images per subject", f"most images: {named}")
    if (population.visible == 1).all():
        labels = f"<p>Each of the {len(schema)} points is labelled as visible on every face.</p>"
    else:
        mean, least = 100 * population.visible.mean(), int(population.visible.argmin())
        caption = f"on average {mean:.1f} %; least often {schema.names[least]}, {100 * population.visible[least]:.1f} %"
        labels = _figure(figures.visibility(population.visible, schema), "visible points", caption, ' class="wide"')
    return f'<div class="charts"><div class="scroll">{counts}{shared}</div>{subjects}</div>{labels}'


def _shape(shapes: Shapes | str, schema: KeypointSchema) -> str:
    if isinstance(shapes, str):
        return f'<p class="faint">Left out: {escape(shapes)}.</p>'
    order = shapes.spread.argsort()
    steady, loose = (
        ", ".join(f"{schema.names[i]} {100 * shapes.spread[i]:.1f} %" for i in part) for part in (order[:3], order[-3:])
    )
    spread = (
        f"two standard deviations of each point; in distances of the eyes the smallest are {steady},"
        f" the largest {loose}"
    )
    drawn = [
        _figure(figures.mean_shape(shapes, schema), "mean shape", f"mean shape of {shapes.faces:,} faces, numbered"),
        _figure(figures.spread(shapes, schema), "spread of the points", spread),
    ]
    for i, share in enumerate(shapes.explained):
        caption = f"mode {i + 1}: {100 * share:.1f} % of the variance"
        drawn.append(_figure(figures.mode(shapes, i, schema), f"mode {i + 1}", caption))
    return (
        "<p>Faces after alignment by translation, scale and rotation (Procrustes), and the principal modes of their"
        " differences (Cootes et al., Active Shape Models, 1995). A mode that no face can make comes from the"
        f' labels.</p><div class="charts pairs">{"".join(drawn)}</div>'
    )


def _measures(found: Survey) -> str:
    sampled, total = len(found.sample.rows), len(found.faces.table)
    intro = f"<p>Images, light and pose were measured on {sampled:,} of {total:,} faces, drawn at random.</p>"
    drawn = "".join(_histogram(quantity) for quantity in found.quantities.values())
    no_pose = why_no_pose(found.faces.table.schema)
    pose = f'<p class="faint">Head pose is left out: {escape(no_pose)}.</p>' if no_pose else ""
    return f'{intro if sampled < total else ""}<div class="charts">{drawn}</div>{pose}'


def _histogram(quantity: Quantity) -> str:
    if len(quantity.values) == 0:
        return f'<p class="faint">{escape(quantity.title)}: unknown for all {quantity.of}.</p>'
    least, low, middle, high, most = (_number(quantity.percentile(percent)) for percent in (0, 5, 50, 95, 100))
    caption = f"median {middle}, 5 % {low}, 95 % {high}, all from {least} to {most} {quantity.unit}"
    caption += f" ({quantity.note})" if quantity.note else ""
    return _figure(figures.histogram(quantity), quantity.title, caption)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{round(value, 1):g}" if abs(value) >= 1 else f"{value:.2g}"


def _figure(uri: str, alt: str, caption: str, attribute: str = "") -> str:
    text = escape(caption)
    image = f'<img src="{uri}" alt="{escape(alt)}">'
    return f'<figure{attribute}>{image}<figcaption title="{text}">{text}</figcaption></figure>'


def _table(corner: str, rows: Mapping[str, Mapping[str, int]]) -> str:
    """A table of counts; all rows have the same columns."""
    head = "".join(f"<th>{title}</th>" for title in (corner, *next(iter(rows.values()))))
    lines = ("".join(f"<td>{cell:,}</td>" for cell in counts.values()) for counts in rows.values())
    cells = "".join(f"<tr><td>{name}</td>{line}</tr>" for name, line in zip(rows, lines, strict=True))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{cells}</tbody></table>"
