"""Trains a net on annotated faces, keeps the epoch of the lowest val/loss and scores it.

python scripts/train.py model=naimish loss=smoothl1 optimizer.lr=3e-4
python scripts/train.py experiment=face/compact data.root=DIR
python scripts/train.py -m model=simple,naimish data.batch_size=32,64
"""

from pathlib import Path

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from fkd import experiment
from fkd.callbacks import log_hyperparameters
from fkd.cli import command
from fkd.errors import UserError
from fkd.evaluation import evaluate
from fkd.report import Result, facts, metrics_table, save_figures, show


@command("train")
def main(cfg: DictConfig) -> float:
    hydra, run_dir = HydraConfig.get(), Path(cfg.run_dir)
    with Result(run_dir, hydra.overrides.task) as result:
        experiment.check(cfg)
        pl.seed_everything(cfg.seed, workers=True, verbose=False)
        detector = experiment.build_detector(cfg)
        if cfg.ckpt_path is not None:
            experiment.check_resume(cfg)
        module = experiment.build_module(cfg)
        faces = experiment.build_faces(cfg)
        show(*faces.remarks)
        data = experiment.build_data(cfg, faces)
        train = faces.subset("train")
        module.learn_about(data.mean_shape(), train.keypoints, train.subjects)
        trainer = experiment.build_trainer(cfg, sweep=hydra.mode == RunMode.MULTIRUN)

        kept = cfg.ckpt_path
        if cfg.train:
            trainer.fit(module, datamodule=data, ckpt_path=cfg.ckpt_path, weights_only=True)
            speed = trainer.callback_metrics.get("train/images_per_s")
            result.values["train_images_per_s"] = None if speed is None else round(float(speed), 1)
            if not trainer.is_global_zero:
                return 0.0
            kept = next((c.best_model_path for c in trainer.checkpoint_callbacks if c.monitor == "val/loss"), "")
            if not kept:
                raise UserError("trainer.max_epochs: no epoch was trained and validated, so there is no net to score")

        net = experiment.load(kept).to(trainer.strategy.root_device)
        best = net.scores
        result.values |= {"best": best, "parameters": sum(p.numel() for p in net.net.parameters())}
        columns, picture = {}, "-"
        if cfg.test:
            for subset in ("val", "test"):
                scores = evaluate(net, faces, subset, data.crop, cfg.boxes, detector, cfg.data.batch_size)
                columns |= {subset: scores.metrics, f"{subset}, mean shape": scores.mean_shape}
            result.values |= {"test": scores.metrics, "mean_shape_nme": scores.mean_shape["nme_interocular"]}
            picture = save_figures(run_dir, scores, faces, "test")
            show(metrics_table(f"boxes={cfg.boxes}, labels as published", columns))
        finals = {f"best/{name.removeprefix('val/')}": value for name, value in best.items()}
        finals |= {"test/nme": scores.metrics["nme_interocular"]} if cfg.test else {}
        log_hyperparameters(trainer.loggers, experiment.hyperparameters(cfg, hydra.runtime.choices), finals)

    show(
        facts(
            {
                "parameters": f"{result.values['parameters']:,}",
                "images per second": f"{result.values.get('train_images_per_s')} in training",
                "best checkpoint": f"{kept} (epoch {best['epoch']})",
                "faces drawn": str(picture),
                "look at it": f"tensorboard --logdir {run_dir}",
            }
        )
    )
    return finals["test/nme"] if cfg.optimized_metric == "test/nme" else best[cfg.optimized_metric]


if __name__ == "__main__":
    main()
