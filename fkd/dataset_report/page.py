"""The page: one file with all its images inside, which opens offline in any browser."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from fkd.dataset_report import figures
from fkd.dataset_report.checks import Finding
from fkd.dataset_report.exclusions import NAME
from fkd.dataset_report.measurements import Quantity
from fkd.dataset_report.population import Population
from fkd.dataset_report.shapes import Shapes
from fkd.dataset_report.sheets import Sheet, Tile
from fkd.dataset_report.summary import Survey
from fkd.io.atomic import whole_file
from fkd.schema import KeypointSchema
from fkd.terminal import progress

_FOLDER = Path(__file__).parent
_NAMED = 8  # subjects
_LEGEND = (
    "<p>Colours tell the sides of a face: of two points that a mirror exchanges, the first is green, the second blue; a"
    " point without a partner is white.</p>"
)
_SHOWN = 8  # faces of a finding; the others unfold


def write_page(path: Path, found: Survey, sheets: Sequence[Sheet], examples: Mapping[str, Sheet]) -> None:
    """Writes the page, with a progress bar; its folder must exist.

    Args:
        sheets: of the set's faces.
        examples: name of a finding -> faces that show it.
    """
    population, schema = found.population, found.faces.table.schema
    count = population.counts["all"]
    drawn: dict[str, Callable[[], str]] = {
        "Findings": lambda: _findings(found, examples),
        "Who and what": lambda: _who(population, schema),
        "Faces": lambda: (
            _LEGEND + "".join(f'<h3 class="sheet">{escape(sheet.title)}</h3>{_tiles(sheet.tiles)}' for sheet in sheets)
        ),
        "Shape": lambda: _shape(found.shapes, schema),
        "Measures": lambda: _measures(found),
    }
    sections = {}
    with progress("drawing the page", len(drawn)) as advance:
        for title, draw in drawn.items():
            sections[title] = draw()
            advance()
    parts = {
        "style": (_FOLDER / "page.css").read_text(encoding="utf-8"),
        "title": escape(f"Data set: {found.faces.name}"),
        "counts": f"{count.faces:,} faces with {len(schema)} points on {count.images:,} images of"
        f" {count.subjects:,} subjects",
        "remarks": "".join(f'<p class="remark">{escape(remark)}</p>' for remark in found.faces.remarks),
        "contents": "".join(f'<a href="#{_anchor(title)}">{title}</a>' for title in sections),
        "sections": "\n".join(
            f'<section id="{_anchor(title)}"><h2>{title}</h2>{content}</section>' for title, content in sections.items()
        ),
    }
    template = (_FOLDER / "page.html").read_text(encoding="utf-8")
    content = re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], template)
    with whole_file(path) as file:
        file.write(content.encode("utf-8", "replace"))


def _findings(found: Survey, examples: Mapping[str, Sheet]) -> str:
    if not found.findings:
        return "<p>Nothing was found to be wrong.</p>"
    return _advice(found) + "".join(_finding(finding, examples.get(finding.name)) for finding in found.findings)


def _advice(found: Survey) -> str:
    """What to do with the faces that should be left out."""
    count, total = len(found.excluded), len(found.faces.splits["train"])
    if not count:
        return "<p>No training face need be left out.</p>"
    if not found.can_exclude:
        return (
            f"<p>{count:,} of {total:,} training faces should be left out; <code>data={escape(found.faces.name)}</code>"
            " takes no list of them: look at the sets that it was made of, one by one.</p>"
        )
    if not found.is_whole:
        return (
            f"<p>{count:,} of these {total:,} training faces should be left out, beside those that are already: look at"
            " the set with <code>data.exclude=null</code> to have all in one list.</p>"
        )
    return (
        f"<p><code>{NAME}</code> beside this page lists {count:,} of {total:,} training faces to leave out; look"
        " through it, then train with <code>data.exclude=FILE</code>.</p>"
    )


def _finding(finding: Finding, sheet: Sheet | None) -> str:
    share = f"{finding.count:,} of {finding.total:,}"
    share += f" ({finding.count / finding.total:.1%})" if finding.total else ""
    return (
        f'<article class="finding {finding.severity}"><h3><span class="badge">{finding.severity}</span>'
        f"{escape(finding.title)} <small>{share}</small></h3>"
        f'<p>{escape(finding.text)}</p><p class="advice">{escape(finding.advice)}</p>'
        f"{_examples(sheet) if sheet is not None else ''}</article>"
    )


def _examples(sheet: Sheet) -> str:
    first, rest = sheet.tiles[:_SHOWN], sheet.tiles[_SHOWN:]
    return _tiles(first) + (f"<details><summary>{len(rest)} more</summary>{_tiles(rest)}</details>" if rest else "")


def _tiles(tiles: Iterable[Tile]) -> str:
    return f'<div class="tiles">{"".join(_figure(t.uri, t.caption, t.caption) for t in tiles)}</div>'


def _who(population: Population, schema: KeypointSchema) -> str:
    counts = _table(
        ("", "faces", "images", "subjects"),
        ((name, f"{c.faces:,}", f"{c.images:,}", f"{c.subjects:,}") for name, c in population.counts.items()),
    )
    shared = _table(
        ("in both", "images", "subjects"),
        ((f"{a} and {b}", f"{s.images:,}", f"{s.subjects:,}") for (a, b), s in population.shared.items()),
    )
    most = zip(population.names[:_NAMED].tolist(), population.images_of[:_NAMED].tolist(), strict=True)
    named = ", ".join(f"{name} {images:,}" for name, images in most)
    if (population.images_of == 1).all():
        subjects = "<p>Everybody is on one image, or the set does not say who is on which.</p>"
    else:
        drawn = figures.images_per_subject(population.images_of)
        subjects = _figure(drawn, "images per subject", f"most images: {named}")
    if (population.visible == 1).all():
        labels = f"<p>Each of the {len(schema)} points is labelled as visible on every face.</p>"
    else:
        mean, least = 100 * population.visible.mean(), int(population.visible.argmin())
        caption = f"on average {mean:.1f} %; least often {schema.names[least]}, {100 * population.visible[least]:.1f} %"
        labels = _figure(figures.visibility(population.visible, schema), "visible points", caption, "wide")
    return f'<div class="charts"><div class="scroll">{counts}{shared}</div>{subjects}</div>{labels}'


def _shape(shapes: Shapes | str, schema: KeypointSchema) -> str:
    if isinstance(shapes, str):
        return f'<p class="faint">Left out: {escape(shapes)}.</p>'
    order = shapes.spread.argsort()
    steady, loose = (
        ", ".join(f"{schema.names[i]} {100 * shapes.spread[i]:.1f} %" for i in part) for part in (order[:3], order[-3:])
    )
    first = (
        _figure(figures.mean_shape(shapes, schema), "mean shape", f"mean shape of {shapes.faces:,} faces, numbered"),
        _figure(
            figures.spread(shapes, schema),
            "spread of the points",
            "two standard deviations of each point; in distances of the eyes the steadiest are"
            f" {steady}, the loosest {loose}",
        ),
    )
    modes = (
        _figure(figures.mode(shapes, i, schema), f"mode {i + 1}", f"mode {i + 1}: {100 * share:.1f} % of the variance")
        for i, share in enumerate(shapes.explained)
    )
    return (
        "<p>Faces moved, scaled and turned to lie on each other (Procrustes), and the principal modes of what then"
        " still differs (Cootes et al., Active Shape Models, 1995). A mode that no face can make is one of the"
        " labels.</p>"
        f'<div class="charts pairs">{"".join(first)}{"".join(modes)}</div>'
    )


def _measures(found: Survey) -> str:
    sampled, total = len(found.seen.rows), len(found.faces.table)
    intro = (
        f"<p>Images, light and pose were measured on {sampled:,} of {total:,} faces, drawn at random.</p>"
        if sampled < total
        else ""
    )
    figures = "".join(_histogram(quantity) for quantity in found.quantities.values())
    pose = f'<p class="faint">Head pose is left out: {escape(found.seen.no_pose)}.</p>' if found.seen.no_pose else ""
    return f'{intro}<div class="charts">{figures}</div>{pose}'


def _histogram(quantity: Quantity) -> str:
    if len(quantity.values) == 0:
        return f'<p class="faint">{escape(quantity.title)}: not known of any of the {quantity.of}.</p>'
    least, low, middle, high, most = (_number(quantity.percentile(share)) for share in (0, 5, 50, 95, 100))
    unit = f" {quantity.unit}"
    caption = f"median {middle}, 5 % {low}, 95 % {high}, all from {least} to {most}{unit}"
    caption += f" ({quantity.note})" if quantity.note else ""
    return _figure(figures.histogram(quantity), quantity.title, caption)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{round(value, 1):g}" if abs(value) >= 1 else f"{value:.2g}"


def _figure(uri: str, alt: str, caption: str, kind: str = "") -> str:
    attribute = f' class="{kind}"' if kind else ""
    text = escape(caption)
    image = f'<img src="{uri}" alt="{escape(alt)}">'
    return f'<figure{attribute}>{image}<figcaption title="{text}">{text}</figcaption></figure>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f"<table><thead><tr>{''.join(f'<th>{escape(h)}</th>' for h in head)}</tr></thead><tbody>{cells}</tbody></table>"
    )


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")
