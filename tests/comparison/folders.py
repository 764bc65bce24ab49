"""Run folders with believable numbers, as a training leaves them."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fkd.io import images
from fkd.types import Annotations
from fkd.visualization.draw import KEPT

PARTS = ("jaw", "right_brow", "left_brow", "nose", "right_eye", "left_eye", "outer_mouth", "inner_mouth")
DEFAULTS: dict[str, Any] = {
    "model": "compact",
    "loss": "l1",
    "optimizer": "adamw",
    "data": "synthetic",
    "optimizer.lr": 0.001,
    "data.batch_size": 64,
    "crop.size": 96,
    "trainer.max_epochs": 5,
    "seed": 0,
}


def write_run(
    folder: Path,
    settings: Mapping[str, Any] | None = None,
    nme: float = 6.0,
    status: str = "done",
    faces: Annotations | None = None,
    source: Mapping[str, Any] | None = None,
    noise: int = 0,
    fingerprints: Mapping[str, str] | None = None,
    crops: Sequence[int] = (),
    **changes: Any,
) -> Path:
    """A run folder.

    Args:
        settings: what differs from `DEFAULTS`.
        nme: percent inter-ocular on the test faces.
        faces: the test faces; they get predictions of about that error.
        source: config of `data.source`.
        noise: seed of the errors.
        crops: rows of the test faces of which it has a crop.
        fingerprints: `faces` of result.json, which an older version's run has not.
        changes: other keys of result.json; None leaves a key out.
    """
    (folder / ".hydra").mkdir(parents=True)
    config = {"data": {"name": "synthetic", "source": dict(source or {})}, "trainer": {"max_epochs": 5}}
    (folder / ".hydra" / "config.yaml").write_text("seed: 0\n" + yaml.safe_dump(config))
    (folder / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump({"hydra": {"runtime": {"cwd": str(Path.cwd())}}}))
    write_metrics(folder, nme + 1)
    rng = np.random.default_rng(noise)
    table = {part: nme * float(rng.uniform(0.7, 1.3)) for part in PARTS}
    result = {
        "status": status,
        "overrides": [f"{key}={value}" for key, value in (settings or {}).items()],
        "settings": DEFAULTS | dict(settings or {}),
        "started": "2026-01-31T12:00:00",
        "best": {"epoch": 5, "val/loss": nme / 100, "val/nme": nme + 1},
        "test": {
            "nme_interocular": nme,
            "auc_10": max(0.0, 1 - nme / 10),
            "failure_rate_10": 2 * nme,
            "faces": 100,
            "missed_faces": 0,
            "subjects": 10,
            "boxes": "keypoints",
            "labels": "published",
            "per_part": table,
            "per_keypoint": [nme] * 68,
        },
        "mean_shape_nme": 20.0,
        "parameters": 571_032,
        "train_images_per_s": 400.0,
        "seconds": 90.0,
        "faces": fingerprints,
    } | changes
    if faces is not None:
        write_faces(folder, faces, nme, rng, crops)
    (folder / "result.json").write_text(json.dumps({key: value for key, value in result.items() if value is not None}))
    return folder


def write_metrics(folder: Path, nme: float, epochs: int = 5) -> None:
    """What Lightning's CSVLogger leaves: two sparse rows for each epoch, which count from 0."""
    header = ["epoch", "lr", "step", "train/images_per_s", "train/loss", "val/loss", "val/nme"]
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, header + [f"val/nme_part/{part}" for part in PARTS])
        writer.writeheader()
        for epoch in range(epochs):
            value = nme * (1 + 2 / (epoch + 1) - 2 / epochs)
            parts = {f"val/nme_part/{part}": value for part in PARTS}
            writer.writerow({"epoch": epoch, "step": epoch, "val/loss": value / 100, "val/nme": value} | parts)
            writer.writerow({"epoch": epoch, "step": epoch, "train/loss": value / 120, "lr": 0.001})


def write_faces(
    folder: Path, table: Annotations, nme: float, rng: np.random.Generator, crops: Sequence[int] = ()
) -> None:
    """test_faces.npz with points that are off by about `nme` percent of the distance between the eyes.

    Args:
        crops: rows of the faces of which test_faces.jpg has a crop, here of one grey each; none for an older version.
    """
    target = table.keypoints
    distance = table.schema.interocular(target)
    offsets = rng.normal(0, nme / 100 / 1.2533, target.shape) * distance[:, None, None]  # mean length sd * 1.2533
    preds = (target + offsets * rng.uniform(0.5, 1.5, (len(target), 1, 1))).astype(np.float32)
    errors = 100 * np.linalg.norm(preds - target, axis=2).mean(axis=1) / distance
    np.savez_compressed(
        folder / "test_faces.npz",
        image=table.paths,
        subject=table.subjects,
        nme=errors.astype(np.float32),
        missed=np.zeros(len(table), bool),
        window=np.zeros((len(table), 4), np.float32),
        preds=preds,
        target=target,
        **({"visible": table.visible, "shown": np.array(crops, np.int64)} if crops else {}),
    )
    if crops:
        strip = np.repeat(np.array([40 + 5 * row for row in crops], np.uint8), KEPT)[:, None].repeat(KEPT, axis=1)
        (folder / "test_faces.jpg").write_bytes(images.jpeg(strip, images.QUALITY))
