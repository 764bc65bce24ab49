"""Checkpoints: what they hold, that they are enough, and that a hostile or broken one is refused in one line."""

import pickle
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from fkd.checkpoint import check_paths, check_trusted
from fkd.config.build_module import build_module
from fkd.config.build_parts import build_crop, build_schema, remarks_on_boxes, remarks_on_crop
from fkd.config.faces import build_faces
from fkd.config.initial_weights import initialise
from fkd.config.instantiate import check_call, instantiate
from fkd.data.crop_plans import FaceCrop, FrameCrop
from fkd.errors import UserError
from fkd.geometry import Jitter
from fkd.inference.torch_net import load_net
from fkd.schema import IBUG68
from fkd.training.runs import compatibility
from tests.config.test_conf import SMALL, compose
from tests.training.test_module import fit


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """The content of a best.ckpt for an untrained net."""
    cfg = compose("model=compact", *SMALL)
    torch.manual_seed(1)
    module = build_module(cfg)
    path = tmp_path / "best.ckpt"
    content = {
        "config": compatibility.plain(cfg),
        "state_dict": module.state_dict(),
        "scores": {"epoch": 3},
        "subjects": [],
    }
    torch.save(content, path)
    return path


def changed(path: Path, change: Any) -> Path:
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)
    return path


def test_a_checkpoint_alone_gives_the_same_keypoints(checkpoint: Path) -> None:
    torch.manual_seed(1)
    module = build_module(compose("model=compact", *SMALL)).eval()
    loaded = load_net(checkpoint)
    images = torch.randint(0, 256, (3, 1, 32, 32), dtype=torch.uint8)
    assert torch.equal(loaded.model(images), module(images))
    assert not loaded.model.training


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "fkd.inference.torch_net.torch.hub.load",  # a trusted name that leads to an untrusted module
        "fkd.cli.command.os.system",
        "fkd.io.images.write",  # at home in fkd, but neither a class nor of a trusted package
        "fkd.data.cache.ImageCache",
        "torchvision.models._api.WeightsEnum.get_state_dict",  # downloads and unpickles
        "torchvision.models._api.Weights",
        "torchvision.models.get_model",
        "torch.nn.parallel.DistributedDataParallel",
        "torch.nn.utils.prune.torch.load",
        "torch.nn.Nonsense",
        "torch.nnsense.Linear",
        "builtins.eval",
        17,
    ],
)
def test_targets_outside_the_trusted_classes_are_refused_before_they_are_called(
    checkpoint: Path, target: object
) -> None:
    def change(content: dict[str, Any]) -> None:
        content["config"]["model"]["net"] = {"_target_": "torch.nn.Sequential", "_args_": [{"_target_": target}]}

    with pytest.raises(UserError, match=r"best\.ckpt: expected classes of fkd.*found _target_"):
        load_net(changed(checkpoint, change))


@pytest.mark.parametrize(
    "node",
    [
        "${oc.create:{_target_:os.system,command:true}}",
        {"_target_": "torch.nn.Identity", "x": "${oc.env:HOME}"},
        {"_target_": "torchvision.models.resnet18", "weights": "DEFAULT"},
        {"_target_": "torchvision.models.resnet18", "pretrained": True},
        {"_target_": "torchvision.models.resnet18", "_args_": ["DEFAULT"]},
        {"_target_": "torch.nn.Sequential", "_args_": [[{"_target_": "os.getcwd"}]]},
    ],
    ids=["created config", "environment", "download", "old download", "plain download", "nested"],
)
def test_configs_that_would_become_more_when_resolved_are_refused(checkpoint: Path, node: object) -> None:
    def change(content: dict[str, Any]) -> None:
        content["config"]["model"]["net"] = {"_target_": "torch.nn.Sequential", "_args_": [node]}

    with pytest.raises(UserError, match=r"best\.ckpt: expected (classes|plain values)"):
        load_net(changed(checkpoint, change))


def test_classes_of_fkd_and_torch_and_networks_of_torchvision_are_trusted() -> None:
    trusted = ("fkd.models.compact.Compact", "torch.nn.Conv2d", "fkd.codecs.Coordinates", "torchvision.models.resnet18")
    check_trusted([{"_target_": target} for target in trusted], "here")


@pytest.mark.parametrize("change", [("size", "big"), ("size", None), ("plan", None)])
def test_a_spoilt_crop_is_refused(checkpoint: Path, change: tuple[str, object]) -> None:
    def spoil(content: dict[str, Any]) -> None:
        content["config"]["crop"][change[0]] = change[1]

    with pytest.raises(UserError, match=r"best\.ckpt: "):
        load_net(changed(checkpoint, spoil))


