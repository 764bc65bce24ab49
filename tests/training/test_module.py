"""Training, validation and checkpoints of the module with a Lightning trainer on made-up faces."""

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torchmetrics import MeanMetric

from fkd.codecs import Coordinates, Heatmaps
from fkd.data.crop_plans import FaceCrop
from fkd.data.dataset import CropDataset, as_it_is
from fkd.geometry import Crop, Jitter
from fkd.losses import L1, heatmap_kl
from fkd.models.error_model import ErrorModel
from fkd.models.keypoint_net import KeypointNet
from fkd.schema import IBUG68
from fkd.training.module import KeypointModule, inverse_points
from fkd.training.objective import HeatmapLoss, Objective, Schedule, Teacher
from tests.data.test_dataset import dataset

SIZE = 64


def make(schedule: Schedule | None = None) -> KeypointModule:
    torch.manual_seed(0)
    net = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(64, 136))
    objective = Objective(L1(), lambda parameters: torch.optim.SGD(parameters, lr=0.5), schedule)
    model = KeypointNet(net, Coordinates(31.5, 32), IBUG68, SIZE, 1)
    return KeypointModule(model, objective, {"trainer": {"max_epochs": 3}})


def fit(
    module: KeypointModule,
    folder: Path,
    epochs: int = 3,
    start: Path | None = None,
    callbacks: Sequence[pl.Callback] = (),
) -> pl.Trainer:
    data = dataset(augmented=False)
    loader = torch.utils.data.DataLoader(data, batch_size=3, collate_fn=as_it_is)
    trainer = pl.Trainer(
        default_root_dir=folder,
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=bool(callbacks),
        callbacks=[*callbacks],
        num_sanity_val_steps=0,
    )
    trainer.fit(module, loader, loader, ckpt_path=start, weights_only=start is not None)
    return trainer


def test_validation_nme_is_that_of_a_plain_loop_with_the_shift_put_back(tmp_path: Path) -> None:
    data = shifted_dataset()
    module = make().eval()
    loader = torch.utils.data.DataLoader(data, batch_size=4, collate_fn=as_it_is)
    trainer = pl.Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    logged = trainer.validate(module, loader, verbose=False)[0]
    errors, jaw = [], []
    for row in range(len(data)):
        item, truth = data.__getitems__([row]), data.table.keypoints[row].astype(float)
        found = module(item.image)[0].detach().numpy().astype(float)
        scale, left, top = item.matrix[0, 0, 0].item(), item.matrix[0, 0, 2].item(), item.matrix[0, 1, 2].item()
        photo = np.stack([(found[:, 0] - left) / scale, (found[:, 1] - top) / scale], axis=1)
        photo[:, 0] += 0.2 + 0.0274 * math.dist(photo[36], photo[45])
        truth[:, 0] += 0.2 + 0.0274 * math.dist(truth[36], truth[45])
        seen = item.visible[0].numpy()
        distances = np.linalg.norm(photo - truth, axis=1) / math.dist(truth[36], truth[45])
        errors.append(distances[seen].mean())
        jaw += distances[:17][seen[:17]].tolist()
    assert logged["val/nme"] == pytest.approx(100 * np.mean(errors), rel=1e-3)
    assert logged["val/nme_part/jaw"] == pytest.approx(100 * np.mean(jaw), rel=1e-3)


def weighed(batch_size: int, folder: Path, hidden: bool) -> tuple[float, list[tuple[float, int]], float]:
    """`val/loss`, the loss of each batch with its number of faces, and the mean over all visible points."""
    data, module = dataset(augmented=False), make().eval()
    data.table.visible[:] = True
    data.table.visible[:4, 5:] = not hidden
    loader = torch.utils.data.DataLoader(data, batch_size=batch_size, collate_fn=as_it_is)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    logged = pl.Trainer(default_root_dir=folder, accelerator="cpu", **quiet).validate(module, loader, verbose=False)[0]
    batches = [(module._loss(module.model.raw(batch.image), batch).item(), len(batch.image)) for batch in loader]
    whole = data.__getitems__(range(len(data)))
    errors = (module(whole.image) - whole.keypoints).abs()[whole.visible] / 32
    return logged["val/loss"], batches, errors.mean().item()


