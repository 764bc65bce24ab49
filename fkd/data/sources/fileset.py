"""The common part of all sources that read files: from listed faces to a table, splits and decoded images."""

import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fkd.data.cache import Images
from fkd.data.face_data import SPLITS, Faces, remark_on_subjects, rows_of
from fkd.data.sources.annotation_list import Listing
from fkd.data.sources.decoding import decoded
from fkd.data.sources.exclusion_list import Exclusion
from fkd.data.sources.missing_points import filled
from fkd.data.sources.parsing import LARGEST, below, leads_out
from fkd.data.split import Rows, by_subject, shares
from fkd.errors import UserError, of_the_user, short
from fkd.schema import KeypointSchema, mapped_points, schema_of
from fkd.types import Annotations, Hashes

_LONGEST_PATH = 4096  # characters; systems allow no more


@dataclass(frozen=True)
class FileSet:
    """A dataset in a folder: the settings that all file formats share.

    Attributes:
        name: of the dataset, as in the config.
        root: the folder; no image outside of it is read. Points are in pixels of the upright image, turned as its EXIF
            orientation says.
        schema: of the points that the net learns: a name or plain data, see `fkd.schema.schema_of`.
        mapping: for files with other points: ``points``, their number, and ``take``, which of them are the schema's, in
            its order. None: the files have the schema's points.
        subject: who is on an image: "image" (each image another subject), "folder" (each folder a subject), or a
            regular expression, searched for in the image's name, whose first group is the subject's name.
        exclude: a file of faces to leave out, see `Exclusion`; or None.
        val_share, test_share: share of the training rows held out by subject where the files name no such split;
            without training files none are held out.
        split_seed: of who is held out.
        channels: 1 for grey images, 3 for RGB.
        cache_dir: folder of the decoded images.
        subset: "train", "val" or "test", whose images alone need to be decoded; or "all".

    Raises:
        UserError: a setting is not possible; names its key.
    """

    name: str
    root: str
    schema: str | Mapping[str, Any]
    mapping: Mapping[str, Any] | None
    subject: str
    exclude: str | None
    val_share: float
    test_share: float
    split_seed: int
    channels: int
    cache_dir: str
    subset: str = "all"

    def __post_init__(self) -> None:
        if not isinstance(self.root, str):
            raise UserError(f"data.root={self.root}: expected a folder")
        if not self.folder.is_dir():
            raise UserError(f"data.root={self.root}: found no such folder; give that of data={self.name}")
        if self.mapping is not None and not isinstance(self.mapping, Mapping):
            raise UserError(f"data.mapping={self.mapping}: expected points and take; choose one as data/mapping=NAME")
        _ = self.points, self.subject in ("image", "folder") or self._pattern  # both raise an error if they are wrong

    @cached_property
    def points(self) -> KeypointSchema:
        """The schema of the points that the net learns."""
        with of_the_user():
            return schema_of(self.schema)

    @property
    def folder(self) -> Path:
        """The root as a path."""
        return Path(self.root)

    @property
    def count(self) -> int:
        """Number of points of a face in the files."""
        if self.mapping is None:
            return len(self.points)
        if not isinstance(count := self.mapping.get("points"), int) or count < 1:
            raise UserError(f"data.mapping.points: expected how many points the files have, found {count!r}")
        return count

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the points in the files, if the schema has them."""
        return self.points.names if self.mapping is None else ()

    def faces(
        self,
        listing: Listing,
        named: Collection[str],
        images: Callable[[list[str], npt.NDArray[np.bool_]], tuple[Images, Hashes]] | None = None,
    ) -> Faces:
        """The table of listed faces, their splits and images.

        Faces without both points of the schema's normaliser are left out, because their error cannot be measured; a
        remark says how many. For other unknown points see `fkd.data.sources.missing_points`.

        Args:
            listing: every annotated face, with `count` points.
            named: the splits with files of their own; the others are held out of the training rows, if there are any.
            images: for images that are not files: from their names and a mask, images in this order and their hashes.
                The mask is False for images that `data.exclude` leaves out or that are not of the subset; they need
                not be readable.

        Raises:
            UserError: an error of a face, by file and place, of an image or of a setting.
        """
        _check_coordinates(listing)
        listed = len(listing)
        if self._take is not None:
            taken, seen = listing.keypoints[:, self._take], listing.visible[:, self._take]
            listing = replace(listing, keypoints=taken, visible=seen)
        first, second = self.points.normaliser
        scored = listing.visible[:, first] & listing.visible[:, second]
        scored &= self.points.interocular(listing.keypoints) > 0
        first_out = "" if scored.all() else listing.where(int(scored.argmin()))
        listing = listing.take(scored)
        known = len(listing)
        if not known:
            raise UserError(
                f"data={self.name}: expected annotated faces below {self.root}, found none (of {listed} rows)"
            )
        kept = np.ones(known, bool) if self.exclude is None else Exclusion.read(self.exclude).keeps(listing.images)
        subjects, given = self._subjects(listing), listing.splits
        number = {name: i for i, name in enumerate(dict.fromkeys(listing.images))}
        images_of = np.array([number[name] for name in listing.images], np.int64)
        asked, needed = np.full(len(number), self.subset == "all"), np.zeros(len(number), bool)
        if self.subset != "all":  # of all, an error of an image is said before one of the splits
            asked[images_of[rows_of(self.subset, self._splits(given, subjects, named), known)]] = True
        needed[images_of[kept]] = True
        needed &= asked
        if images is None:
            shown, hashes = self._decoded(listing, images_of, needed, asked)
        else:
            shown, hashes = images([*number], needed)
        listing, images_of = listing.take(kept), images_of[kept]
        _check_sizes(listing, images_of, needed, shown)
        table = Annotations(
            schema=self.points,
            paths=listing.images.astype(np.str_),
            images=images_of,
            keypoints=filled(listing.keypoints, listing.visible, self.points.normaliser),
            visible=listing.visible,
            subjects=subjects[kept],
            label_shift=np.zeros((len(listing), 2), np.float32),
            image_hashes=hashes[images_of],
        )
        whole = self._splits(given, subjects, named)  # so that `exclude` moves no face into another split
        splits = self._without(kept, whole)
        fewer = [name for name in ("val", "test") if len(splits[name]) < len(whole[name])]
        held_out = (
            f", {' and '.join(fewer)} among them: their scores compare with none of the whole set" if fewer else ""
        )
        return Faces(table, splits, shown, self.name, self._remarks(table, splits, listed, known, first_out, held_out))

    @cached_property
    def _take(self) -> list[int] | None:
        """The numbers of the schema's points among those of the files; None: all in order."""
        if self.mapping is None:
            return None
        with of_the_user():
            return mapped_points(self.mapping, len(self.points), self.count, "the files", "data.mapping")

    def _decoded(
        self,
        listing: Listing,
        images_of: npt.NDArray[np.int64],
        needed: npt.NDArray[np.bool_],
        asked: npt.NDArray[np.bool_],
    ) -> tuple[Images, Hashes]:
        names: list[str | None] = []
        first_rows = np.unique(images_of, return_index=True)[1].tolist()
        for row, is_needed in zip(first_rows, needed.tolist(), strict=True):
            name = listing.images[row]
            if not leads_out(name) and os.path.isfile(self.folder / name):  # False for a name that is too long
                names.append(name)
                continue
            if is_needed:  # only here, because `where` may read the file again
                where = listing.where(row)
                if len(name) > _LONGEST_PATH:
                    raise UserError(
                        f"{where.replace(name, short(name))}: expected the name of an image, found one of "
                        f"{len(name):,} characters, which no file can have; correct it"
                    )
                path = below(self.folder, name, where)
                raise UserError(
                    f"{where}: the image {path} is missing or no file; put it there; or name {name} in a file that "
                    "data.exclude=FILE leaves out"
                )
            names.append(None)
        return decoded(self.name, self.folder, names, needed, asked, self.channels, Path(self.cache_dir))

    def _subjects(self, listing: Listing) -> npt.NDArray[np.str_]:
        named: dict[str, str] = {}
        subjects = []
        for row, (image, subject) in enumerate(zip(listing.images, listing.subjects, strict=True)):
            if subject is None and (subject := named.get(image)) is None:
                subject = named[image] = self._subject(image, listing, row)
            subjects.append(subject)
        return np.array(subjects)

    def _subject(self, image: str, listing: Listing, row: int) -> str:
        if self.subject == "image":
            return image
        if self.subject == "folder":
            return image.rpartition("/")[0]
        if (match := self._pattern.search(image)) is None or not match[1]:
            raise UserError(
                f"{listing.where(row)}: expected an image name that data.subject={self.subject} finds a subject in, "
                f"found {image}"
            )
        return match[1]

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        try:
            pattern = re.compile(self.subject)
        except (re.error, TypeError) as error:
            raise UserError(f"data.subject={self.subject}: expected image, folder or a pattern ({error})") from error
        if pattern.groups < 1:
            raise UserError(
                f"data.subject={self.subject}: expected image, folder or a pattern with a group in brackets, "
                "which is the subject"
            )
        return pattern

    def _splits(
        self, given: npt.NDArray[np.str_], subjects: npt.NDArray[np.str_], named: Collection[str]
    ) -> dict[str, Rows]:
        """The splits that the files name; the others held out of the training rows by subject, if there are any."""
        rows = {name: np.flatnonzero(given == name) for name in SPLITS}
        for name in named:
            if not len(rows[name]):
                raise UserError(f"data.{name}: expected annotated faces, found none whose error can be measured")
        if "train" not in named:
            return rows
        lacking = {name: getattr(self, f"{name}_share") for name in ("val", "test") if name not in named}
        count, wanted = len({*subjects[rows["train"]].tolist()}), " and ".join(f"data.{name}" for name in lacking)
        if count <= len(lacking):
            raise UserError(
                f"data={self.name}: expected more than {len(lacking)} subjects in data.train, found {count} "
                f"(data.subject={self.subject}); name {wanted}, be it that of data.train to try a training, or score "
                "and look at it as data.test with data.train=null"
            )
        held = by_subject(subjects[rows["train"]], shares(**lacking), self.split_seed)
        return rows | {name: rows["train"][some] for name, some in held.items()}

    def _without(self, kept: npt.NDArray[np.bool_], splits: Mapping[str, Rows]) -> dict[str, Rows]:
        """The splits without the faces that are not kept (N,), as rows of the kept ones."""
        places = np.cumsum(kept) - 1
        left = {name: places[rows[kept[rows]]] for name, rows in splits.items()}
        if empty := [name for name, rows in left.items() if len(splits[name]) and not len(rows)]:
            raise UserError(
                f"data.exclude={self.exclude}: expected to leave faces for {empty[0]}, found none; shorten the list"
            )
        return left

    def _remarks(
        self, table: Annotations, splits: Mapping[str, Rows], listed: int, known: int, first_out: str, held_out: str
    ) -> tuple[str, ...]:
        lines = [remark_on_subjects(table, splits)]
        if set(table.subjects.tolist()) <= set(table.paths.tolist()):
            lines.append("who is on an image is not known: each image counts as one subject (data.subject)")
        if known < listed:
            first, second = (self.points.names[point] for point in self.points.normaliser)
            lines.append(
                f"{listed - known:,} of {listed:,} faces left out, {first_out} the first: {first} and {second} must be "
                "known and apart, since errors are shares of their distance"
            )
        if len(table) < known:
            lines.append(f"{known - len(table):,} faces left out by {self.exclude}{held_out}")
        if not table.visible.all():
            lines.append(f"{1 - table.visible.mean():.1%} of the points are not known; no loss or error counts them")
        return tuple(lines)


def _check_coordinates(listing: Listing) -> None:
    keypoints = listing.keypoints
    if keypoints.min(initial=0) > -LARGEST and keypoints.max(initial=0) < LARGEST:  # without a copy of the table
        return
    wrong = listing.visible & ~(np.abs(keypoints) < LARGEST).all(axis=-1)
    for row, point in np.argwhere(wrong)[:1].tolist():
        x, y = keypoints[row, point].tolist()
        raise UserError(f"{listing.where(row)}: expected pixels of the image as point {point}, found ({x:g}, {y:g})")


def _check_sizes(
    listing: Listing, images_of: npt.NDArray[np.int64], decoded: npt.NDArray[np.bool_], images: Images
) -> None:
    for row in np.flatnonzero(listing.sizes.any(axis=1) & decoded[images_of]).tolist():
        width, height = listing.sizes[row].tolist()
        found = images[int(images_of[row])].shape[1::-1]
        if (width, height) != found:
            raise UserError(
                f"{listing.where(row)}: expected {listing.images[row]} with {width} x {height} pixels, as it says, "
                f"found {found[0]} x {found[1]}; its points would lie elsewhere"
            )
