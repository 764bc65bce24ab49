"""The XML files of dlib's imglab."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from fkd.data.face_data import Faces
from fkd.data.sources.annotation_list import Listing, Row
from fkd.data.sources.fileset import FileSet
from fkd.data.sources.parsing import missing, named, number
from fkd.errors import UserError, short


def imglab(files: FileSet, train: str | None, val: str | None, test: str | None) -> Faces:
    """All boxes with parts, each a face; boxes to be ignored, and those without parts, are left out.

    The format is that of dlib's ``image_dataset_metadata`` (dlib/data_io/image_dataset_metadata.h): pixels from 0 on,
    boxes with ``part`` elements. A part's name is its point's number, or the point's name in the schema; a part that a
    box lacks is not known. Entities, which could make a small file large, are refused.

    Args:
        files: the set; images are named from its root.
        train, val, test: files below the root; for None see `FileSet`.

    Raises:
        UserError: what a file lacks, by image.
    """
    names = named({"train": train, "val": val, "test": test})
    rows = (row for split, name in names.items() for row in _rows(files, name, split))
    return files.faces(Listing.of(rows, files.count), names)


def _rows(files: FileSet, name: str, split: str) -> Iterator[Row]:
    path = files.folder / str(name)
    try:
        begins = files.count
        for _, image in iterparse(path, ("end",), forbid_dtd=True):
            if image.tag == "part":
                begins = min(begins, _numbered(image.get("name", ""), files.names, 0))
            if image.tag == "image":
                for face, box in enumerate(image.iter("box")):
                    row = _row(files, path, image, box, face, split)
                    if row is not None:
                        yield row
                image.clear()
        if 0 < begins < files.count:
            raise UserError(f"{path}: expected parts from 0 on, found {begins} as the first; number them from 0")
    except UserError:
        raise
    except OSError as error:
        raise UserError(
            f"{path}: expected an XML file of imglab, found none ({error.strerror}); {missing(split)}"
        ) from error
    except DefusedXmlException as error:
        raise UserError(f"{path}: expected plain XML, found a document type or entities, which are refused") from error
    except (ParseError, ValueError, LookupError) as error:  # LookupError: an encoding that nobody knows
        raise UserError(
            f"{path}: expected an XML file of imglab, found something else or half of one ({error})"
        ) from error


def _row(files: FileSet, path: Path, image: Element, box: Element, face: int, split: str) -> Row | None:
    name = image.get("file", "").replace("\\", "/")
    where = f"{path} {name} box {face}"
    if (
        not all(np.isfinite(side := [number(box.get(key)) for key in ("left", "top", "width", "height")]))
        or min(side[2:]) <= 0
    ):
        raise UserError(f"{where}: expected left, top and a width and height above 0, found {short(dict(box.attrib))}")
    parts = box.findall("part")
    if box.get("ignore") == "1" or not parts:
        return None
    count = files.count
    keypoints, visible = np.zeros((count, 2), np.float32), np.zeros(count, bool)
    for part in parts:
        point = _point(part.get("name", ""), files.names, count, where)
        if visible[point]:
            raise UserError(f"{where}: expected part {part.get('name')} once, found it twice")
        keypoints[point], visible[point] = [number(part.get("x")), number(part.get("y"))], True
        if not np.isfinite(keypoints[point]).all():
            raise UserError(f"{where}: expected x and y of part {part.get('name')}, found {short(dict(part.attrib))}")
    return Row(where, name, keypoints, visible, split, _size(image, where))


def _point(name: str, names: tuple[str, ...], count: int, where: str) -> int:
    if not 0 <= (point := _numbered(name, names, -1)) < count:
        raise UserError(f"{where}: expected a part from 0 to {count - 1} or a point of the schema, found {name!r}")
    return point


def _numbered(name: str, names: tuple[str, ...], other: int) -> int:
    """The number of a part, or `other` for a name that is none."""
    return names.index(name) if name in names else int(name) if name.isdecimal() else other


def _size(image: Element, where: str) -> tuple[int, int]:
    """The image's width and height, which older files do not have."""
    if image.get("width") is None and image.get("height") is None:
        return 0, 0
    width, height = number(image.get("width")), number(image.get("height"))
    if not (width > 0 and height > 0):
        raise UserError(f"{where}: expected an image's width and height, found {short(dict(image.attrib))}")
    return int(width), int(height)
