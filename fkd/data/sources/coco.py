"""Keypoints in COCO's JSON, as mmpose distributes WFLW, COFW, AFLW, LaPa and 300-W."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fkd.data.face_data import Faces
from fkd.data.sources.annotation_list import Listing, Row
from fkd.data.sources.fileset import FileSet
from fkd.data.sources.parsing import LARGEST, below, check_first_pixel, missing, named, number, text
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

    The format is https://cocodataset.org/#format-data: ``keypoints`` holds x, y and v of each point; v is 0 for a point
    that is not labelled, 1 for a hidden and 2 for a visible point. Crowds and annotations without keypoints are left
    out. In mmpose's files of WFLW, AFLW and 300-W every labelled point has v = 1; those of 300-W have the numbers of
    its .pts files, which count pixels from 1 (see `fkd.data.sources.pts`).

    Args:
        files: the dataset.
        train, val, test: files below its root; for None see `FileSet`.
        images: folder of the images, below the root.
        occluded: whether points with v = 1 are known.
        first_pixel: coordinates of the first pixel's centre in the files, 0 or 1.

    Raises:
        UserError: an error of a file, by annotation.
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
        if images.setdefault(key := _get(entry, "id", int | str, where), entry) is not entry:
            raise UserError(f"{where}: expected another id in each of images, found {short(key)} twice")
    for place, entry in enumerate(content["annotations"]):
        where = f"{path} annotations[{place}]"
        image_id = _get(entry, "image_id", int | str, where)
        if entry.get("iscrowd") or not entry.get("keypoints"):
            continue
        if (image := images.get(image_id)) is None:
            raise UserError(f"{where}: expected an image_id of images, found {short(image_id)}")
        keypoints, visible = _points(_get(entry, "keypoints", list, where), least, where)
        _check_box(entry.get("bbox"), where)
        name = _get(image, "file_name", str, f"{where}, its image")
        size: Any = (image.get("width"), image.get("height"))
        has_size = all(isinstance(side, int) and 0 < side < LARGEST for side in size)
        below(Path(folder), name, where)
        name = name if folder in ("", ".") else f"{folder}/{name}"
        yield Row(where, name, keypoints - np.float32(first_pixel), visible, split, size if has_size else (0, 0))


def _content(path: Path, split: str) -> Mapping[str, Any]:
    raw = text(path, "a JSON file", missing(split))
    try:
        content: Any = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: expected a JSON file, found something else or half of one ({error})") from error
    for key in ("images", "annotations"):
        found = content.get(key) if isinstance(content, Mapping) else content
        if not isinstance(content, Mapping) or not isinstance(found, list):
            raise UserError(f"{path}: expected a list of {key} as COCO has it, found {short(found)}")
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
    """Crops are cut around the points, but an impossible box shows that the annotation is broken."""
    if box is None:
        return
    sides = [number(side) for side in box] if isinstance(box, list) else []
    if len(sides) != 4 or not np.isfinite(sides).all() or min(sides[2:]) <= 0:
        raise UserError(f"{where}: expected bbox as left, top, width and height above 0, found {short(box)}")


def _get(entry: Any, key: str, kind: Any, where: str) -> Any:
    value = entry.get(key) if isinstance(entry, Mapping) else entry
    if not isinstance(entry, Mapping) or not isinstance(value, kind) or isinstance(value, bool):
        raise UserError(f"{where}: expected {key}, found {short(value)}")
    return value
