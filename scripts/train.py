"""Trains a net on annotated faces, keeps the epoch of the lowest val/loss and scores it.

python scripts/train.py model=naimish loss=smoothl1 optimizer.lr=3e-4
python scripts/train.py experiment=face/compact data.root=DIR
python scripts/train.py -m model=simple,naimish data.batch_size=32,64
"""

from pathlib import Path

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fkd import experiment
from fkd.callbacks import log_hyperparameters
from fkd.cli import command
from fkd.evaluation import evaluate
from fkd.report import Result, facts, metrics_table, save_figures, show


@command("train")
def main(cfg: DictConfig) -> float | None:
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    run_dir = Path(cfg.run_dir)
    hydra = HydraConfig.get()
    with Result(run_dir, hydra.overrides.task) as result:
        resume, detector = experiment.resume_path(cfg), experiment.build_detector(cfg)
        module = experiment.build_module(cfg)
        faces = experiment.build_faces(cfg)
        show(*faces.remarks)
        data = experiment.build_data(cfg, faces)
        module.set_mean_shape(data.mean_shape())
        trainer = experiment.build_trainer(cfg)

        best = run_dir / "checkpoints" / "best.ckpt"
        if cfg.train:
            trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
        if not trainer.is_global_zero:
            return None
        kept = best if cfg.train else resume
        net = experiment.load(kept)
        speed = trainer.callback_metrics.get("train/images_per_s")
        result.values |= {
            "best": experiment.saved_scores(kept),
            "parameters": sum(p.numel() for p in net.net.parameters()),
            "train_images_per_s": None if speed is None else round(float(speed), 1),
        }
        columns = {}
        if cfg.test:
            for subset in ("val", "test"):
                scores = evaluate(net, faces, subset, data.crop, cfg.boxes, detector, cfg.data.batch_size)
                columns |= {subset: scores.metrics, f"{subset}, mean shape": scores.mean_shape}
            result.values |= {"test": scores.metrics, "mean_shape_nme": scores.mean_shape["nme_interocular"]}
            picture = save_figures(run_dir, scores, faces, "test")
            show(metrics_table(f"boxes={cfg.boxes}, labels as published", columns))
        finals = {f"best/{name.split('/')[-1]}": value for name, value in result.values["best"].items()}
        finals |= {"test/nme": scores.metrics["nme_interocular"]} if cfg.test else {}
        log_hyperparameters(trainer.loggers, experiment.hyperparameters(cfg, hydra.runtime.choices), finals)

    show(
        facts(
            {
                "parameters": f"{result.values['parameters']:,}",
                "images per second": f"{result.values['train_images_per_s']} in training",
                "best checkpoint": f"{best} (epoch {result.values['best']['epoch']})",
                "faces drawn": str(picture) if cfg.test else "-",
                "look at it": f"tensorboard --logdir {run_dir}",
            }
        )
    )
    return result.values["best"].get(cfg.optimized_metric)


if __name__ == "__main__":
    main()
