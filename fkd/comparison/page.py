"""The page: one file that opens offline in any browser."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from fkd.comparison.charts import page_data
from fkd.comparison.curves import Drawn
from fkd.comparison.overlays import Row, worst
from fkd.comparison.ranking import Ranking
from fkd.errors import UserError
from fkd.io.atomic import whole_file

_FOLDER = Path(__file__).parent


def write_page(
    path: Path, ranking: Ranking, judgement: str | None, drawn: Sequence[Drawn], chosen: int, faces: int
) -> None:
    """Writes the page with its style, scripts, images and data inside; its folder must exist.

    Args:
        judgement: the paired test's sentence, if there are two to be tested.
        drawn: runs with curves, those to be shown at first in front.
        chosen: how many these are; they are shown on faces, too.
        faces: on how many.
    """
    _write(path, page_data(ranking, judgement, drawn, chosen, _overlays(drawn[:chosen], faces)))


def _overlays(chosen: Sequence[Drawn], faces: int) -> list[Row] | str:
    """Or, in one line, why there are none."""
    seen = [(one.faces, one.run.path) for one in chosen if one.faces is not None]
    if not seen:
        return "no images: none of these runs has left test_faces.npz (test=true writes it)"
    try:
        return worst([tested for tested, _ in seen], seen[0][1], faces)
    except UserError as error:
        return f"no images: {error}"


def _write(path: Path, data: Mapping[str, Any]) -> None:
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    parts = {
        "style": (_FOLDER / "page.css").read_text(encoding="utf-8"),
        "plotly": get_plotlyjs(),
        "data": text.replace("<", "\\u003c"),  # the same to JSON, and no name of a run can end the script
        "script": (_FOLDER / "page.js").read_text(encoding="utf-8"),
    }
    template = (_FOLDER / "page.html").read_text(encoding="utf-8")
    content = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)
    with whole_file(path) as file:
        file.write(content.encode("utf-8", "replace"))
