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
from fkd.data.sources.parsing import LARGEST, missing, named, number
from fkd.errors import UserError, short
from fkd.io.regular import regular_file


def imglab(files: FileSet, train: str | None, val: str | None, test: str | None) -> Faces:
    """All boxes with parts, each a face; ignored boxes and boxes without parts are left out.

    The format is that of dlib's ``image_dataset_metadata`` (dlib/data_io/image_dataset_metadata.h): pixels from 0 on,
    boxes with ``part`` elements. A part's name is the point's number or its name in the schema; a part that a box lacks
    is not known. Entities, which could make a small file large, are refused.

    Args:
        files: the dataset; images are named from its root.
        train, val, test: files below the root; for None see `FileSet`.

    Raises:
        UserError: an error of a file, by image.
    """
    names = named({"train": train, "val": val, "test": test})
    rows = (row for split, name in names.items() for row in _rows(files, name, split))
    return files.faces(Listing.of(rows, files.count), names)


def _rows(files: FileSet, name: str, split: str) -> Iterator[Row]:
    path = files.folder / str(name)
    try:
        with regular_file(path, "an XML file of imglab", missing(split)) as file:
            first = files.count
            for _, image in iterparse(file, ("end",), forbid_dtd=True):
                if image.tag == "part":
                    first = min(first, _number(image.get("name", ""), files.names, 0))
                if image.tag == "image":
                    for face, box in enumerate(image.iter("box")):
                        row = _row(files, path, image, box, face, split)
                        if row is not None:
                            yield row
                    image.clear()
            if 0 < first < files.count:
                raise UserError(f"{path}: expected parts from 0 on, found {first} as the first; number them from 0")
    except UserError:
        raise
    except DefusedXmlException as error:
        raise UserError(f"{path}: expected plain XML, found a document type or entities, which are refused") from error
    except (ParseError, ValueError, LookupError) as error:  # LookupError: an unknown encoding
        raise UserError(
            f"{path}: expected an XML file of imglab, found something else or half of one ({error})"
        ) from error


def _row(files: FileSet, path: Path, image: Element, box: Element, face: int, split: str) -> Row | None:
    name = image.get("file", "").replace("\\", "/")
    where = f"{path} {name} box {face}"
    sides = [number(box.get(key)) for key in ("left", "top", "width", "height")]
    if not np.isfinite(sides).all() or min(sides[2:]) <= 0:
        raise UserError(f"{where}: expected left, top and a width and height above 0, found {short(dict(box.attrib))}")
    parts = box.findall("part")
    if box.get("ignore") == "1" or not parts:
        return None
    keypoints, visible = np.zeros((files.count, 2), np.float32), np.zeros(files.count, bool)
    for part in parts:
        called = part.get("name", "")
        if not 0 <= (point := _number(called, files.names, -1)) < files.count:
            expected = f"a part from 0 to {files.count - 1} or a point of the schema"
            raise UserError(f"{where}: expected {expected}, found {called!r}")
        if visible[point]:
            raise UserError(f"{where}: expected part {called} once, found it twice")
        keypoints[point], visible[point] = [number(part.get("x")), number(part.get("y"))], True
        if not np.isfinite(keypoints[point]).all():
            raise UserError(f"{where}: expected x and y of part {called}, found {short(dict(part.attrib))}")
    return Row(where, name, keypoints, visible, split, _size(image, where))


def _number(name: str, names: tuple[str, ...], other: int) -> int:
    """The point's number for a part's name, or `other` for a name that is no point's."""
    return names.index(name) if name in names else int(name) if name.isdecimal() else other


def _size(image: Element, where: str) -> tuple[int, int]:
    """The image's width and height; (0, 0) in older files, which do not give them."""
    if image.get("width") is None and image.get("height") is None:
        return 0, 0
    width, height = number(image.get("width")), number(image.get("height"))
    if not (0 < width < LARGEST and 0 < height < LARGEST):
        raise UserError(f"{where}: expected an image's width and height, found {short(dict(image.attrib))}")
    return int(width), int(height)
