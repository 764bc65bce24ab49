"""Keypoints in COCO's JSON, as mmpose distributes WFLW, COFW, AFLW, LaPa and 300-W."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fkd.data.face_data import Faces
from fkd.data.sources.annotation_list import Listing, Row
from fkd.data.sources.fileset import FileSet
from fkd.data.sources.parsing import below, check_first_pixel, missing, named, number, text
from fkd.errors import UserError, short


def coco(
    files: FileSet,
    train: str | None,
    val: str | None,
    test: str | None,
    images: str,
    occluded: bool,
    first_pixel: int,
) -> Faces:
    """All annotations with keypoints, each a face.

    The format is https://cocodataset.org/#format-data: ``keypoints`` holds x, y and v of each point, v 0 for a point
    that is not labelled, 1 for a hidden and 2 for a visible one. Crowds and annotations without keypoints are left
    out. mmpose's files of WFLW, AFLW and 300-W have v = 1 for every labelled point; those of 300-W hold the
    numbers of its .pts files as they are, which count pixels from 1 (see `fkd.data.sources.pts`).

    Args:
        files: the set.
        train, val, test: files below its root; for None see `FileSet`.
        images: folder of the images, below the root.
        occluded: take points with v = 1 as known.
        first_pixel: coordinates of the first pixel's centre in the files, 0 or 1.

    Raises:
        UserError: what a file lacks, by annotation.
    """
    if not isinstance(occluded, bool):
        raise UserError(f"data.occluded={occluded}: expected true or false")
    check_first_pixel(first_pixel)
    names = named({"train": train, "val": val, "test": test})
    least = 1 if occluded else 2
    rows = (
        row
        for split, name in names.items()
        for row in _rows(files.folder / str(name), split, str(images).strip("/"), least, first_pixel)
    )
    return files.faces(Listing.of(rows, files.count), names)


def _rows(path: Path, split: str, folder: str, least: int, first_pixel: int) -> Iterator[Row]:
    content = _content(path, split)
    images: dict[int | str, Mapping[str, Any]] = {}
    for place, entry in enumerate(content["images"]):
        where = f"{path} images[{place}]"
        if images.setdefault(own := _get(entry, "id", int | str, where), entry) is not entry:
            raise UserError(f"{where}: expected an id of its own, found {short(own)}, which another image has")
    for place, entry in enumerate(content["annotations"]):
        where = f"{path} annotations[{place}]"
        if not isinstance(entry, Mapping) or entry.get("iscrowd") or not entry.get("keypoints"):
            _get(entry, "image_id", int | str, where)
            continue
        if (image := images.get(_get(entry, "image_id", int | str, where))) is None:
            raise UserError(f"{where}: expected an image_id of images, found {short(entry['image_id'])}")
        keypoints, visible = _points(_get(entry, "keypoints", list, where), least, where)
        _check_box(entry.get("bbox"), where)
        name = _get(image, "file_name", str, f"{where}, its image")
        size: Any = (image.get("width"), image.get("height"))
        known = all(isinstance(side, int) and side > 0 for side in size)
        below(Path(folder), name, where)
        at = name if folder in ("", ".") else f"{folder}/{name}"
        yield Row(where, at, keypoints - np.float32(first_pixel), visible, split, size if known else (0, 0))


def _content(path: Path, split: str) -> Mapping[str, Any]:
    try:
        content: Any = json.loads(text(path, "a JSON file", missing(split)))
    except UserError:
        raise
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: expected a JSON file, found something else or half of one ({error})") from error
    for key in ("images", "annotations"):
        if not isinstance(content, Mapping) or not isinstance(content.get(key), list):
            found = short(content.get(key)) if isinstance(content, Mapping) else short(content)
            raise UserError(f"{path}: expected a list of {key} as COCO has it, found {found}")
    return dict(content)


def _points(values: list[Any], least: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    """(P, 2) points and (P,) whether they are known, from x, y, v, x, y, v, ..."""
    if len(values) % 3:
        raise UserError(f"{where}: expected x, y and v of each keypoint, found {len(values)} numbers")
    triples = np.array([number(value) for value in values], np.float64).reshape(-1, 3)
    v = triples[:, 2]
    if (odd := ~np.isin(v, (0, 1, 2))).any():
        point = int(odd.argmax())
        raise UserError(f"{where}: expected v of keypoint {point} to be 0, 1 or 2, found {values[3 * point + 2]!r}")
    if (odd := (v > 0) & ~np.isfinite(triples.sum(axis=1))).any():
        point = int(odd.argmax())
        raise UserError(f"{where}: expected numbers as keypoint {point}, found {short(values[3 * point :][:2])}")
    visible = v >= least
    return np.where(visible[:, None], triples[:, :2], 0).astype(np.float32), visible


def _check_box(box: Any, where: str) -> None:
    """Windows are cut around the points; a box that cannot be says that the annotation is broken."""
    if box is None:
        return
    sides = [number(side) for side in box] if isinstance(box, list) else []
    if len(sides) != 4 or not np.isfinite(sides).all() or min(sides[2:]) <= 0:
        raise UserError(f"{where}: expected bbox as left, top, width and height above 0, found {short(box)}")


def _get(entry: Any, key: str, kind: Any, where: str) -> Any:
    value = entry.get(key) if isinstance(entry, Mapping) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise UserError(f"{where}: expected {key}, found {short(value if isinstance(entry, Mapping) else entry)}")
    return value
