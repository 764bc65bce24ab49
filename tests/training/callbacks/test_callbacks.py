import io
import re
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from torch.utils.data import DataLoader

from fkd.config.instantiate import instantiate
from fkd.data.dataset import as_it_is
from fkd.errors import Diverged, UserError
from fkd.schema import IBUG68
from fkd.training.callbacks import EMA, FiniteGuard, Overlays, Progress, Throughput, log_hyperparameters
from fkd.types import Batch, Prediction
from fkd.visualization import draw
from tests.data.test_dataset import dataset
from tests.training import test_module

CONF = Path(__file__).parents[3] / "conf" / "callbacks"
FACES, SIZE, BATCH = 12, 32, 4
TRAIN_BATCHES, VAL_BATCHES = 5, FACES // BATCH


class Tiny(pl.LightningModule):
    """Finds the true points but for a known error per face; its losses are what the test says, epoch by epoch."""

    def __init__(self, val_losses=(3.0, 2.0, 1.0), train_losses=(0.5,) * 9, on_batch=lambda kind: None):
        super().__init__()
        self.model = SimpleNamespace(schema=IBUG68)
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.val_losses, self.train_losses = val_losses, train_losses
        self.on_batch = on_batch

    def training_step(self, batch, batch_idx):
        self.on_batch("train")
        loss = 0 * self.weight.sum() + self.train_losses[self.current_epoch]
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.image))
        return loss

    def validation_step(self, batch, batch_idx):
        self.on_batch("val")
        errors = errors_of(batch.row)
        self.log("val/loss", float(self.val_losses[self.current_epoch]), batch_size=len(batch.image))
        self.log("val/nme", 100 * errors.mean(), batch_size=len(batch.image))
        return Prediction(batch.keypoints + 2, errors)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def errors_of(rows):
    """(B, 68) errors that grow with the row, and whose jaw is ten times as wrong."""
    errors = 0.01 * (rows[:, None] + 1.0).repeat(1, 68)
    errors[:, list(IBUG68.parts["jaw"])] *= 10
    return errors


def faces(rows):
    """A batch whose face i is of brightness 10 * i, all points known but the last."""
    rows = torch.tensor(rows)
    visible = torch.ones(len(rows), 68, dtype=torch.bool)
    visible[:, 67] = False
    return Batch(
        image=(10 * rows)[:, None, None, None].expand(-1, 1, SIZE, SIZE).to(torch.uint8),
        keypoints=torch.linspace(4, SIZE - 5, 68)[None, :, None].expand(len(rows), 68, 2).float(),
        visible=visible,
        matrix=torch.eye(2, 3).expand(len(rows), 2, 3),
        label_shift=torch.zeros(len(rows), 2),
        row=rows,
    )


def fit(tmp_path, module, callbacks, max_epochs=3, ckpt_path=None, logger=False, **settings):
    trainer = pl.Trainer(
        accelerator="cpu",
        default_root_dir=tmp_path,
        max_epochs=max_epochs,
        logger=logger,
        callbacks=callbacks,
        enable_checkpointing=any(isinstance(c, ModelCheckpoint) for c in callbacks),
        enable_progress_bar=any(isinstance(c, Progress) for c in callbacks),
        enable_model_summary=False,
        log_every_n_steps=1,
        **{"num_sanity_val_steps": 0, **settings},
    )
    train = DataLoader(range(TRAIN_BATCHES * BATCH), batch_size=BATCH, collate_fn=faces)
    val = DataLoader(range(FACES), batch_size=BATCH, collate_fn=faces)
    trainer.fit(module, train, val, ckpt_path=ckpt_path)
    return trainer


def checkpoints(tmp_path):
    """best and last, as the config makes them."""
    cfg = OmegaConf.merge({"run_dir": str(tmp_path)}, {"callbacks": OmegaConf.load(CONF / "default.yaml")}).callbacks
    OmegaConf.resolve(cfg)
    return [instantiate(cfg[name], f"callbacks.{name}") for name in ("best", "last")]


def epochs_of(checkpoint):
    """How many epochs were trained."""
    progress = torch.load(checkpoint, weights_only=True)["loops"]["fit_loop"]["epoch_progress"]
    return progress["current"]["started"]


def events(folder):
    return EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0, "tensors": 0}).Reload()