def test_the_crops_targets_are_checked_too(checkpoint: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["config"]["crop"]["plan"]["_target_"] = "os.system"

    with pytest.raises(UserError, match=r"os\.system"):
        load_net(changed(checkpoint, change))


@pytest.mark.parametrize("path", ["local:///victim", "memory://a", "simplecache::file:///a", "/runs/../../victim"])
def test_states_of_callbacks_that_would_delete_elsewhere_are_refused(path: str) -> None:
    """Lightning deletes the checkpoint that a new best one replaces, and takes its name from the file."""
    with pytest.raises(UserError, match="expected plain paths"):
        check_paths({"ModelCheckpoint{'monitor': 'val/loss'}": {"best_k_models": {path: 1.0}}}, "here")
    check_paths(
        {"ModelCheckpoint{'monitor': 'val/loss'}": {"best_model_path": "/runs/a/best.ckpt", "x": [1.0, None]}}, "here"
    )


class Bomb:
    def __reduce__(self) -> Any:
        return (print, ("boom",))


@pytest.mark.parametrize(
    "content",
    [b"", b"not a checkpoint at all", pickle.dumps({"config": 1}), pickle.dumps(Bomb())],
    ids=["empty", "text", "pickle", "code"],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.ckpt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"other\.ckpt: expected a checkpoint of fkd"):
        load_net(path)
    assert "boom" not in capsys.readouterr().out


def test_a_truncated_checkpoint_is_refused(checkpoint: Path) -> None:
    whole = checkpoint.read_bytes()
    for size in (100, len(whole) // 2, len(whole) - 30):
        checkpoint.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"best\.ckpt: expected a checkpoint of fkd.*truncated"):
            load_net(checkpoint)


def test_a_missing_checkpoint_is_named() -> None:
    with pytest.raises(UserError, match=r"ckpt=gone/best\.ckpt: .*no such file"):
        load_net("gone/best.ckpt")


@pytest.mark.parametrize(
    "content", [{"state_dict": {}}, [1, 2], {"config": {}, "state_dict": {}}, {"config": 3, "state_dict": {}}]
)
def test_a_file_of_tensors_that_is_no_checkpoint_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(UserError, match=r"other\.ckpt: expected"):
        load_net(tmp_path / "other.ckpt")


def test_weights_of_another_net_are_refused(checkpoint: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["config"]["model"]["net"]["widths"] = [16, 32, 64]

    with pytest.raises(UserError, match=r"best\.ckpt: expected a config and fitting weights.*size mismatch"):
        load_net(changed(checkpoint, change))


def test_another_number_of_points_is_refused(checkpoint: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["config"]["model"]["net"]["keypoints"] = 15

    with pytest.raises(UserError, match=r"best\.ckpt: .*\(1, 68, 2\) for 68 points.*\(1, 30\)"):
        load_net(changed(checkpoint, change))


class HeatmapLoss(nn.Module):
    compares = "heatmaps"

    def forward(self, raw: torch.Tensor, target: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        return raw.mean()


class Maps(nn.Module):
    """A user's net in a file of its own below fkd/models."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.new_zeros(len(image), 68, 24, 24)


def test_a_loss_that_does_not_fit_the_codec_is_refused_by_both_names() -> None:
    cfg = compose("model=compact", *SMALL)
    cfg.loss = {"_target_": "tests.config.test_build_module.HeatmapLoss"}
    with pytest.raises(
        UserError, match=r"model=compact with loss=HeatmapLoss: the loss compares heatmaps.*coordinates"
    ):
        build_module(cfg)


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            ["model=heatmap"],
            "model=heatmap with loss=l1: the loss compares coordinates, but this model's codec gives heatmaps; choose "
            "loss=adaptive_wing, loss=heatmap_mse, experiment=face/heatmap or another model",
        ),
        (["model=simcc", "loss=wing"], "loss=wing: .* gives bins; choose loss=simcc_kl, experiment=face/simcc or "),
        (
            ["model=simple", "loss=simcc_kl"],
            "loss=simcc_kl: .*; choose loss=interval, loss=l1, .*, loss=wing or another",
        ),
    ],
)
def test_the_losses_that_fit_a_model_are_named(overrides: list[str], line: str) -> None:
    with pytest.raises(UserError, match=line):
        build_module(compose(*overrides, "crop.size=64"))


@pytest.mark.parametrize(
    ("overrides", "fused"),
    [
        (["trainer.precision=16-mixed"], False),
        (["trainer.precision=16"], False),
        (["trainer.precision=16-mixed", "trainer.gradient_clip_val=null"], True),
        (["trainer.precision=bf16-mixed"], True),
    ],
)
def test_an_optimizer_is_fused_unless_float16_gradients_must_be_unscaled_and_clipped(
    overrides: list[str], fused: bool
) -> None:
    module = build_module(compose(*SMALL, *overrides))
    assert module.objective.optimizer_of(module.model.net).defaults["fused"] is fused


def test_a_net_whose_output_does_not_fit_is_refused_with_both_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = compose("model=compact", *SMALL)
    own = types.ModuleType("fkd.models.own")
    own.Maps = type("Maps", (Maps,), {"__module__": "fkd.models.own"})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "fkd.models.own", own)
    monkeypatch.setattr("fkd.models.own", own, raising=False)
    cfg.model.net = {"_target_": "fkd.models.own.Maps"}
    with pytest.raises(
        UserError, match=r"model=compact: expected output of shape \(1, 68, 2\).*found \(1, 68, 24, 24\)"
    ):
        build_module(cfg)


def test_a_model_whose_checkpoint_could_not_be_loaded_is_refused_before_training() -> None:
    cfg = compose("model=compact", *SMALL)
    cfg.model.net = {"_target_": "tests.config.test_build_module.Maps"}
    with pytest.raises(UserError, match=r"model=compact: .*tests\.config\.test_build_module\.Maps.*trusted="):
        build_module(cfg)


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            ["model=simple", "+model.heatmaps={weight: 1, sigma: 1}", "crop.size=64"],
            "model.heatmaps: expected null, .*model=simple",
        ),
        (["model=compact", "model.heatmaps.sigma=0"], "model.heatmaps.sigma: expected a number from 0.1 on, found 0"),
        (["model=compact", "model.heatmaps.weight=-1"], "model.heatmaps.weight: expected a number from 0 on, found -1"),
    ],
)
def test_heatmaps_that_cannot_be_trained_are_refused(overrides: list[str], line: str) -> None:
    with pytest.raises(UserError, match=line):
        build_module(compose(*SMALL, *overrides))


def test_heatmaps_are_left_alone_if_one_wishes() -> None:
    assert build_module(compose("model=compact", "model.heatmaps=null", *SMALL)).objective.heatmap_loss is None


def test_frozen_statistics_stay_as_they_are_while_maps_are_trained(tmp_path: Path) -> None:
    module = build_module(compose("model=compact", "+model.frozen=[stem]", "scheduler=none", "crop.size=64"))
    before = {name: value.clone() for name, value in module.model.net.stem.state_dict().items()}
    fit(module, tmp_path, epochs=1)
    after = module.model.net.stem.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def teacher(path: Path, *overrides: str) -> str:
    """The file of an untrained net that knows Ada and the images 5 and 2^64 - 1."""
    cfg = compose("model=compact", *SMALL, *overrides)
    module = build_module(cfg)
    content = {"config": compatibility.plain(cfg), "state_dict": module.state_dict(), "scores": {}, "subjects": ["Ada"]}
    content["image_hashes"] = torch.tensor([5, -1])
    torch.save(content, path / "teacher.ckpt")
    return f"distill.teacher={path / 'teacher.ckpt'}"


@pytest.mark.parametrize(
    ("scores", "said"), [({"epoch": 7, "val/nme": 5.318}, "epoch 7, val/nme 5.32 %"), ({}, "unknown val/nme")]
)
def test_what_a_net_had_reached_that_others_learn_from_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], scores: dict[str, float], said: str
) -> None:
    distill = teacher(tmp_path)
    path = changed(tmp_path / "teacher.ckpt", lambda content: content.update(scores=scores))
    cfg = compose("distill=default", distill, f"weights={path}", *SMALL)
    initialise(build_module(cfg), cfg)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("): ")[0].rstrip(")") for line in lines] == [
        f"{key}: {path} (data=synthetic, {said}" for key in ("distill.teacher", "weights")
    ]


def test_what_a_teacher_knows_is_known_to_its_pupil(tmp_path: Path) -> None:
    module = build_module(compose("distill=default", teacher(tmp_path, "crop.size=64"), *SMALL))
    assert module.subjects == ["Ada"]
    assert module.image_hashes.tolist() == [5, 2**64 - 1]


def test_what_a_net_was_trained_on_adds_up(tmp_path: Path) -> None:
    """Of a file that kept no hashes it stays known that some are not."""
    teacher(tmp_path)
    path = tmp_path / "teacher.ckpt"
    cfg = compose(f"weights={path}", *SMALL)
    module = build_module(cfg)
    shape = np.random.default_rng(0).random((2, 68, 2), np.float32)
    module.learn_about(shape[0], shape, ["Bob"], np.array([7, 5, 7], np.uint64))
    assert (module.subjects, module.image_hashes.tolist()) == (["Bob"], [5, 7])
    initialise(module, cfg)
    assert (module.subjects, module.image_hashes.tolist()) == (["Ada", "Bob"], [5, 7, 2**64 - 1])
    changed(path, lambda content: content.pop("image_hashes"))
    initialise(module, cfg)
    assert module.image_hashes.tolist() == [0, 5, 7, 2**64 - 1]
    assert module.image_hashes.dtype == np.uint64
    assert load_net(path).image_hashes.tolist() == [0]


@pytest.mark.parametrize("hashes", [[1, 2], "1", torch.zeros(2), torch.zeros((2, 2), dtype=torch.int64)])
def test_hashes_of_another_kind_are_no_checkpoint(checkpoint: Path, hashes: Any) -> None:
    with pytest.raises(UserError, match=r"expected a checkpoint of fkd with .* found a file of another kind"):
        load_net(changed(checkpoint, lambda content: content.update(image_hashes=hashes)))


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["crop=frame"], "distill.teacher=.*: expected a net with crop=face, found frame"),
        (["crop.plan.scale=2"], "distill.teacher=.*: expected a net with crop.plan.scale=1.35, found 2"),
        (["data.label_shift=false"], "data.label_shift=True: expected False"),
        (["channels=3"], "distill.teacher=.*: expected a net with channels=1, found 3"),
        (["schema=wflw98"], "distill.teacher=.*: expected a net with schema=ibug68, found wflw98"),
    ],
)
def test_a_teacher_of_other_windows_or_labels_is_refused(tmp_path: Path, overrides: list[str], line: str) -> None:
    udacity = ("data=udacity", "data.root=faces")
    with pytest.raises(UserError, match=line):
        build_module(compose("distill=default", teacher(tmp_path, *udacity, *overrides), *udacity, *SMALL))


class Cutter:
    def __init__(self, size: int, *, names: list[str], fold: object = None) -> None:
        pass


CUTTER = {"_target_": "tests.config.test_build_module.Cutter"}
NEEDS = f"which {CUTTER['_target_']} needs, found none; add it to its YAML file"


@pytest.mark.parametrize("as_config", [dict, OmegaConf.create])
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({}, f"part: expected size, {NEEDS}"),
        ({"size": 3}, f"part: expected names, {NEEDS}"),
        ({"sizes": 3, "names": []}, f"part.sizes: {CUTTER['_target_']} takes no such argument; did you mean size?"),
        ({"wight": 3}, f"part.wight: {CUTTER['_target_']} takes no such argument; it takes size, names, fold"),
        ({"size": 3, "names": [], "fold": {"inner": CUTTER}}, f"part.fold.inner: expected size, {NEEDS}"),
        (
            {"size": 3, "names": [], "fold": {"inner": {**CUTTER, "size": 1, "names": [], "nme": 1}}},
            "part.fold.inner.nme",
        ),
    ],
)
def test_a_wrong_argument_is_named_with_its_key_and_class(
    as_config: Callable[[object], object], arguments: dict[str, object], line: str
) -> None:
    with pytest.raises(UserError) as error:
        instantiate(as_config({**CUTTER, **arguments}), "part")
    assert str(error.value).startswith(line)
    with pytest.raises(UserError) as error:  # as a group of a whole config
        instantiate(OmegaConf.create({"part": {**CUTTER, **arguments}})["part"], "part")
    assert str(error.value).startswith(line)


def test_a_function_that_is_called_later_has_its_arguments_checked() -> None:
    made = instantiate({**CUTTER, "size": 3}, "data.source", _partial_=True)
    with pytest.raises(UserError, match=f"^data.source: expected names, {NEEDS}$"):
        check_call(made, CUTTER, "data.source")
    made = instantiate({**CUTTER, "siize": 3}, "data.source", _partial_=True)
    with pytest.raises(UserError, match=r"^data\.source\.siize: .* takes no such argument; did you mean size"):
        check_call(made, CUTTER, "data.source")


class Buggy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.nothing.strip()


class BuggyLoss:
    def __init__(self, weight: float) -> None:
        self.weight = weight + "1" if weight > 0 else torch.nn.Conv2d(1, 2, 3, groups=5)  # type: ignore[operator]


@pytest.mark.parametrize(("weight", "kind"), [(1.0, TypeError), (0.0, ValueError)])
def test_a_bug_in_a_users_class_keeps_its_traceback(weight: float, kind: type[Exception]) -> None:
    target = {"_target_": "tests.config.test_build_module.BuggyLoss"}
    with pytest.raises(kind):
        instantiate({**target, "weight": weight}, "loss")
    with pytest.raises(UserError, match=r"loss: .*in_channels must be divisible by groups"):
        instantiate(
            {"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 2, "kernel_size": 3, "groups": 5}, "loss"
        )


def test_a_bug_in_a_users_model_is_not_called_a_wrong_config() -> None:
    """Its traceback is what the author needs."""
    with pytest.raises(AttributeError, match="nothing"):
        instantiate({"_target_": "tests.config.test_build_module.Buggy"}, "model.net")
    with pytest.raises(UserError, match=r"^model\.net\.depth: .*Buggy takes no such argument; it takes none"):
        instantiate({"_target_": "tests.config.test_build_module.Buggy", "depth": 3}, "model.net")
    with pytest.raises(UserError, match=r"model\.net: .*Bugy"):
        instantiate({"_target_": "tests.config.test_build_module.Bugy"}, "model.net")


@pytest.mark.parametrize("key", ["detector._target_", "detector.correction._target_"])
def test_a_detector_that_no_checkpoint_could_name_is_refused_before_training(key: str) -> None:
    line = (
        rf"^{key.removesuffix('._target_')}: expected one of .*, found mine\.Detector, which a checkpoint may not name"
    )
    with pytest.raises(UserError, match=line):
        build_module(compose(f"{key}=mine.Detector", *SMALL))


@pytest.mark.parametrize("name", ["haar", "centerface", "whole_image", "yunet", "boxes"])
def test_every_detector_of_fkd_may_be_trained_for(name: str) -> None:
    build_module(compose(f"detector={name}", "detector.file=x" if name == "boxes" else "seed=0", *SMALL))


def test_a_detector_whose_boxes_are_guessed_is_said_to_be() -> None:
    for schema in (IBUG68, build_schema(compose("schema=wflw98"))):
        (line,) = remarks_on_boxes("yunet", schema)
        assert "a guess, not measured" in line
    assert remarks_on_boxes("haar", IBUG68) == ()


def test_points_that_the_crop_cuts_off_are_counted_and_a_wider_crop_is_named() -> None:
    """Against a plain loop with other random numbers."""
    rng = np.random.default_rng(0)
    five = np.array([[35, 40], [65, 40], [50, 60], [38, 78], [62, 78]])
    faces = [five + rng.normal(0, 1.5, (5, 2)) for _ in range(4000)]

    def outside(scale: float) -> float:
        count = 0
        for face in faces:
            width, x, y = rng.normal(size=3).clip(-2.5, 2.5) * [0.1, 0.2, 0.08]
            side = (face.max(axis=0) - face.min(axis=0)).max()
            middle = (face.max(axis=0) + face.min(axis=0)) / 2 + side * np.array([x, y])
            count += (np.abs(face - middle).max(axis=1) > scale * side * (1 + width) / 2).sum()
        return count / (5 * len(faces))

    plan = FaceCrop(96, 1.35, Jitter(0.1, 0.2, 0.08))
    (line,) = remarks_on_crop(plan, np.float32(faces))
    said = re.fullmatch(r"crop.plan.scale=1.35: .* jitter (\d+)% of .*; crop.plan.scale=(\d\.\d) holds 99.9 %", line)
    assert said is not None, line
    assert int(said[1]) / 100 == pytest.approx(outside(1.35), abs=0.01)
    assert outside(float(said[2])) < 0.002 < outside(float(said[2]) - 0.2)
    assert remarks_on_crop(FaceCrop(96, float(said[2]), plan.jitter), np.float32(faces)) == ()
    assert remarks_on_crop(FaceCrop(96, 1.35, Jitter(0.065, 0.028, 0.029)), np.float32(faces)) == ()
    assert remarks_on_crop(FrameCrop(224, 250, 2.04, 0.0), np.float32(faces)) == ()


def test_synthetic_faces_are_not_cut_off_by_the_default_crop(tmp_path: Path) -> None:
    cfg = compose("data=synthetic", "data.subjects=20", "data.frames=2", "data.size=96", f"data.root={tmp_path}")
    assert remarks_on_crop(build_crop(cfg.crop), build_faces(cfg).sample("train")) == ()
