"""Tables of pages, each between `<!-- NAME -->` and `<!-- /NAME -->`, and the files that they are made of."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.tables.markdown import measured
from fkd.errors import UserError
from fkd.io.atomic import whole_file

RESULTS = Path("results")


@dataclass(frozen=True)
class Table:
    """A table of a page, or a few words of a line.

    Attributes:
        page: path of the Markdown file in the clone.
        sources: names in `results/`: files, or folders of files.
        make: gets the content of each source, of a folder the list of its files' contents; returns Markdown.
        is_inline: it stands within a line, without a line that tells machine and date.
    """

    page: str
    sources: tuple[str, ...]
    make: Callable[..., str]
    is_inline: bool = False

    def text(self, root: Path) -> str:
        """What has to stand between its marks; `root` is the clone.

        Raises:
            UserError: a source is missing or has other content.
        """
        contents = [_load(root, source) for source in self.sources]
        files = [f"results/{source}" for source in self.sources]
        try:
            made = self.make(*contents)
            if self.is_inline:
                return made
            origins = [
                f"`{file}`" + " (entered by hand)" * (isinstance(content, dict) and "entered" in content)
                for file, content in zip(files, contents, strict=True)
            ]
            return f"\n{made}\n*{measured(contents)}; from {', '.join(origins)}.*\n"
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            what = f"expected what a table of {self.page} is made of, found other content ({error!r})"
            raise UserError(f"{', '.join(files)}: {what}") from error


def write(tables: Mapping[str, Table], root: Path) -> list[str]:
    """Write all tables into their pages; returns a line for each that has changed.

    Args:
        tables: by the names in their marks.
        root: the clone.

    Raises:
        UserError: a page or a source cannot be read, or a page lacks the marks of a table; nothing is written then.
    """
    texts, changed, pages = dict[str, str](), list[str](), set[str]()
    for name, table in tables.items():
        text = texts[table.page] if table.page in texts else _read(root / table.page, "a Markdown file")
        new = table.text(root)
        before, old, after = parts(text, name, table.page)
        if new != old:
            changed.append(f"{table.page}: {name}")
            pages.add(table.page)
        texts[table.page] = before + new + after
    for page in pages:
        with whole_file(root / page) as file:
            file.write(texts[page].encode())
    return changed


def parts(text: str, name: str, page: str) -> tuple[str, str, str]:
    """The text of a page before, between and after the marks of a table, which are part of the first and the last.

    Raises:
        UserError: it has not exactly one pair of these marks.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    found = re.fullmatch(f"(.*{begin})(.*)({end}.*)", text, re.S)
    if not found or text.count(begin) > 1 or text.count(end) > 1:
        raise UserError(
            f"{page}: expected {begin} and {end} once each, around the table, found others; write them there"
        )
    return found[1], found[2], found[3]


def _load(root: Path, source: str) -> Any:
    path = root / RESULTS / source
    if path.is_dir():
        return [_load(root, f"{source}/{each.name}") for each in sorted(path.glob("*.json"))]
    try:
        return json.loads(_read(path, "the results of a benchmark"))
    except ValueError as error:
        raise UserError(f"{path}: expected JSON, found other text ({error})") from None


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected {what}, found none ({error}); run this in the clone of fkd") from None