def tensorboard(tmp_path):
    return TensorBoardLogger(tmp_path, name=None, version="", default_hp_metric=False)


# Checkpoints and divergence


@pytest.mark.parametrize("settings", [{}, {"val_check_interval": 0.4}, {"accumulate_grad_batches": 2}])
def test_best_and_last_are_the_only_checkpoints(tmp_path, settings):
    fit(tmp_path, Tiny(val_losses=[1.0, 2.0, 3.0]), checkpoints(tmp_path), **settings)
    folder = tmp_path / "checkpoints"
    assert sorted(p.name for p in folder.iterdir()) == ["best.ckpt", "last.ckpt"]
    assert (epochs_of(folder / "best.ckpt"), epochs_of(folder / "last.ckpt")) == (1, 3)


def test_a_run_resumed_in_its_folder_keeps_its_two_checkpoints(tmp_path):
    folder = tmp_path / "checkpoints"
    fit(tmp_path, Tiny([1.0, 2.0]), checkpoints(tmp_path), max_epochs=2)
    losses = [0, 0, 1.5, 0.5, 0.7]
    fit(tmp_path, Tiny(losses), checkpoints(tmp_path), max_epochs=3, ckpt_path=folder / "last.ckpt")
    assert {p.name: epochs_of(p) for p in folder.iterdir()} == {"best.ckpt": 1, "last.ckpt": 3}
    fit(tmp_path, Tiny(losses), checkpoints(tmp_path), max_epochs=5, ckpt_path=folder / "last.ckpt")
    assert {p.name: epochs_of(p) for p in folder.iterdir()} == {"best.ckpt": 4, "last.ckpt": 5}
    fit(tmp_path, Tiny([9.0]), checkpoints(tmp_path), max_epochs=1)  # started anew
    assert {p.name: epochs_of(p) for p in folder.iterdir()} == {"best.ckpt": 1, "last.ckpt": 1}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["val/loss", "train/loss"])
def test_diverged_training_ends_before_anything_is_saved(tmp_path, name, value):
    module = Tiny(val_losses=[1.0, 0.5, value]) if name == "val/loss" else Tiny([3, 2, 1], [1.0, 1.0, value])
    expected = rf"^epoch 3: {name} is -?(nan|inf), training has diverged; try a lower optimizer\.lr \(debug=lr "
    with pytest.raises(Diverged, match=expected):
        fit(tmp_path, module, [*checkpoints(tmp_path), FiniteGuard()])
    folder = tmp_path / "checkpoints"
    assert {p.name: epochs_of(p) for p in folder.iterdir()} == {"best.ckpt": 2, "last.ckpt": 2}


def test_validation_alone_may_meet_any_loss(tmp_path):
    trainer = fit(tmp_path, Tiny(), [FiniteGuard()], max_epochs=1)
    trainer.validate(Tiny([0, float("nan")]), DataLoader(range(4), batch_size=4, collate_fn=faces), verbose=False)


# Throughput


class Clock:
    """A monotonic clock that moves only when a batch takes its time."""

    def __init__(self, train, val, first=0.0):
        self.now, self.costs, self.first = 100.0, {"train": train, "val": val}, first

    def __call__(self):
        return self.now

    def spend(self, kind):
        self.now += self.costs[kind] + self.first
        self.first = 0.0


@pytest.mark.parametrize("settings", [{}, {"val_check_interval": 0.4}, {"num_sanity_val_steps": 2}])
def test_throughput_counts_training_only(tmp_path, monkeypatch, settings):
    clock, throughput = Clock(train=0.5, val=7.0, first=50.0), Throughput()
    monkeypatch.setattr("time.monotonic", clock)
    trainer = fit(tmp_path, Tiny(on_batch=clock.spend), [throughput], **settings)
    assert throughput.images_per_s == pytest.approx(BATCH / 0.5)
    assert trainer.callback_metrics["train/images_per_s"] == pytest.approx(BATCH / 0.5)


def test_throughput_is_logged_with_the_losses(tmp_path):
    throughput = Throughput()
    assert throughput.images_per_s is None
    fit(tmp_path, Tiny(), [throughput], logger=[tensorboard(tmp_path), CSVLogger(tmp_path, name="", version="")])
    logged = events(tmp_path).Scalars("train/images_per_s")
    assert len(logged) == 3
    assert logged[-1].value == pytest.approx(throughput.images_per_s)
    assert "train/images_per_s" in (tmp_path / "metrics.csv").read_text().splitlines()[0]