@pytest.mark.parametrize("batch_size", [1, 4, 6])
def test_the_loss_of_an_epoch_is_a_mean_over_its_visible_points_whatever_the_batch(
    batch_size: int, tmp_path: Path
) -> None:
    loss, _, expected = weighed(batch_size, tmp_path, hidden=True)
    assert loss == pytest.approx(expected, rel=1e-5)


def test_where_all_points_are_visible_batches_count_as_many_as_they_have_faces(tmp_path: Path) -> None:
    loss, batches, _ = weighed(4, tmp_path, hidden=False)
    by_faces = MeanMetric()
    for value, faces in batches:
        by_faces.update(value, faces)
    assert loss == by_faces.compute().item()  # to the bit


def test_the_training_loss_is_weighed_alike(tmp_path: Path) -> None:
    """With a learning rate of 0 it is the mean over all visible points."""
    module, data = make(), dataset(augmented=False)
    module.objective = Objective(L1(), lambda parameters: torch.optim.SGD(parameters, lr=0.0), None)
    data.table.visible[:4, 5:] = False
    loader = torch.utils.data.DataLoader(data, batch_size=4, collate_fn=as_it_is)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(
        default_root_dir=tmp_path, max_epochs=1, accelerator="cpu", enable_checkpointing=False, **quiet
    )
    trainer.fit(module, loader)
    whole = data.__getitems__(range(len(data)))
    expected = (module(whole.image) - whole.keypoints).abs()[whole.visible].mean() / 32
    assert trainer.callback_metrics["train/loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def shifted_dataset() -> CropDataset:
    data = dataset(augmented=False)
    data.table.label_shift[:] = [0.2, 0.0274]
    data.boxes = FaceCrop(SIZE, 1.3, Jitter(0.1, 0.1, 0.1)).validation
    return data


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    module = make()
    first = fit(module, tmp_path, epochs=1).callback_metrics["train/loss"]
    last = fit(module, tmp_path, epochs=40).callback_metrics["train/loss"]
    assert last < 0.8 * first


def test_a_schedule_gets_the_number_of_all_steps_and_steps_each_batch(tmp_path: Path) -> None:
    lengths = []

    def linear(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
        lengths.append(steps)
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)

    trainer = fit(make(Schedule(linear, "step", "steps", None)), tmp_path)
    assert lengths == [6]  # 3 epochs of 2 batches
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.0)


def test_a_checkpoint_says_what_its_epoch_scored_and_holds_plain_data_only(tmp_path: Path) -> None:
    module = make()
    trainer = fit(module, tmp_path)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    content = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert content["config"] == {"trainer": {"max_epochs": 3}}
    assert content["scores"]["val/nme"] == pytest.approx(float(trainer.callback_metrics["val/nme"]))


def test_images_are_scaled_to_the_unit_interval_inside_the_net() -> None:
    class Highest(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image.amax(dim=(1, 2, 3)).view(-1, 1, 1).expand(-1, 68, 2)

    model = KeypointNet(Highest(), Coordinates(0, 1), IBUG68, SIZE, 1)
    images = torch.stack([torch.zeros(1, SIZE, SIZE), torch.full((1, SIZE, SIZE), 255)]).to(torch.uint8)
    assert model(images)[:, 0, 0].tolist() == [0.0, 1.0]


def test_a_batch_goes_back_to_photo_pixels_as_each_crop_does() -> None:
    boxes = [np.array([i, 2 * i, i + 30, 2 * i + 30], np.float32) for i in range(5)]
    points = np.random.default_rng(0).uniform(0, 64, (5, 68, 2)).astype(np.float32)
    crops = [Crop.from_box(box, 64) for box in boxes]
    found = inverse_points(torch.from_numpy(points), torch.from_numpy(np.stack([crop.matrix for crop in crops])))
    expected = np.stack([crop.inverse_points(p) for crop, p in zip(crops, points, strict=True)])
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-3)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_are_clipped_with_fused_optimizers_too(tmp_path: Path, precision: str) -> None:
    module = make()
    module.objective = Objective(L1(), lambda parameters: torch.optim.SGD(parameters, lr=1.0, fused=True), None)
    before = torch.cat([p.detach().flatten() for p in module.parameters()])
    loader = torch.utils.data.DataLoader(dataset(augmented=False), batch_size=6, collate_fn=as_it_is)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    settings = {"gradient_clip_val": 1e-3, "precision": precision, "max_epochs": 1, "accelerator": "cpu"}
    pl.Trainer(default_root_dir=tmp_path, enable_checkpointing=False, **settings, **quiet).fit(module, loader)
    moved = torch.cat([p.detach().flatten() for p in module.parameters()]) - before
    assert moved.norm().item() == pytest.approx(1e-3, rel=1e-2)  # one step of the clipped gradient


