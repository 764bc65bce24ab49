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
from fkd.terminal import labelled_lines, show

if TYPE_CHECKING:
    from torch import nn


@command("train_detector")
def main(cfg: DictConfig) -> None:
    checks.check_files(cfg, ("ckpt_path", "labels.net"))
    with importing():  # torch and more: without them --help answers at once
        share_threads()
        import pytorch_lightning as pl

        from fkd.config.build_parts import build_detector
        from fkd.config.detector_training import build_loaders, build_photos, held_out
        from fkd.config.instantiate import instantiate
        from fkd.config.trainer import best_checkpoint, build_trainer
        from fkd.detector_training import scores
        from fkd.detector_training.module import DetectorModule
        from fkd.detector_training.onnx_export import to_onnx
        from fkd.inference.export import check_packages

    check_packages()
    folder = Path(cfg.run_dir)
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    trainer = build_trainer(cfg, sweep=False)
    net: nn.Module = instantiate(cfg.model.net, "model.net")
    module = DetectorModule(net, instantiate(cfg.optimizer, "optimizer"))
    sets = build_photos(cfg)
    loaders = build_loaders(cfg, sets)
    if trainer.strategy.root_device.type == "cpu":
        keep_memory()
    trainer.fit(module, *loaders, ckpt_path=cfg.ckpt_path, weights_only=True)

    best = best_checkpoint(trainer)
    module.load_best(best)
    file = folder / "faces.onnx"
    to_onnx(net.cpu(), file)
    cfg.detector.model = str(file)
    detector = build_detector(cfg)
    found = {root: list(scores.look(detector, photos)) for root, photos in zip(cfg.photos, held_out(sets), strict=True)}
    written = scores.write(folder, found, cfg.detector.score)
    lines = {
        "parameters": f"{sum(p.numel() for p in net.parameters()):,}",
        "best checkpoint": best,
        "detector": f"detector=fkd detector.model={file}",
        **written,
    }
    show(scores.table(found, cfg.detector.score), labelled_lines(lines))


if __name__ == "__main__":
    main()