def test_throughput_of_a_single_batch_is_unknown(tmp_path):
    throughput = Throughput()
    fit(tmp_path, Tiny(), [throughput], max_epochs=1, limit_train_batches=1)
    assert throughput.images_per_s is None


# Progress


def lines(output):
    return [line.rstrip() for line in output.splitlines() if line.startswith("epoch")]


def test_a_log_file_gets_one_line_per_epoch(tmp_path, monkeypatch, capsys):
    clock = Clock(train=1.0, val=2.0)
    monkeypatch.setattr("time.monotonic", clock)
    callbacks = [Throughput(), Progress()]
    fit(tmp_path, Tiny([3, 4, 1], on_batch=clock.spend), callbacks, num_sanity_val_steps=2)
    output = capsys.readouterr().out
    # An epoch is 5 training batches of 1 s and 3 validation batches of 2 s: 11 s.
    assert lines(output) == [
        "epoch 1/3  train/loss 0.5000  val/loss 3.000  val/nme 21.12 %  4 images/s  0:22 left  *",
        "epoch 2/3  train/loss 0.5000  val/loss 4.000  val/nme 21.12 %  4 images/s  0:11 left",
        "epoch 3/3  train/loss 0.5000  val/loss 1.000  val/nme 21.12 %  4 images/s  0:00 left  *",
    ]
    assert "\x1b" not in output


