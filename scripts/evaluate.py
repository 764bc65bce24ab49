"""Scores a checkpoint on annotated faces: a table, metrics.json, ced.png and faces.png in the run folder.

python scripts/evaluate.py ckpt=outputs/.../checkpoints/best.ckpt data=udacity data.root=DIR subset=test boxes=keypoints
"""

from pathlib import Path

from omegaconf import DictConfig

import fkd
from fkd import experiment, options, recipe
from fkd.breakdown import breakdown, breakdown_table
from fkd.cli import command
from fkd.console import facts, show
from fkd.evaluation import evaluate
from fkd.report import metrics_table, part_table, save_figures
from fkd.run import write_json


@command("evaluate")
def main(cfg: DictConfig) -> float:
    run_dir, detector = Path(cfg.run_dir), experiment.build_detector(cfg)
    net = experiment.load(fkd.WEIGHTS if cfg.ckpt is None else cfg.ckpt).to(experiment.device(cfg.device))
    recipe.check_labels(cfg, net.config)
    cfg.channels = net.channels
    faces = experiment.build_faces(cfg)
    show(*faces.remarks)
    crop = experiment.build_crop(net.config["crop"])
    batch_size = options.whole(cfg, "data.batch_size", least=1)
    scores = evaluate(net, faces, cfg.subset, crop, cfg.boxes, detector, batch_size, options.flag(cfg, "flip"))
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


if __name__ == "__main__":
    main()
