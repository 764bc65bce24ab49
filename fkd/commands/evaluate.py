"""Scores nets on annotated faces: tables, metrics.json, ced.png, faces.png and what `fkd compare` reads of each.

fkd evaluate ckpt=outputs/.../checkpoints/best.ckpt data=udacity data.root=DIR subset=test boxes=keypoints
fkd evaluate 'ckpt=[a.ckpt,b.ckpt]' data=udacity data.root=DIR output=DIR
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf

import fkd
from fkd import comparison
from fkd.cli.command import command
from fkd.comparison import evaluations
from fkd.comparison.evaluations import EVALUATION
from fkd.config import CONF, checks
from fkd.config.build_parts import build_detector, check_boxes
from fkd.config.faces import build_faces
from fkd.data.face_data import Faces
from fkd.detect import Detector, build, without_files
from fkd.errors import UserError
from fkd.evaluation.conditions import breakdown, breakdown_table
from fkd.evaluation.evaluate import Candidate, evaluate
from fkd.evaluation.report import expected_error_line, metrics_table, part_table, save_faces, save_figures
from fkd.inference.metadata import Metadata
from fkd.inference.predictor import Net
from fkd.inference.torch_net import TorchNet
from fkd.terminal import labelled_lines, show
from fkd.training.runs import compatibility
from fkd.training.runs.run_folder import write_json


@command("evaluate")
def main(cfg: DictConfig) -> float:
    checks.path(cfg, "output")
    run_dir, paths = Path(cfg.run_dir), checkpoints(cfg)
    nets, detector = load(cfg, paths)
    if len(nets) > 1 and any(run_dir.rglob(EVALUATION)):
        raise UserError(f"{run_dir}: expected a new folder, found evaluations in it; give another output=DIR")
    known: dict[tuple[str, int], Faces] = {}
    for path, net in zip(paths, nets, strict=True):  # all of them, before one is scored
        if isinstance(net, TorchNet):
            compatibility.check_labels(cfg, net.config)
        if (kind := (net.metadata.schema.name, net.metadata.channels)) not in known:
            known[kind] = faces_for(cfg, path, net.metadata)
    for faces in known.values():
        show(*faces.remarks, *remarks_on_part(cfg, faces))
    if "detector" in cfg and cfg.boxes == "keypoints":
        show("boxes=keypoints: detector= has no effect, since the boxes are the squares around the labelled points")
    errors = []
    for number, (path, net) in enumerate(zip(paths, nets, strict=True), 1):
        faces = known[net.metadata.schema.name, net.metadata.channels]
        if len(nets) > 1:
            show(f"{number} of {len(nets)}: {path}")
        folder = run_dir / str(number) if len(nets) > 1 else run_dir
        errors.append(score(cfg, path, net, faces, detector, folder, is_one_of_many=len(nets) > 1))
    if len(nets) > 1:
        show(*comparison.summary(run_dir), f"look closer: fkd compare {run_dir}")
    return min(errors)


def checkpoints(cfg: DictConfig) -> list[Path]:
    """The files of `ckpt`: one, or a list of them; null is the net that comes with fkd.

    Raises:
        UserError: one is no path, or the list is empty.
    """
    if not isinstance(cfg.ckpt, ListConfig):
        return [checks.net(cfg, "ckpt")]
    if not cfg.ckpt:
        raise UserError("ckpt=[]: expected at least one checkpoint, found none; leave ckpt out for the net of fkd")
    return [checks.net(cfg, f"ckpt.{number}") for number in range(len(cfg.ckpt))]


def load(cfg: DictConfig, paths: Sequence[Path]) -> tuple[list[Net], Detector]:
    """The nets of some files, and the detector that finds faces for them or has the jitter of boxes.

    It is that of the config, or if there is none, the one that the nets were trained for.

    Raises:
        UserError: `boxes` or a file is wrong, or the boxes are a detector's and the nets were trained for several.
    """
    check_boxes(cfg)
    given = build_detector(cfg) if "detector" in cfg else None
    if given is None and cfg.boxes == "keypoints":  # the nets' own is not needed, and may need a file
        given = build(yaml.safe_load((CONF / "detector/fkd.yaml").read_text()))
    predictors = [fkd.load(path, detector=given, device=cfg.device) for path in paths]
    nets = [predictor.net for predictor in predictors]
    if given is None:
        for path, net in zip(paths, nets, strict=True):
            if detector_of(cfg, net) != detector_of(cfg, nets[0]):
                raise UserError(
                    f"boxes={cfg.boxes}: expected nets that were trained for one detector, found another one in {path} "
                    f"than in {paths[0]}; give detector=NAME, so that all are scored with the same boxes"
                )
    return nets, predictors[0].detector


def detector_of(cfg: DictConfig, net: Net) -> dict[str, Any] | None:
    """The plain config of the detector that a net is scored with, without its files; None with boxes=keypoints."""
    if cfg.boxes == "keypoints":
        return None
    given: Any = OmegaConf.to_container(cfg.detector, resolve=True) if "detector" in cfg else net.metadata.detector
    return without_files(given)


def score(
    cfg: DictConfig, path: Path, net: Net, faces: Faces, detector: Detector, folder: Path, *, is_one_of_many: bool
) -> float:
    """Score one net; writes its files into the folder, which is made, and gives its inter-ocular NME in percent.

    Of one of many nets only one line is shown; a table of all follows.
    """
    if isinstance(net, TorchNet):
        candidate = Candidate.of(net)
        if (trained := compatibility.other_data(cfg, net.config)) is not None:
            show(f"the net was trained on data={trained}; data={faces.name} is other data")
    else:
        candidate = Candidate.of_unknown_training(net, faces)
        show("an exported net does not name its training subjects: subjects of the test may be among them")
        if not len(faces.splits["train"]):
            show("mean face: of the scored faces, since there are no others; data.train=... gives some")
    batch_size, flip = checks.whole(cfg, "data.batch_size", least=1), checks.flag(cfg, "flip")
    scores = evaluate(candidate, faces, cfg.subset, cfg.boxes, detector, batch_size, flip)
    conditions = breakdown(scores, faces.subset(cfg.subset))
    write_json(folder / "metrics.json", scores.metrics)
    write_json(folder / "conditions.json", conditions)
    image = save_figures(folder, scores, faces, cfg.subset)
    save_faces(folder, scores, faces, cfg.subset)
    parameters = sum(p.numel() for p in net.model.net.parameters()) if isinstance(net, TorchNet) else None
    mean_shape_nme, used = scores.mean_shape["nme_interocular"], detector_of(cfg, net)
    evaluations.write(folder, path, flip, faces.fingerprint(cfg.subset), mean_shape_nme, parameters, used)

    error = float(scores.metrics["nme_interocular"])
    if is_one_of_many:
        show(f"NME {error:.3f} %, mean face {mean_shape_nme:.3f} %; figures and faces are in {folder}")
        return error
    columns = {"net": scores.metrics, "mean face": scores.mean_shape}
    show(
        metrics_table(f"data={faces.name} subset={cfg.subset} boxes={cfg.boxes}, labels as published", columns),
        part_table(scores.metrics),
        breakdown_table(conditions),
        labelled_lines(
            {
                "expected errors": expected_error_line(scores.metrics) or "unknown, too few faces",
                "metrics": f"{folder}/metrics.json",
                "faces drawn": str(image),
                "error curve": f"{folder}/ced.png",
            }
        ),
    )
    return error


def remarks_on_part(cfg: DictConfig, faces: Faces) -> tuple[str, ...]:
    """A remark if only a part of data.train is scored, since splits without files of their own are held out of it."""
    lacking = [split for split in ("val", "test") if not cfg.data.get(split)] if cfg.data.get("train") else []
    if not lacking or cfg.subset not in ("train", *lacking):
        return ()
    those = f"held out by subject because data.{cfg.subset} is not given"
    if cfg.subset == "train":
        keys = " and ".join(f"data.{split}" for split in lacking)
        those = f"left when others are held out by subject because {keys} {'are' if lacking[1:] else 'is'} not given"
    whole = sum(len(faces.splits[split]) for split in ("train", *lacking))
    scored = f"{len(faces.subset(cfg.subset)):,} of the {whole:,} faces of data.train"
    return (f"subset={cfg.subset}: {scored} are scored, those {those}; subset=all scores all",)


def faces_for(cfg: DictConfig, path: Path, metadata: Metadata) -> Faces:
    """The faces with the points and channels of the net in a file; only those of `subset` need to have images.

    Raises:
        UserError: they cannot be read, or have the points of another schema.
    """
    own, fitting = cfg.copy(), cfg.copy()
    own.channels = fitting.channels = metadata.channels
    fitting.schema = metadata.schema.to_dict()
    for each in (own, fitting) if "files" in cfg.data else ():
        OmegaConf.update(each, "data.files.subset", cfg.subset, force_add=True)
    try:
        return build_faces(fitting)
    except UserError as error:
        try:
            found = build_faces(own).table.schema
        except UserError:
            found = metadata.schema  # the error is not about the schema
        if found == metadata.schema:
            raise
        raise UserError(
            f"ckpt={path}: expected faces with the points of {metadata.schema.name}, which this net finds, found "
            f"data={cfg.data.name} with those of {found.name}; give another net or other data"
        ) from error


if __name__ == "__main__":
    main()