def test_a_training_computes_as_it_is_told_whatever_its_checkpoint_did(tmp_path: Path) -> None:
    """Weights that a plain optimizer has trained are trained further by a fused one, and end where both would."""
    ends = []
    for fused in (False, True):
        module = make()
        module.objective = Objective(L1(), partial(torch.optim.Adam, lr=0.01, fused=False), None)
        fit(module, tmp_path, epochs=1).save_checkpoint(tmp_path / "last.ckpt")
        module.objective = Objective(L1(), partial(torch.optim.Adam, lr=0.01, fused=fused), None)
        trainer = fit(module, tmp_path, epochs=3, start=tmp_path / "last.ckpt")
        assert trainer.optimizers[0].param_groups[0]["fused"] is fused
        ends.append(torch.cat([p.detach().flatten() for p in module.parameters()]))
    torch.testing.assert_close(*ends)


def taught(weight: float, size: int = SIZE) -> tuple[KeypointModule, KeypointNet]:
    """A net and its teacher, whose crops are `size` pixels wide."""
    torch.manual_seed(1)
    net = nn.Sequential(nn.AdaptiveAvgPool2d(8), nn.Flatten(), nn.Linear(64, 136))
    teacher = KeypointNet(net, Coordinates((size - 1) / 2, size / 2), IBUG68, size, 1).eval()
    module = make()
    module.objective = replace(module.objective, teacher=Teacher(teacher, teacher.size, weight))
    return module, teacher


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_a_teachers_answers_have_their_share_in_the_loss(weight: float) -> None:
    module, teacher = taught(weight)
    batch = dataset(augmented=False).__getitems__([0, 1, 2])
    visible = batch.visible.numpy()
    found, answers = (net(batch.image).detach().numpy() for net in (module, teacher))
    of_labels = np.abs(found - batch.keypoints.numpy())[visible].mean() / 32
    of_answers = np.abs(found - answers).mean() / 32  # invisible points, too: the teacher sees them
    expected = (1 - weight) * of_labels + weight * of_answers
    total, own = module.training_loss(batch)
    assert total.item() == pytest.approx(expected, rel=1e-5)
    assert own.item() == pytest.approx(of_labels, rel=1e-5)


def test_a_teacher_of_larger_crops_answers_in_the_pupils_pixels() -> None:
    _, teacher = taught(1.0, size=128)
    smooth = np.add.outer(np.arange(SIZE), 2 * np.arange(SIZE)).astype(np.uint8)  # stays itself when enlarged
    batch = torch.from_numpy(smooth)[None, None]
    found = Teacher(teacher, teacher.size, 1.0)(batch)
    enlarged = torch.from_numpy(cv2.resize(smooth, (128, 128), interpolation=cv2.INTER_LINEAR))[None, None]
    torch.testing.assert_close(found, (teacher(enlarged).detach() + 0.5) / 2 - 0.5, atol=0.05, rtol=0)


def test_a_copy_of_the_pupil_has_the_same_teacher() -> None:
    module, teacher = taught(0.5)
    assert copy.deepcopy(module).objective.teacher.net is teacher  # type: ignore[union-attr]


def test_a_teacher_is_in_no_checkpoint_and_does_not_learn(tmp_path: Path) -> None:
    module, teacher = taught(0.5)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    trainer = fit(module, tmp_path, epochs=1)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    kept = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert set(kept["state_dict"]) == set(make().state_dict())
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


