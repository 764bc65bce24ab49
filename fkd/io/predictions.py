"""Files of predictions for many images: predictions.json, and optionally predictions.csv and .pts files.

predictions.json is an array with one line for each image or frame:
``{"image": str, "width": int, "height": int, "faces": [{"box": [left, top, right, bottom], "score": float or null,
"keypoints": [[x, y], ...], "pose": {"yaw": float, "pitch": float, "roll": float}, "eye_opening": [right, left],
"mouth_opening": float, "expected_error": [float, ...] or null, "visible": [float, ...] or null}]}``, for a frame with
``"frame": int`` from 0 on. The faces of a video that are followed have ``"id": int``, too, the same in all frames.
Places are photo pixels (the centre of the first pixel at (0, 0)) to a thousandth, angles
degrees; pose and openings are null for a schema other than ibug68. The expected error of each point is a share of the
distance between the outer eye corners (the schema's normaliser points); "visible" is the probability that the image
shows each point.
"image" is the name below the input folder, as in `fkd.io.media.Place`, so that the file can be moved together with the
images.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from fkd.errors import UserError
from fkd.io.atomic import whole_file
from fkd.io.folders import make_folder
from fkd.schema import KeypointSchema
from fkd.types import Face, Pose

UNHIDDEN = "unhidden.json"
_MEASURED = (*Pose._fields, "right_eye_opening", "left_eye_opening", "mouth_opening")


class Entry(NamedTuple):
    """The faces of one image or frame."""

    image: str
    frame: int | None
    width: int
    height: int
    faces: Sequence[Face]


class Writer:
    """Writes each entry at once, so that memory stays small; see `writing`."""

    def __init__(self, folder: Path, json_file: BinaryIO, csv_file: BinaryIO | None, pts: bool) -> None:
        self.folder, self._json, self._csv, self._is_pts = folder, json_file, csv_file, pts
        self._entries = 0
        self._taken: set[str] = set()  # names of .pts files

    def add(self, entry: Entry) -> None:
        """Appends an entry.

        Raises:
            UserError: a .pts file cannot be written; then the entry is in no file.
            OSError: another one cannot, which `writing` explains.
        """
        if self._is_pts:
            self._write_pts(entry)
        self._json.write((",\n" if self._entries else "\n").encode() + _json_line(entry))
        if self._csv is not None:
            self._csv.write(_csv_lines(_csv_rows(entry)))
        self._entries += 1

    def _write_pts(self, entry: Entry) -> None:
        names = _pts_names(entry, Path(entry.image).with_suffix(""))
        if self._taken & set(names):
            names = _pts_names(entry, Path(entry.image))
        self._taken.update(names)
        for name, face in zip(names, entry.faces, strict=True):
            path = self.folder / name
            if not path.parent.is_dir():
                make_folder(path.parent)
            try:
                with whole_file(path) as file:
                    file.write(pts(face))
            except OSError as error:
                raise UserError(
                    f"{path}: cannot write the points ({error.strerror}); choose another place or name"
                ) from error


@contextmanager
def writing(
    folder: Path,
    schema: KeypointSchema,
    *,
    csv: bool,
    pts: bool,
    has_errors: bool = False,
    has_visibility: bool = False,
    has_ids: bool = False,
) -> Iterator[Writer]:
    """Atomic write of `predictions.json` in a folder, open for entries.

    Args:
        folder: an existing folder.
        schema: of the faces.
        csv: also write `predictions.csv`, a row for each face: image, frame, face (its number in the entry), left, top,
            right, bottom, score, x0, y0, x1, y1, ..., yaw, pitch, roll, right_eye_opening, left_eye_opening,
            mouth_opening; with `has_errors` also e0, e1, ..., the expected error of each point; with
            `has_visibility` also v0, v1, ..., the probability that it is visible; with `has_ids` also id.
        pts: also write a .pts file for each face, named after its image (`a.pts` for `a.jpg`), with a number if there
            are several (`a_0.pts`); for frame 12 of a video `clip/000012.pts`. If the name is taken (`a.pts` by
            `a.jpg` when `a.png` comes), it keeps the image's suffix (`a.png.pts`).
        has_errors, has_visibility, has_ids: the faces have expected errors, probabilities of visibility, ids.

    Raises:
        UserError: a file cannot be written.
    """
    with ExitStack() as files:
        files.enter_context(_as_user_error(folder))
        json_file = files.enter_context(whole_file(folder / "predictions.json"))
        csv_file = files.enter_context(whole_file(folder / "predictions.csv")) if csv else None
        json_file.write(b"[")
        if csv_file is not None:
            points = [f"{axis}{i}" for i in range(len(schema)) for axis in "xy"]
            columns = ["image", "frame", "face", "left", "top", "right", "bottom", "score", *points, *_MEASURED]
            each = "e" * has_errors + "v" * has_visibility
            columns += [f"{letter}{i}" for letter in each for i in range(len(schema))] + ["id"] * has_ids
            csv_file.write(_csv_lines([columns]))
        yield Writer(folder, json_file, csv_file, pts)
        json_file.write(b"\n]\n")


def write_unhidden(folder: Path, places: Sequence[tuple[str, int | None]]) -> Path:
    """`unhidden.json` in a folder: ``[{"image": str}]``, for a frame with ``"frame": int``, named as in `Entry`.

    Args:
        folder: an existing folder.
        places: image and frame of each image on which faces may be visible.

    Raises:
        UserError: the file cannot be written.
    """
    entries = ({"image": image} if frame is None else {"image": image, "frame": frame} for image, frame in places)
    file = folder / UNHIDDEN
    with _as_user_error(folder), whole_file(file) as content:
        content.write(("[" + ",".join(f"\n{json.dumps(entry)}" for entry in entries) + "\n]\n").encode())
    return file


def pts(face: Face) -> bytes:
    """A face's points in the format of 300-W, which counts pixels from 1, as Matlab does: Sagonas et al., "300 Faces
    in-the-Wild Challenge", ICCV Workshops 2013, and the note in the dataset.
    """
    rows = "".join(f"{x + 1:.6f} {y + 1:.6f}\n" for x, y in face.keypoints.astype(float).tolist())
    return f"version: 1\nn_points: {len(face.keypoints)}\n{{\n{rows}}}\n".encode()


def _pts_names(entry: Entry, stem: Path) -> list[str]:
    if entry.frame is not None:
        stem = stem / f"{entry.frame:06d}"
    if len(entry.faces) == 1:
        return [f"{stem.as_posix()}.pts"]
    return [f"{stem.as_posix()}_{i}.pts" for i in range(len(entry.faces))]


def _json_line(entry: Entry) -> bytes:
    frame = {} if entry.frame is None else {"frame": entry.frame}
    faces = [face.to_dict() for face in entry.faces]
    values = {"image": entry.image, **frame, "width": entry.width, "height": entry.height, "faces": faces}
    return json.dumps(values, allow_nan=False).encode()  # NaN is no JSON


def _csv_rows(entry: Entry) -> Iterator[list[Any]]:
    for i, face in enumerate(entry.faces):
        content = face.to_dict()
        pose, eyes = content["pose"] or dict.fromkeys(Pose._fields), content["eye_opening"] or (None, None)
        measured = [*pose.values(), *eyes, content["mouth_opening"], *(content["expected_error"] or ())]
        measured += [*(content["visible"] or ()), *([] if face.id is None else [face.id])]
        yield [entry.image, entry.frame, i, *content["box"], content["score"], *chain(*content["keypoints"]), *measured]


def _csv_lines(rows: Iterable[list[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "surrogateescape")  # names of files can be any bytes


@contextmanager
def _as_user_error(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{folder}: cannot write the predictions ({error.strerror}); make room or choose another"
        ) from error
