"""Trains a net on annotated faces, keeps the epoch with the lowest val/loss and scores it.

fkd train model=naimish loss=smoothl1
fkd train experiment=face/compact data.root=DIR
fkd train -m model=simple,naimish data.batch_size=32,64
fkd train resume=outputs/...
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from fkd.cli.command import command
from fkd.config import checks
from fkd.distributed import importing, join_tasks, keep_memory, leave_printing_to_first, share_threads
from fkd.terminal import labelled_lines, show
from fkd.training.runs import command_line, compatibility, metrics_csv
from fkd.training.runs.run_folder import Run
from fkd.training.runs.run_warnings import overfit_verdict, training_warnings

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from fkd.data.face_data import Faces
    from fkd.detect import Detector


@command("train", rewrite=command_line.command_line)
def main(cfg: DictConfig) -> float:
    if not Path(cfg.run_dir, "result.json").exists():  # a run that resumes needs them no more
        checks.check_files(cfg, ("weights", "distill.teacher", *(() if cfg.ckpt_path == "last" else ("ckpt_path",))))
    overrides, choices = command_line.task_overrides(HydraConfig.get()), HydraConfig.get().runtime.choices
    settings = compatibility.settings(cfg, choices, overrides)
    join_tasks()
    leave_printing_to_first()
    run = Run(cfg.run_dir, overrides, settings, cfg.ckpt_path)
    run.values["recipe"] = compatibility.digest(cfg, run.values["ckpt_path"])
    if run.is_over:
        show(f"{run.folder}: {run.before['status']}, nothing is left to do")
        return run.objective

    with run:
        checks.check_training(cfg)  # before torch is loaded, so that mistakes are said at once
        trainer, faces, detector = fit(cfg, run)
        if not trainer.is_global_zero:
            return 0.0
        checkpoint = score(cfg, run, trainer, faces, detector)

    speed = run.values.get("train_images_per_s")
    lines = {
        "parameters": f"{run.values['parameters']:,}",
        "images per second": None if speed is None else f"{speed} in training",
        "best checkpoint": f"{checkpoint} (epoch {run.values['best']['epoch']})",
        "faces drawn": run.folder / "faces.png" if cfg.test else None,
        "look at it": f"tensorboard --logdir {run.folder}",
    }
    show(labelled_lines({label: str(line) for label, line in lines.items() if line is not None}))
    show(*(f"warning: {line}" for line in run.values["warnings"]))
    return float(run.values["objective"])


def fit(cfg: DictConfig, run: Run) -> tuple[pl.Trainer, Faces, Detector]:
    """Train the net, or with train=false only build what it is scored with.

    Raises:
        UserError: the config, the data or the checkpoint to start with is wrong.
    """
    with importing():  # torch and more: without them --help answers at once
        share_threads()
        import pytorch_lightning as pl

        from fkd.config.build_module import build_module
        from fkd.config.build_parts import build_detector, remarks_on_boxes, remarks_on_crop
        from fkd.config.faces import build_data, build_faces
        from fkd.config.initial_weights import initialise, starts_at_mean_shape
        from fkd.config.trainer import build_trainer
        from fkd.training.runs.environment import environment

    hydra = HydraConfig.get()
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    trainer = build_trainer(cfg, hydra.mode == RunMode.MULTIRUN)  # before data are loaded: its settings can be wrong
    run.values["environment"] = environment(trainer)
    detector = build_detector(cfg)
    if run.start is not None:
        trained_config = compatibility.check_resume(cfg, run.start, own=run.is_resumed)
    elif run.before:
        show(f"{run.folder}: no last.ckpt, so training starts from the beginning")
    module = build_module(cfg)
    if run.start is None:
        initialise(module, cfg)
    faces = build_faces(cfg)
    show(*faces.remarks, *remarks_on_boxes(hydra.runtime.choices.get("detector"), faces.table.schema))
    run.values["faces"] = module.fingerprints = faces.fingerprints()
    if run.start is not None and run.is_resumed:
        compatibility.check_faces(run.start, trained_config, module.fingerprints)
    data = build_data(cfg, faces)
    table, rows, sample = faces.table, faces.splits["train"], faces.sample("train")
    show(*remarks_on_crop(data.crop, sample))
    module.learn_about(data.mean_shape(), sample, table.subjects[rows], table.image_hashes[rows])
    if run.start is None and starts_at_mean_shape(cfg):
        module.model.start_at_mean_shape()
    if cfg.train:
        if trainer.strategy.root_device.type == "cpu":
            keep_memory()  # of batches only: earlier memory is returned to the system
        trainer.fit(module, datamodule=data, ckpt_path=run.start, weights_only=True)
    return trainer, faces, detector


def score(cfg: DictConfig, run: Run, trainer: pl.Trainer, faces: Faces, detector: Detector) -> Path:
    """Score the best epoch on val and test; gives its checkpoint, and stores its scores in `run.values`."""
    from fkd.config.trainer import best_checkpoint, ended_by_time
    from fkd.evaluation.evaluate import Candidate, evaluate
    from fkd.evaluation.report import metrics_table, save_faces, save_figures
    from fkd.inference.torch_net import load_net
    from fkd.training.callbacks import log_hyperparameters

    checkpoint = Path(best_checkpoint(trainer)) if cfg.train else run.start
    assert checkpoint is not None  # without training there is a checkpoint to begin with
    if cfg.train:
        speed = trainer.callback_metrics.get("train/images_per_s")
        run.values["train_images_per_s"] = None if speed is None else round(float(speed), 1)
    net = load_net(checkpoint, str(trainer.strategy.root_device))
    run.values |= {"best": net.scores, "parameters": sum(p.numel() for p in net.model.net.parameters())}
    columns: dict[str, Mapping[str, Any]] = {}
    finals, baseline = {f"best/{name.removeprefix('val/')}": value for name, value in net.scores.items()}, None
    if cfg.test:
        candidate = Candidate.of(net)
        for subset in ("val", "test"):
            scores = evaluate(candidate, faces, subset, cfg.boxes, detector, cfg.data.batch_size)
            columns |= {subset: scores.metrics, f"{subset}, mean face": scores.mean_shape}
        run.values |= {"test": scores.metrics, "mean_shape_nme": scores.mean_shape["nme_interocular"]}
        save_figures(run.folder, scores, faces, "test")
        save_faces(run.folder, scores, faces, "test")
        show(metrics_table(f"boxes={cfg.boxes}, labels as published", columns))
        key = "nme_all" if cfg.boxes == "detector" else "nme_interocular"  # includes missed faces
        finals["test/nme"], baseline = scores.metrics[key], scores.mean_shape[key]
    is_debug = HydraConfig.get().runtime.choices.get("debug") is not None or "limit_train_batches" in cfg.trainer
    warnings = [] if is_debug else warnings_of(run.folder, finals.get("test/nme"), baseline)
    warnings += ended_by_time(trainer) if cfg.train else []
    optimized = cfg.optimized_metric
    run.values |= {
        "warnings": warnings,
        "objective": finals["test/nme"] if optimized == "test/nme" else net.scores[optimized],
    }
    if cfg.overfit is not None:
        show(overfit_verdict(net.scores["val/nme"], len(faces.splits["train"]), net.model.codec.gives))
    log_hyperparameters(trainer.loggers, run.values["settings"], finals)
    return checkpoint


def warnings_of(folder: Path, test_nme: float | None, mean_shape_nme: float | None) -> list[str]:
    """As `training_warnings`; curves that cannot be read are a warning, since the scores do not depend on them."""
    curves, lines = {}, []
    try:
        curves = metrics_csv.read(folder)
    except ValueError as error:
        lines.append(f"metrics.csv: {error}; so the curves were not looked at")
    return [*lines, *training_warnings(curves, test_nme, mean_shape_nme)]


if __name__ == "__main__":
    main()
