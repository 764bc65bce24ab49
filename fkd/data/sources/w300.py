"""300-W with its standard protocol, from its own folders or from mmpose's files."""

import re
from collections import Counter
from dataclasses import replace

from fkd.data.face_data import Faces
from fkd.data.sources.coco import coco
from fkd.data.sources.fileset import FileSet
from fkd.data.sources.pts import pts
from fkd.errors import UserError

_TRAIN = {"afw": 337, "helen/trainset": 2000, "lfpw/trainset": 811}
_COMMON = {"helen/testset": 330, "lfpw/testset": 224}
_CHALLENGING = {"ibug": 135}
_TESTS = {"common": _COMMON, "challenging": _CHALLENGING, "full": _COMMON | _CHALLENGING}
"""Faces in each folder of the set as it is distributed."""
_MMPOSE = {"common": "valid_common", "challenging": "valid_challenge", "full": "valid"}
_JSON = "annotations/face_landmarks_300w_{}.json"
_FIRST_PIXEL = 1


def w300(files: FileSet, protocol: str) -> Faces:
    """The faces of 300-W: trained on AFW and the training parts of HELEN and LFPW, tested on a part by name.

    Published results are on these parts: common (LFPW and HELEN), challenging (iBUG) and full (both); they were named
    by Ren et al., "Face Alignment at 3000 FPS via Regressing Local Binary Features", CVPR 2014, section 5. Parts that
    are not there are left out, and a remark says which.

    Args:
        files: the dataset. Its root has the folders afw, helen, ibug and lfpw with .pts files, or mmpose's folders
            annotations and images.
        protocol: of the test: common, challenging or full.

    Raises:
        UserError: an unknown protocol, or no part of the test is there; errors of `pts` and `coco`.
    """
    if protocol not in _TESTS:
        raise UserError(f"data.protocol={protocol}: expected {', '.join(_TESTS)}")
    parts = {"train": _TRAIN, "test": _TESTS[protocol]}
    if (files.folder / "annotations").is_dir():
        names = {"train": _JSON.format("train"), "test": _JSON.format(_MMPOSE[protocol])}
        train = names["train"] if (files.folder / names["train"]).is_file() else None
        faces = coco(files, train, None, names["test"], "images", True, _FIRST_PIXEL)
    else:
        here = {split: [part for part in those if (files.folder / part).is_dir()] for split, those in parts.items()}
        if not here["test"]:
            wanted = ", ".join(parts["test"])
            raise UserError(
                f"data.root={files.root}: expected the folders of 300-W's protocol {protocol} ({wanted}) or mmpose's "
                "annotations, found neither; give the folder that holds them, or another data.protocol"
            )
        faces = pts(files, here["train"] or None, None, here["test"], _FIRST_PIXEL)
    pattern = re.compile(f"(?:^|/)({'|'.join(_TRAIN | _TESTS['full'])})/")
    counts = Counter(match[1] for path in faces.table.paths.tolist() if (match := pattern.search(path)))
    remarks = [line for split, those in parts.items() if (line := _lacking(split, those, counts))]
    return replace(faces, remarks=(*faces.remarks, *remarks))


def _lacking(split: str, parts: dict[str, int], counts: Counter[str]) -> str:
    """A line on the faces of a split that are not here; "" if all are."""
    lacking = [f"{part} {counts[part]:,} of {whole:,}" for part, whole in parts.items() if counts[part] < whole]
    found, whole = sum(counts[part] for part in parts), sum(parts.values())
    return f"{found:,} of the {whole:,} {split} faces of 300-W's protocol are here: {', '.join(lacking)}" * bool(
        lacking
    )
