"""The page of a comparison."""

import json
from collections.abc import Sequence
from pathlib import Path

from plotly.offline import get_plotlyjs

from fkd.comparison.charts import page_data
from fkd.comparison.curves import Drawn
from fkd.comparison.overlays import Row, worst
from fkd.comparison.ranking import Ranking
from fkd.visualization import html_page

_FOLDER = Path(__file__).parent


def write_page(
    path: Path, ranking: Ranking, judgement: str | None, drawn: Sequence[Drawn], chosen: int, faces: int
) -> None:
    """Write the page as one file that opens offline in any browser; its folder must exist.

    Args:
        judgement: the paired test in one sentence, if there are two recipes.
        drawn: runs with curves; those that are shown at first come first.
        chosen: number of runs that are shown at first and on faces.
        faces: number of test faces with overlays.
    """
    data = page_data(ranking, judgement, drawn, chosen, _overlays(drawn[:chosen], faces))
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    parts = {"data": text.replace("<", "\\u003c")}  # the same JSON, in which no name of a run can end the script
    scripts = {"plotly": get_plotlyjs(), "script": (_FOLDER / "page.js").read_text(encoding="utf-8")}
    html_page.write_page(path, _FOLDER, parts, scripts)


def _overlays(chosen: Sequence[Drawn], faces: int) -> list[Row] | str:
    """The worst faces of the chosen runs; or in one line why there are none."""
    tested = [one.faces for one in chosen if one.faces is not None]
    if not tested:
        return "no images: none of these runs has left test_faces.npz (test=true writes it)"
    try:
        return worst(tested, faces)
    except ValueError as error:
        return f"no images: {error}"
