"""Scores a net on annotated faces: a table, metrics.json, ced.png and faces.png in the run folder.

python scripts/evaluate.py ckpt=outputs/.../checkpoints/best.ckpt data=udacity data.root=DIR subset=test boxes=keypoints
"""

from pathlib import Path

from omegaconf import DictConfig

import fkd
from fkd import experiment, identity, options
from fkd.breakdown import breakdown, breakdown_table
from fkd.cli import command
from fkd.console import facts, show
from fkd.data.faces import Faces
from fkd.errors import UserError
from fkd.evaluation import Candidate, evaluate
from fkd.facts import Facts
from fkd.inference import TorchNet
from fkd.report import metrics_table, part_table, save_figures
from fkd.run import write_json


@command("evaluate")
def main(cfg: DictConfig) -> float:
    run_dir, detector = Path(cfg.run_dir), experiment.build_detector(cfg)
    net = fkd.load(None if cfg.ckpt is None else options.path(cfg, "ckpt"), device=cfg.device).net
    if isinstance(net, TorchNet):
        identity.check_labels(cfg, net.module.config)
    faces = build_faces(cfg, net.facts)
    show(*faces.remarks, *remarks_on_part(cfg, faces))
    if isinstance(net, TorchNet):
        candidate = experiment.candidate(net.module)
    else:
        candidate = Candidate.of_stranger(net, faces)
        show("an exported net does not say whom it was trained on: people of the test may be among them")
        if not len(faces.splits["train"]):
            show("mean shape: of the faces scored here, since no others are named; data.train names some")
    batch_size = options.whole(cfg, "data.batch_size", least=1)
    scores = evaluate(candidate, faces, cfg.subset, cfg.boxes, detector, batch_size, options.flag(cfg, "flip"))
    conditions = breakdown(scores, faces.subset(cfg.subset))
    write_json(run_dir / "metrics.json", scores.metrics)
    write_json(run_dir / "conditions.json", conditions)
    picture = save_figures(run_dir, scores, faces, cfg.subset)

    columns = {"net": scores.metrics, "mean shape": scores.mean_shape}
    show(
        metrics_table(f"data={faces.name} subset={cfg.subset} boxes={cfg.boxes}, labels as published", columns),
        part_table(scores.metrics),
        breakdown_table(conditions),
        facts({"metrics": f"{run_dir}/metrics.json", "faces drawn": str(picture), "error curve": f"{run_dir}/ced.png"}),
    )
    return scores.metrics["nme_interocular"]


def remarks_on_part(cfg: DictConfig, faces: Faces) -> tuple[str, ...]:
    """Says so where a part of data.train is scored, since splits without files of their own are held out of it."""
    lacking = [split for split in ("val", "test") if not cfg.data.get(split)] if cfg.data.get("train") else []
    if not lacking or cfg.subset not in ("train", *lacking):
        return ()
    those = f"held out by person because data.{cfg.subset} is not given"
    if cfg.subset == "train":
        keys = " and ".join(f"data.{split}" for split in lacking)
        those = f"left when others are held out by person because {keys} {'are' if lacking[1:] else 'is'} not given"
    whole = sum(len(faces.splits[split]) for split in ("train", *lacking))
    scored = f"{len(faces.subset(cfg.subset)):,} of the {whole:,} faces of data.train"
    return (f"subset={cfg.subset}: {scored} are scored, those {those}; subset=all scores all",)


def build_faces(cfg: DictConfig, facts: Facts) -> Faces:
    """The faces with the net's points and channels.

    Raises:
        UserError: they cannot be read, or have the points of another schema.
    """
    cfg.channels = facts.channels
    own = cfg.copy()
    cfg.schema = facts.schema.to_dict()
    try:
        return experiment.build_faces(cfg)
    except UserError as error:
        try:
            found = experiment.build_faces(own).table.schema
        except UserError:
            found = facts.schema  # the points are not what is wrong
        if found == facts.schema:
            raise
        raise UserError(
            f"ckpt={cfg.ckpt}: expected faces with the points of {facts.schema.name}, which this net finds, found "
            f"data={cfg.data.name} with those of {found.name}; give another net or other data"
        ) from error


if __name__ == "__main__":
    main()