def terminal(monkeypatch, width=120):
    """Stands in for the user's terminal; gives what is written on it."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=width, legacy_windows=False)
    monkeypatch.setattr("fkd.training.callbacks.progress.Console", lambda: console)
    return screen


def plain(screen):
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue()).replace("\r", "\n")


def test_a_terminal_gets_one_bar_with_the_lines_above(tmp_path, monkeypatch):
    clock, screen = Clock(train=1.0, val=2.0), terminal(monkeypatch)
    monkeypatch.setattr("time.monotonic", clock)
    progress = Progress()
    fit(tmp_path, Tiny(on_batch=clock.spend), [progress, Throughput()])
    shown = plain(screen)
    assert [line[:9] for line in lines(shown)] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert all("left" not in line for line in lines(shown))
    bars = [line.strip() for line in shown.splitlines() if line.startswith("training")]
    assert re.fullmatch(r"training ━+ epoch 1/3  0:00", bars[0])
    assert re.fullmatch(r"training ━+ epoch 3/3  4 images/s  0:33, 0:00 left  val/nme 21.12 %", bars[-1])
    middle = next(bar for bar in bars if "0:16, " in bar)  # 8 batches in 11 s, then 5 in 5 s, of 24
    assert "epoch 2/3" in middle
    assert f"0:{round(16 / 13 * 11):02} left" in middle
    assert progress._bar is None


def test_the_bar_fits_a_narrow_terminal(tmp_path, monkeypatch):
    screen = terminal(monkeypatch, width=80)
    fit(tmp_path, Tiny(), [Progress(), Throughput()])
    bars = [line for line in plain(screen).splitlines() if line.startswith("training")]
    assert all(len(bar) <= 80 for bar in bars)
    assert "val/nme 21.12 %" in bars[-1]
    assert bars[-1].count("━") >= 8


def test_the_bar_is_redrawn_at_most_five_times_a_second(tmp_path, monkeypatch):
    clock, screen = Clock(train=0.01, val=0.01), terminal(monkeypatch)
    monkeypatch.setattr("time.monotonic", clock)
    fit(tmp_path, Tiny(on_batch=clock.spend), [Progress()])  # 0.24 s in all
    assert plain(screen).count("training") <= 1 + 1 + 2 * 3 + 1  # at the start, with each line, at the end


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_bar_is_taken_down(tmp_path, monkeypatch, error):
    def interrupt(kind):
        if kind == "val":
            raise error

    screen, progress = terminal(monkeypatch), Progress()
    with pytest.raises((SystemExit, RuntimeError)):
        fit(tmp_path, Tiny(on_batch=interrupt), [progress])
    assert progress._bar is None
    assert screen.getvalue().rstrip().endswith("\x1b[?25h")  # the cursor is back


def test_a_resumed_run_goes_on_counting(tmp_path, monkeypatch, capsys):
    fit(tmp_path, Tiny([1.0, 2.0]), [Progress(), *checkpoints(tmp_path)], max_epochs=2)
    capsys.readouterr()
    clock = Clock(train=1.0, val=2.0)
    monkeypatch.setattr("time.monotonic", clock)
    last = tmp_path / "checkpoints" / "last.ckpt"
    again = [Progress(), *checkpoints(tmp_path)]
    fit(tmp_path, Tiny([0, 0, 1.5, 0.5], on_batch=clock.spend), again, max_epochs=4, ckpt_path=last)
    assert lines(capsys.readouterr().out) == [
        "epoch 3/4  train/loss 0.5000  val/loss 1.500  val/nme 21.12 %  0:11 left",
        "epoch 4/4  train/loss 0.5000  val/loss 0.5000  val/nme 21.12 %  0:00 left  *",
    ]


def test_an_endless_run_shows_no_end(tmp_path, monkeypatch, capsys):
    class Stop(pl.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            trainer.should_stop = trainer.current_epoch == 1

    fit(tmp_path, Tiny(), [Progress(), Stop()], max_epochs=-1)
    output = capsys.readouterr().out
    assert [line.split("  ")[0] for line in lines(output)] == ["epoch 1", "epoch 2"]
    assert "left" not in output
    screen = terminal(monkeypatch)
    fit(tmp_path, Tiny(), [Progress(), Stop()], max_epochs=-1)
    assert "epoch 2  " in plain(screen)


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        ({"max_steps": 10, "max_epochs": -1}, ["0:11", "0:00"]),
        ({"max_steps": 6, "max_epochs": 9, "accumulate_grad_batches": 2}, ["0:11", "0:00"]),
        ({"max_epochs": 2, "limit_train_batches": 2, "limit_val_batches": 1}, ["0:04", "0:00"]),
        ({"max_epochs": 2, "limit_val_batches": 0}, ["0:05", "0:00"]),
        ({"max_epochs": 4, "check_val_every_n_epoch": 2}, [None, "0:16", None, "0:00"]),
        ({"max_epochs": 2, "val_check_interval": 0.4}, ["0:17", "0:00"]),
        ({"max_epochs": 2, "val_check_interval": 5, "check_val_every_n_epoch": None}, ["0:11", "0:00"]),
    ],
)
def test_time_left_follows_the_trainers_limits(tmp_path, monkeypatch, capsys, settings, left):
    clock = Clock(train=1.0, val=2.0)
    monkeypatch.setattr("time.monotonic", clock)
    fit(tmp_path, Tiny([4, 3, 2, 1], on_batch=clock.spend), [Progress()], **settings)
    found = [re.search(r"(\S+) left", line)[1] for line in lines(capsys.readouterr().out)]
    assert len(found) == len(left)
    assert all(expected in (None, one) for one, expected in zip(found, left, strict=True))


def test_an_epoch_without_validation_shows_no_stale_values(tmp_path, capsys):
    fit(tmp_path, Tiny(), [Progress()], max_epochs=3, check_val_every_n_epoch=2)
    assert ["val/loss" in line for line in lines(capsys.readouterr().out)] == [False, True, False]


def test_a_disabled_bar_is_silent(tmp_path, monkeypatch):
    screen, progress = terminal(monkeypatch), Progress()
    progress.disable()
    fit(tmp_path, Tiny(), [progress], max_epochs=1)
    assert screen.getvalue() == ""
    progress.enable()
    fit(tmp_path, Tiny(), [progress], max_epochs=1)
    assert "epoch 1/1" in screen.getvalue()


# Overlays


def shown(folder, tag):
    """(step, image) of each image under a tag."""
    images = events(folder).Images(tag)
    return [(p.step, cv2.imdecode(np.frombuffer(p.encoded_image_string, np.uint8), 1)[..., ::-1]) for p in images]


def overlays(**changes):
    return Overlays(**{"faces": 6, "worst": 3, "every_n_epochs": 1, "zoom": 2, "file": None, **changes})


def sheet(rows):
    """What the overlays of these rows must look like."""
    batch = faces(rows)
    error = 100 * (errors_of(batch.row) * batch.visible).sum(1) / 67
    tiles = [
        draw.face(image[0], points + 2, points, visible=visible, schema=IBUG68, zoom=2)
        for image, points, visible in zip(*(f.numpy() for f in batch[:3]), strict=True)
    ]
    return draw.sheet(tiles, 4, [f"row {row}: {e:.1f} %" for row, e in zip(rows, error.tolist(), strict=True)])


def test_overlays_show_the_first_and_the_worst_faces(tmp_path):
    file = tmp_path / "faces.png"
    fit(tmp_path, Tiny(), [overlays(file=str(file))], logger=tensorboard(tmp_path), num_sanity_val_steps=1)
    first, worst = shown(tmp_path, "val/faces"), shown(tmp_path, "val/worst")
    assert [step for step, _ in first] == [step for step, _ in worst] == [5, 10, 15]
    for _, image in first:  # more faces than one batch has
        np.testing.assert_array_equal(image, sheet([0, 1, 2, 3, 4, 5]))
    for _, image in worst:
        np.testing.assert_array_equal(image, sheet([11, 10, 9]))
    np.testing.assert_array_equal(cv2.imread(str(file))[..., ::-1], first[-1][1])
    assert not list(tmp_path.glob("*.tmp"))


def test_overlays_come_first_every_n_epochs_and_last(tmp_path):
    fit(tmp_path, Tiny(range(6)), [overlays(every_n_epochs=2)], max_epochs=6, logger=tensorboard(tmp_path))
    assert [step // TRAIN_BATCHES for step, _ in shown(tmp_path, "val/faces")] == [1, 3, 5, 6]


def test_overlays_work_without_tensorboard_and_without_worst_faces(tmp_path):
    fit(tmp_path, Tiny(), [overlays(worst=0, file=str(tmp_path / "f.png"))], max_epochs=1)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "f.png"))[..., ::-1], sheet([0, 1, 2, 3, 4, 5]))


def test_overlays_take_colour_crops_and_predictions_that_are_not_numbers(tmp_path):
    class Broken(Tiny):
        def validation_step(self, batch, batch_idx):
            found = super().validation_step(batch, batch_idx)
            lost = (batch.row == 5)[:, None]
            return Prediction(
                torch.where(lost[..., None], torch.nan, found.keypoints), torch.where(lost, torch.nan, found.errors)
            )

        def on_after_batch_transfer(self, batch, dataloader_idx):
            return batch._replace(image=batch.image.repeat(1, 3, 1, 1))

    fit(tmp_path, Broken(), [overlays(worst=2)], max_epochs=1, logger=tensorboard(tmp_path))
    ((_, worst),) = shown(tmp_path, "val/worst")
    tile = 2 * SIZE
    assert worst[: tile - 1, 0].tolist() == [[50, 50, 50]] * (tile - 1)  # row 5 first,
    assert worst[: tile - 1, tile + 2].tolist() == [[110, 110, 110]] * (tile - 1)  # then row 11


# Hyperparameters


def test_tensorboard_gets_the_hyperparameters_once(tmp_path):
    logger = tensorboard(tmp_path)
    trainer = fit(tmp_path, Tiny(), [], max_epochs=2, logger=[logger, CSVLogger(tmp_path, name="", version="")])
    config = {
        "model": "naimish",
        "optimizer.lr": 0.001,
        "optimizer.amsgrad": False,
        "data.batch_size": 64,
        "crop": None,
    }
    log_hyperparameters(trainer.loggers, config, {"best/nme": 6.5, "test/nme": 7.25})

    read = events(tmp_path)
    contents = read.summary_metadata
    starts = [
        data.session_start_info
        for tag in contents
        if (data := plugin_data_pb2.HParamsPluginData.FromString(contents[tag].plugin_data.content)).HasField(
            "session_start_info"
        )
    ]
    (start,) = starts
    values = {name: value.number_value or value.string_value for name, value in start.hparams.items()}
    assert values == {
        "model": "naimish",
        "optimizer.lr": 0.001,
        "optimizer.amsgrad": "False",
        "data.batch_size": 64,
        "crop": "None",
    }
    assert "_hparams_/experiment" not in contents  # a list of columns in fixed order
    assert [s.value for s in read.Scalars("test/nme")] == [7.25]
    assert "hp_metric" not in read.Tags()["scalars"]
    assert len(read.Scalars("val/nme")) == 2


# The running mean of the weights


class ByHand(pl.Callback):
    """The mean of the weights after every step, and its value at each validation."""

    def __init__(self, decay):
        self.decay, self.mean, self.steps, self.at_validation = decay, {}, 0, []

    def on_train_batch_end(self, trainer, module, *rest):
        keep = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, value in module.state_dict().items():
            is_mean = self.steps > 0 and value.is_floating_point()  # else the first weights, or a count of batches
            self.mean[name] = keep * self.mean[name] + (1 - keep) * value if is_mean else value.clone()
        self.steps += 1

    def on_validation_start(self, trainer, module):
        self.at_validation.append(dict(self.mean))


def normalised():
    """A module with BatchNorm, which has running means of its own and counts batches."""
    module = test_module.make()
    module.model.net.insert(2, torch.nn.BatchNorm1d(64))
    return module


@pytest.fixture(params=list(product([0.2, 0.9], [True, False])), ids=str)  # the warm-up ends in step 3, or not at all
def averaged(tmp_path, request):
    """A trained module, the mean of its weights computed by hand, and what was kept of its best epoch with EMA."""
    decay, weights_only = request.param
    module, hand = normalised(), ByHand(decay)
    best = ModelCheckpoint(tmp_path, "best", monitor="val/loss", save_weights_only=weights_only)
    test_module.fit(module, tmp_path, callbacks=[EMA(decay), hand, best])
    return module, hand, torch.load(best.best_model_path, weights_only=True)


def test_the_kept_epoch_of_a_running_mean_is_the_mean(averaged):
    module, hand, kept = averaged
    torch.testing.assert_close(kept["state_dict"], hand.at_validation[kept["scores"]["epoch"] - 1])
    assert any(not torch.equal(value, kept["state_dict"][name]) for name, value in module.named_parameters())


def test_the_scores_of_a_running_mean_are_those_of_the_kept_weights(averaged, tmp_path):
    module, _, kept = averaged
    module.load_state_dict(kept["state_dict"])
    loader = DataLoader(dataset(augmented=False), batch_size=3, collate_fn=as_it_is)
    trainer = pl.Trainer(accelerator="cpu", default_root_dir=tmp_path, logger=False, enable_progress_bar=False)
    again = trainer.validate(module, loader, verbose=False)[0]
    assert again["val/loss"] == pytest.approx(kept["scores"]["val/loss"], rel=1e-5)


def test_between_validations_too_the_mean_is_what_a_checkpoint_is_loaded_from(tmp_path):
    module, hand = normalised(), ByHand(0.2)
    test_module.fit(module, tmp_path, callbacks=[EMA(0.2), hand]).save_checkpoint(tmp_path / "last.ckpt")
    kept = torch.load(tmp_path / "last.ckpt", weights_only=True)
    torch.testing.assert_close(kept["state_dict"], hand.mean)
    torch.testing.assert_close(kept["current_model_state"], dict(module.state_dict()))


@pytest.mark.parametrize("after_validation", [True, False])
def test_a_training_goes_on_from_any_checkpoint_of_a_running_mean(tmp_path, after_validation):
    def train(folder, **start):
        keep = ModelCheckpoint(folder, "{epoch}", save_top_k=-1, save_on_train_epoch_end=not after_validation)
        module = normalised()
        test_module.fit(module, folder, callbacks=[EMA(0.2), keep], **start)
        return module.state_dict(), torch.load(folder / "epoch=2.ckpt", weights_only=True)["state_dict"]

    whole = train(tmp_path / "whole")
    again = train(tmp_path / "again", start=tmp_path / "whole" / "epoch=0.ckpt")
    torch.testing.assert_close(again, whole, rtol=0, atol=0)


@pytest.mark.parametrize("decay", [1.5, 1, 0, -0.1, float("nan"), "0.9", True])
def test_a_decay_that_is_no_share_is_refused(decay):
    with pytest.raises(UserError, match=r"callbacks\.ema\.decay: expected a number above 0 and below 1, found"):
        EMA(decay)


def test_a_running_mean_is_kept_where_the_net_is(tmp_path):
    """Lightning moves a net to its device after callbacks are set up."""
    module, ema = normalised(), EMA(0.9)
    ema.setup(None, module, "fit")
    ema.on_fit_start(None, module.to("meta", torch.float64))
    mean = ema._average_model.module.state_dict()
    assert {name: (value.device, value.dtype) for name, value in mean.items()} == {
        name: (value.device, value.dtype) for name, value in module.state_dict().items()
    }
