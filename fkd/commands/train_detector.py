"""Trains a face detector on whole photos with all their faces, and writes it as ONNX for detector=fkd.

fkd train_detector photos=[DIR,DIR]
fkd train_detector photos=[DIR,DIR] data=udacity data.root=DIR extra_train=synthetic trainer.max_epochs=80
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from fkd.cli.command import command
from fkd.config import checks
from fkd.distributed import importing, keep_memory, share_threads
from fkd.errors import Interrupted, UserError
from fkd.terminal import labelled_lines, show

if TYPE_CHECKING:
    from torch import nn


@command("train_detector")
def main(cfg: DictConfig) -> None:
    checks.check_files(cfg, ("ckpt", "weights", "labels.net"))
    with importing():  # torch and more: without them --help answers at once
        share_threads()
        import pytorch_lightning as pl

        from fkd.config.build_parts import build_detector
        from fkd.config.detector_training import build_loaders, build_photos, check, folders, held_out, with_mistakes
        from fkd.config.instantiate import instantiate
        from fkd.config.trainer import best_checkpoint, build_trainer
        from fkd.detector_training import scores
        from fkd.detector_training.module import DetectorModule
        from fkd.detector_training.onnx_export import program_of, to_onnx
        from fkd.inference.export import check_packages

    steps = check(cfg)
    check_packages()
    folder = Path(cfg.run_dir)
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    trainer = build_trainer(cfg, sweep=False)
    if trainer.world_size > 1:
        raise UserError(f"trainer: expected one process, found {trainer.world_size}; give trainer.devices=1")
    net: nn.Module = instantiate(cfg.model.net, "model.net")
    program_of(net)  # a net that cannot be exported would be of no use after its training
    module = DetectorModule(net, instantiate(cfg.optimizer, "optimizer"))
    if cfg.ckpt is not None:
        module.check_resume(checks.path(cfg, "ckpt"), steps)
    if cfg.weights is not None:
        module.load_weights(checks.path(cfg, "weights"), "weights")
    sets = build_photos(cfg)
    file, score = folder / "faces.onnx", cfg.detector.score
    cfg.detector.update(model=str(file), score=min(score, scores.LEAST[0]))
    if cfg.weights is not None and cfg.mosaics.hard > 0:
        to_onnx(net, file)
        sets = with_mistakes(sets, build_detector(cfg), cfg.seed)
        file.unlink()  # it is not the net that this training makes
    loaders = build_loaders(cfg, sets)
    if trainer.strategy.root_device.type == "cpu":
        keep_memory()
    last = folder / "checkpoints" / "last.ckpt"
    try:
        trainer.fit(module, *loaders, ckpt_path=cfg.ckpt, weights_only=True)
    except Interrupted as error:
        raise Interrupted(f"interrupted; all is saved, the same command with ckpt={last} resumes it") from error

    best = best_checkpoint(trainer)
    module.load_weights(best, "best")
    to_onnx(net.cpu(), file)
    detector = build_detector(cfg)
    photos = zip(folders(cfg), held_out(sets[:-1]), strict=True)
    found = {root: list(scores.look(detector, unknown)) for root, unknown in photos}
    written = scores.write(folder, found, score)
    lines = {
        "parameters": f"{sum(p.numel() for p in net.parameters()):,}",
        "best checkpoint": best,
        "detector": f"detector=fkd detector.model={file}",
        **written,
    }
    show(scores.table(found, score), labelled_lines(lines))


if __name__ == "__main__":
    main()