class WithMaps(nn.Module):
    """Coordinates that are a linear function of maps."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Conv2d(1, 68, 8, stride=8)
        self.read = nn.Linear(64, 2)

    def with_heatmaps(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps = self.maps(image)
        return self.read(maps.flatten(2)), maps

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.with_heatmaps(image)[0]


@pytest.mark.parametrize("taught", [False, True])
def test_maps_are_trained_beside_coordinates_where_points_lie_on_the_crop(taught: bool) -> None:
    torch.manual_seed(0)
    module, codec = make(), Heatmaps(SIZE, 8, 1.0, "dark")
    module.model.net = WithMaps()
    teacher = Teacher(make().model.eval(), SIZE, 0.25) if taught else None
    module.objective = replace(module.objective, heatmap_loss=HeatmapLoss(0.3, 1.0), teacher=teacher)  # type: ignore[type-var]
    batch = dataset(augmented=False).__getitems__([0, 1, 2])
    batch.keypoints[0, 5] = torch.tensor([70.0, 20.0])  # right of the crop
    total, own = module.training_loss(batch)
    assert own.item() == pytest.approx(module._loss(module.model.raw(batch.image), batch).item(), rel=1e-6)

    _, maps = module.model.net.with_heatmaps(batch.image.float() / 255)
    on_the_crop = [[all(0 <= round(v) < SIZE for v in point) for point in face] for face in batch.keypoints.tolist()]
    assert not on_the_crop[0][5]
    visible = batch.visible & torch.tensor(on_the_crop)
    of_labels = own + 0.3 * heatmap_kl(maps, codec.encode(batch.keypoints), visible)
    if not taught:
        assert total.item() == pytest.approx(of_labels.item(), rel=1e-5)
        return
    answers = batch._replace(keypoints=teacher(batch.image), visible=torch.ones_like(batch.visible))  # type: ignore[misc]
    inside = ((answers.keypoints > -0.5) & (answers.keypoints < SIZE - 0.5)).all(dim=-1)
    of_answers = module._loss(module.model.raw(batch.image), answers)
    of_answers = of_answers + 0.3 * heatmap_kl(maps, codec.encode(answers.keypoints), inside)
    assert total.item() == pytest.approx((0.75 * of_labels + 0.25 * of_answers).item(), rel=1e-5)


def test_subjects_of_a_checkpoint_and_of_the_data_add_up() -> None:
    """A resumed run may split otherwise: its test must know all that either part was trained on."""
    module, mean = make(), np.zeros((68, 2), np.float32)
    module.learn_about(mean, np.random.default_rng(0).random((9, 68, 2)), ["Ada", "Eve"])
    module.on_load_checkpoint({"subjects": ["Bob", "Eve"]})
    assert module.subjects == ["Ada", "Bob", "Eve"]


class MapsOfEachImage(nn.Module):
    """Coordinates that a layer learns, and heatmaps of other sizes on each image."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 136)

    def with_heatmaps(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        small = nn.functional.adaptive_avg_pool2d(image, 8)
        maps = small * torch.linspace(1, 60, 68)[:, None, None]
        return self.layer(small.flatten(1)), maps

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.with_heatmaps(image)[0]


@pytest.mark.parametrize("has_maps", [True, False])
def test_a_checkpoint_has_the_expected_errors_of_the_validation_faces(tmp_path: Path, has_maps: bool) -> None:
    module = make()
    if has_maps:
        module.model.net = MapsOfEachImage()
    trainer = fit(module, tmp_path, epochs=1)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    content = torch.load(tmp_path / "a.ckpt", weights_only=True)["error_model"]
    errors, spreads = [], []
    data = dataset(augmented=False)
    for row in range(len(data)):
        batch = data.__getitems__([row])
        keypoints, spread = module.model.eval().with_spread(batch.image)
        photo, target = (inverse_points(points, batch.matrix)[0] for points in (keypoints, batch.keypoints))
        shift = batch.label_shift[0, 0], batch.label_shift[0, 1]
        for points in (photo, target):
            points[:, 0] += shift[0] + shift[1] * (points[36] - points[45]).norm()
        apart = ((photo - target).norm(dim=-1) / (target[36] - target[45]).norm()).detach().numpy()
        errors.append(np.where(batch.visible[0], apart, np.nan))
        if spread is not None:
            spreads.append((spread[0] / ((keypoints[0, 36] - keypoints[0, 45]).norm() * SIZE).sqrt()).detach().numpy())
    expected = ErrorModel.fit(np.array(errors), np.array(spreads) if has_maps else None)
    assert (content["slope"] > 0) <= has_maps
    assert content["slope"] == pytest.approx(expected.slope, rel=1e-3)
    np.testing.assert_allclose(content["offsets"], expected.offsets, atol=2e-3)
    assert len(errors) > 3
