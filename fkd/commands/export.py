"""Writes a checkpoint's net as ONNX (float or 8 bits), torch.export or safetensors, and shows how the two differ.

fkd export ckpt=outputs/.../checkpoints/best.ckpt output=net.onnx data=udacity data.root=DIR
fkd export ckpt=outputs/.../checkpoints/best.ckpt output=small.onnx int8=true data=udacity data.root=DIR
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from omegaconf import DictConfig
from rich.table import Table

from fkd import checkpoint
from fkd.cli.command import command
from fkd.config import checks
from fkd.config.build_parts import build_detector
from fkd.config.faces import build_faces
from fkd.data.face_data import Faces
from fkd.detect import Detector
from fkd.errors import UserError
from fkd.evaluation import visibility_calibration
from fkd.evaluation.evaluate import squares_of
from fkd.geometry import transform
from fkd.inference import export
from fkd.inference.labelled_faces import crops_of
from fkd.inference.predictor import answers
from fkd.inference.torch_net import TorchNet, load_net
from fkd.io.atomic import scratch_folder
from fkd.io.folders import unless_wrong
from fkd.metrics import nme
from fkd.models.error_model import ErrorModel
from fkd.schema import KeypointSchema
from fkd.terminal import labelled_lines, show
from fkd.training.runs import compatibility
from fkd.types import Image, Points

Run = Callable[[Image], Points]
_BATCH = 16


@command("export")
def main(cfg: DictConfig) -> None:
    output = checks.path(cfg, "output")
    export.check_output(output, checks.flag(cfg, "int8"), checks.flag(cfg, "half"))
    with unless_wrong(output.parent):
        write(cfg, output)


def write(cfg: DictConfig, output: Path) -> None:
    """Export, compare with the checkpoint on crops, and show what it costs.

    Raises:
        UserError: the net cannot be exported, or the file would give other answers; then nothing is written.
    """
    int8, half, visibility = (checks.flag(cfg, key) for key in ("int8", "half", "visibility"))
    tolerance = checks.number(cfg, "tolerance", least=0)
    count, detector = checks.whole(cfg, "crops", least=2), build_detector(cfg)
    ckpt = checks.net(cfg, "ckpt")
    net = load_net(ckpt, "cpu")
    if visibility:
        visibility_calibration.check(net)
    compatibility.check_labels(cfg, net.config)
    cfg.channels, cfg.schema = net.metadata.channels, net.config["schema"]
    learned = net.config["data"]["name"]
    try:
        faces = build_faces(cfg)
    except UserError as error:
        if learned == cfg.data.name:
            raise
        raise UserError(
            f"{error}; this net was trained on data={learned}: give data={learned} data.root=DIR, as in its training"
        ) from error
    if learned != faces.name:
        show(
            f"this net was trained on data={learned}; give data={learned} data.root=DIR to compare and calibrate on it"
        )
    elif net.metadata.error_model is None and len(faces.splits["val"]):
        known = Sample.of(faces, "val", count, net, cfg.boxes, detector)
        net.metadata = replace(net.metadata, error_model=known.error_model(net))
        show(f"expected errors: calibrated on {len(known.crops):,} validation faces, as the checkpoint has none")
    if visibility:
        seen = visibility_calibration.calibrate(net)
        net.metadata = replace(net.metadata, visibility_model=seen.model)
        show(f"visible points: area under the ROC curve {seen.area:.3f} on synthetic faces")
    test = Sample.of(faces, "test", count, net, cfg.boxes, detector)
    torch.set_num_threads(1)  # as the exported nets use, for a fair table

    show("exporting, which may take a minute")
    with scratch_folder(output) as folder:
        written = folder / f"float{output.suffix}"
        if safe := written.suffix == checkpoint.SAFETENSORS:
            parts = {name: getattr(net.metadata, name) for name in checkpoint.CALIBRATED}
            calibrated = {name: None if part is None else part.to_dict() for name, part in parts.items()}
            checkpoint.write_safetensors(checkpoint.read(ckpt, "ckpt") | calibrated, written)
            again: Run = load_net(written, "cpu", "output")
        else:
            to_file = export.to_onnx if written.suffix == ".onnx" else export.to_torch_export
            to_file(net.model, net.metadata, written)
            again = export.reader(written)
        nets: dict[str, Run] = {"checkpoint": net, "float32": again}
        if not (found := test.largest_difference(nets["float32"], net)) <= tolerance:  # also true for NaN
            raise UserError(
                f"output={output}: expected the checkpoint's answers within tolerance={tolerance} crop pixels, found "
                f"{found}; nothing was written"
            )
        if int8:
            train, val = (Sample.of(faces, split, count, net, cfg.boxes, detector) for split in ("train", "val"))
            source, written = written, folder / "int8.onnx"
            export.to_int8(source, written, train.crops)
            nets["int8"] = export.reader(written)
        if half:
            source, written = written, folder / f"half{output.suffix}"
            export.to_half(source, written)
            nets["half"] = load_net(written, "cpu", "output") if safe else export.reader(written)
        size = written.stat().st_size
        written.replace(output)

    title = f"one thread, {len(test.crops)} crops of data={faces.name}, boxes={cfg.boxes}"
    show(comparison(title, nets, test, val if int8 else None))
    show(labelled_lines({"exported": f"{output} ({size:,} bytes)"}))


@dataclass(frozen=True)
class Sample:
    """Crops of N faces with their labels.

    Attributes:
        schema: of the K points.
        crops: (N, C, S, S) uint8.
        keypoints: (N, K, 2) labels in crop pixels.
        visible: (N, K) of the labels.
    """

    schema: KeypointSchema
    crops: Image
    keypoints: Points
    visible: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, faces: Faces, subset: str, count: int, net: TorchNet, boxes: str, detector: Detector) -> "Sample":
        """At most `count` random faces of a split, the same at every call."""
        table = faces.some(subset)
        table = table.take(np.sort(np.random.default_rng(0).permutation(len(table))[:count]))
        squares, rolls, _ = squares_of(table, faces, boxes, detector)
        matrices = net.metadata.matrices(squares, rolls)
        crops = crops_of(faces.images, table.images, matrices, net.metadata)
        return cls(table.schema, crops, transform(table.keypoints, matrices), table.visible)

    def batches(self, size: int) -> Iterator[Image]:
        """The crops, `size` at a time."""
        yield from (self.crops[start : start + size] for start in range(0, len(self.crops), size))

    def distances(self, run: Run, reference: Run) -> Points:
        """Distances between the keypoints of two nets, for single crops and batches: (2N, K) crop pixels."""
        calls = [batch for size in (1, _BATCH) for batch in self.batches(size)]
        return np.concatenate([np.linalg.norm(run(batch) - reference(batch), axis=-1) for batch in calls])

    def largest_difference(self, run: Run, reference: TorchNet) -> float:
        """Largest distance between the keypoints of two nets, or difference of their spreads: crop pixels."""
        found = [self.distances(run, reference).max()]
        if reference.has_spread and (with_spread := getattr(run, "with_spread", None)) is not None:
            each = ((with_spread(batch)[1], reference.with_spread(batch)[1]) for batch in self.batches(_BATCH))
            found += [np.abs(one - other).max() for one, other in each]
        return float(np.max(found))

    def error_model(self, net: TorchNet) -> ErrorModel:
        """The errors that are to be expected of the net, which was not trained on these faces."""
        each = (answers(net, batch, flip=False, needs_spread=net.has_spread) for batch in self.batches(_BATCH))
        found, spreads = zip(*each, strict=True)
        errors = np.linalg.norm(np.concatenate(found) - self.keypoints, axis=-1)
        errors /= self.schema.interocular(self.keypoints)[:, None]
        errors = np.where(self.visible, errors, np.nan)
        return ErrorModel.fit(errors, np.concatenate(spreads) if net.has_spread else None)

    def nme(self, run: Run) -> float:
        """Normalised mean error of a net, percent of the schema's normaliser."""
        found, truth = (
            torch.from_numpy(np.concatenate([*map(run, self.batches(_BATCH))])),
            torch.from_numpy(self.keypoints),
        )
        errors = nme(found, truth, self.schema.interocular(truth), torch.from_numpy(self.visible))
        return 100 * float(errors.nanmean())

    def milliseconds(self, run: Run) -> float:
        """Median time of a call with one crop."""
        times = []
        for crop in self.batches(1):
            start = time.perf_counter()
            run(crop)
            times.append(time.perf_counter() - start)
        return 1000 * float(np.median(times))


def comparison(title: str, nets: dict[str, Run], test: Sample, val: Sample | None) -> Table:
    """Speed of each net and distance of its points from the checkpoint's; with `val`, also its error there."""
    table = Table("", *nets, title=title, title_justify="left")
    reference, eyes = nets["checkpoint"], np.tile(test.schema.interocular(test.keypoints), 2)[:, None]
    apart = [test.distances(run, reference) for run in nets.values()]
    table.add_row("ms a face", *(f"{test.milliseconds(run):.2f}" for run in nets.values()))
    for label, unit in {"crop pixels": np.ones(1), "% of the eye distance": eyes / 100}.items():
        table.add_row(f"largest difference, {label}", *(f"{(distances / unit).max():.2g}" for distances in apart))
        table.add_row(f"mean difference, {label}", *(f"{(distances / unit).mean():.2g}" for distances in apart))
    if val is not None:
        table.add_row(f"NME inter-ocular %, {len(val.crops)} of val", *(f"{val.nme(run):.3f}" for run in nets.values()))
    return table


if __name__ == "__main__":
    main()
