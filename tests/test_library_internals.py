"""fkd/library_internals: the test of each module names all that the installed version lacks or does differently."""

import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from pytorch_lightning.profilers import Profiler
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto.event_pb2 import SessionLog
from torch.utils.data import DataLoader


class Check:
    """Collects what differs from what a module of fkd.library_internals expects."""

    def __init__(self, library: str, module: str) -> None:
        self.expecting = f"{library} {version(library)} differs from what fkd/library_internals/{module}.py expects"
        self.faults: list[str] = []

    def same(self, internal: str, find: Callable[[], object], expected: object) -> None:
        """Compares what an internal gives, if it is there."""
        try:
            found = find()
        except Exception as error:
            self.faults.append(f"{internal}: {type(error).__name__}: {error}")
        else:
            if found != expected:
                self.faults.append(f"{internal}: expected {expected!r}, found {found!r}")


@contextmanager
def checking(library: str, module: str) -> Iterator[Check]:
    check = Check(library, module)
    try:
        yield check
    except Exception as error:  # such as an import that fails
        check.faults.append(f"{type(error).__name__}: {error}")
    if check.faults:
        pytest.fail("\n  ".join([check.expecting, *check.faults]))


class Recorder(Profiler):
    """The names of all profiled actions."""

    def __init__(self) -> None:
        super().__init__()
        self.actions: set[str] = set()

    def start(self, action_name: str) -> None:
        self.actions.add(action_name)

    def stop(self, action_name: str) -> None: ...


class Net(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        loss: torch.Tensor = self.layer(batch).sum()
        self.log("loss", loss)
        return loss

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None: ...

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.1)


class Progress(pl.Callback):
    """Checks the counts of epochs and batches at moments of a training of two epochs with two batches."""

    def __init__(self, check: Check, folder: Path) -> None:
        self.check, self.folder = check, folder

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == 1:
            self.check_checkpoint(trainer, "epoch", "epoch_progress", done=1)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any) -> None:
        if trainer.global_step == 3:
            self.check_counts("in epoch 2 after one batch", trainer, batches=1)
            self.check_checkpoint(trainer, "batch", "epoch_loop.batch_progress", done=3)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == 1:
            self.check_counts("at the end of epoch 2", trainer, batches=0)

    def check_counts(self, when: str, trainer: pl.Trainer, batches: int) -> None:
        from fkd.library_internals import lightning

        progress = "Trainer.fit_loop.epoch_loop.batch_progress"
        self.check.same(f"{progress} {when}", lambda: lightning.batches_done(trainer), batches)
        progress = "Trainer.fit_loop.epoch_progress.current.started"
        self.check.same(f"{progress} {when}", lambda: lightning.started_epochs(trainer), 2)

    def check_checkpoint(self, trainer: pl.Trainer, unit: Literal["epoch", "batch"], key: str, done: int) -> None:
        from fkd.library_internals import lightning

        trainer.save_checkpoint(self.folder / "a.ckpt")
        checkpoint = torch.load(self.folder / "a.ckpt", weights_only=True)

        def total() -> tuple[int, int]:
            counts = checkpoint["loops"]["fit_loop"][key]["total"]
            return counts["ready"], counts["processed"]

        internal = f'checkpoint["loops"]["fit_loop"]["{key}"]'
        self.check.same(f"{internal} before a new {unit}", total, (done + 1, done))
        self.check.same(f"{internal} marked", lambda: lightning.mark_not_started(checkpoint, unit), None)
        self.check.same(f"{internal} after it was marked", total, (done, done))


def test_lightning(tmp_path: Path) -> None:
    with checking("pytorch-lightning", "lightning") as check:
        from fkd.library_internals import lightning

        averaged, profiler, csv = WeightAveraging(), Recorder(), CSVLogger(tmp_path, name="", version="")
        trainer = pl.Trainer(
            accelerator="cpu", max_epochs=9, callbacks=[averaged, Progress(check, tmp_path)], profiler=profiler,
            logger=csv, log_every_n_steps=1, num_sanity_val_steps=0, enable_progress_bar=False,
            enable_model_summary=False, enable_checkpointing=False,
        )  # fmt: skip
        check.same("Trainer.fit_loop.max_epochs", lambda: lightning.set_max_epochs(trainer, 2), None)
        trainer.fit_loop.max_epochs = 2
        loader = DataLoader(torch.ones(4, 1), batch_size=2)  # type: ignore[arg-type]
        trainer.fit(Net(), loader, loader)
        check.same("Trainer.max_epochs once it was set", lambda: trainer.max_epochs, 2)
        check.same(
            "WeightAveraging._average_model", lambda: type(lightning.average_model(averaged)).__name__, "AveragedModel"
        )
        check.same("Profiler._lightning_module", lambda: lightning.trainer_of(profiler).max_epochs, 2)
        actions = sorted(profiler.actions)
        expected = [f"^{lightning.STEP_ACTION}$", *lightning.PROFILED_ACTIONS]
        check.same(
            f"patterns that match none of the profiled actions {', '.join(actions)}",
            lambda: [pattern for pattern in expected if not any(re.search(pattern, action) for action in actions)],
            [],
        )
        check.same("columns", lambda: csv.experiment.metrics_keys, ["epoch", "loss", "step"])
        lightning.set_csv_columns(csv, ["epoch", "loss", "more", "step"])
        csv.log_metrics({"loss": 1.0}, 9)
        csv.save()
        check.same(
            "CSVLogger.experiment.metrics_keys once it was set",
            lambda: (tmp_path / "metrics.csv").read_text().splitlines()[-1],
            ",1.0,,9",
        )


def test_torch(tmp_path: Path) -> None:
    with checking("torch", "torch") as check:
        from fkd.library_internals import torch as internals

        logger = TensorBoardLogger(tmp_path, name=None, version="", default_hp_metric=False)
        check.same("SummaryWriter._get_file_writer().add_event", lambda: internals.add_restart(logger, 7), None)
        names = "torch.utils.tensorboard.summary.hparams, SummaryWriter._get_file_writer().add_summary"
        check.same(names, lambda: internals.add_hyperparameters(logger, {"lr": 0.1}, {"best/nme": 1.0}), None)
        logger.save()
        (path,) = tmp_path.glob("events*")
        events = list(EventFileLoader(str(path)).Load())
        restarts = [event.step for event in events if event.session_log.status == SessionLog.START]
        check.same("steps of restarts in the file of TensorBoard", lambda: restarts, [7])
        tags = [value.tag for event in events for value in event.summary.value]
        start_and_end = ["_hparams_/session_start_info", "_hparams_/session_end_info"]
        check.same("summaries in the file of TensorBoard", lambda: tags, start_and_end)


def test_hydra(tmp_path: Path) -> None:
    with checking("hydra-core", "hydra") as check:
        from hydra.core.global_hydra import GlobalHydra
        from hydra.errors import HydraException

        from fkd.library_internals.hydra import IntervalSweep, RangeSweep, check_options, parse, run_task

        texts = ["model=a,b", "~callbacks.x", "hydra.run.dir=x", "+lr=tag(log, interval(1e-4, 1))", "n=range(1, 6, 2)"]
        choice, deleted, place, interval, numbers = parse(texts)
        overrides = (choice, deleted, place, interval, numbers)
        swept = [True, False, False, True, True]
        check.same("Override.is_sweep_override", lambda: [o.is_sweep_override() for o in overrides], swept)
        check.same("Override.is_delete", lambda: [o.is_delete() for o in (choice, deleted)], [False, True])
        check.same(
            "Override.is_hydra_override", lambda: [o.is_hydra_override() for o in (choice, place)], [False, True]
        )
        check.same("Override.key_or_group", lambda: [o.key_or_group for o in (choice, interval)], ["model", "lr"])
        check.same("Override.get_key_element", lambda: interval.get_key_element(), "+lr")
        check.same("Override.get_value_element_as_str", lambda: place.get_value_element_as_str(), "x")
        check.same("Override.input_line", lambda: interval.input_line, texts[3])
        check.same("Override.value", lambda: parse(["lr=0.1"])[0].value(), 0.1)
        check.same("Override.sweep_string_iterator", lambda: list(choice.sweep_string_iterator()), ["a", "b"])
        check.same("type of an interval", lambda: type(interval.value()), IntervalSweep)
        value: Any = interval.value()
        check.same("IntervalSweep", lambda: (value.start, value.end, value.tags), (1e-4, 1.0, {"log"}))
        check.same("type of a range", lambda: type(numbers.value()), RangeSweep)
        steps: Any = numbers.value()
        check.same("RangeSweep.range", lambda: list(steps.range()), [1, 3, 5])

        check.same("get_args_parser", lambda: check_options(["lr=2", "-m", "--cfg", "job"]), None)
        with pytest.raises(HydraException, match=r"^unrecognized arguments: --nope$"):
            check_options(["lr=2", "--nope"])

        (tmp_path / "task.yaml").write_text(f"lr: 1\nhydra: {{run: {{dir: {tmp_path}/run}}}}\n")
        seen: list[int] = []
        before = GlobalHydra.instance().hydra
        run = "Hydra.create_main_hydra2, Hydra.run, create_automatic_config_search_path"
        check.same(run, lambda: run_task(tmp_path, "task", ["lr=2"], lambda cfg: seen.append(cfg.lr)), tmp_path / "run")
        check.same("what the task was called with", lambda: seen, [2])
        check.same("GlobalHydra after the task", lambda: GlobalHydra.instance().hydra is before, True)


def test_optuna() -> None:
    optuna = pytest.importorskip("optuna", reason="needs the extra sweep")
    with checking("optuna", "optuna") as check:
        from fkd.library_internals.optuna import running_trial

        study = optuna.create_study()
        study.ask(), study.ask()
        trial = running_trial(study, study.get_trials()[1])
        check.same("number of Trial(study, FrozenTrial._trial_id)", lambda: trial.number, 1)
        trial.report(3.0, 0)
        trial.set_user_attr("status", "done")
        kept = study.get_trials()[1]
        check.same(
            "what the study keeps", lambda: (kept.intermediate_values, kept.user_attrs), ({0: 3.0}, {"status": "done"})
        )
        check.same("Trial.should_prune", trial.should_prune, False)


def test_joblib() -> None:
    joblib = pytest.importorskip("joblib", reason="needs the extra sweep")
    with checking("joblib", "joblib") as check:
        from joblib.externals.loky import ProcessPoolExecutor, get_reusable_executor, reusable_executor

        from fkd.library_internals.joblib import TerminatedWorkerError, forget_workers, kill_process_tree

        job = get_reusable_executor(1).submit(signal.raise_signal, signal.SIGKILL)
        check.same("exception of a killed worker", lambda: type(job.exception(60)), TerminatedWorkerError)
        assert joblib.Parallel(2)(joblib.delayed(abs)(n) for n in (-1, -2)) == [1, 2]
        executor = reusable_executor._executor
        check.same("reusable_executor._executor", lambda: isinstance(executor, ProcessPoolExecutor), True)
        workers = list(executor._processes.values())
        check.same("reusable_executor._executor._processes", lambda: {w.is_alive() for w in workers}, {True})
        check.same("processes that are held", lambda: (forget_workers(), dict(executor._processes)), (None, {}))
        for worker in workers:
            kill_process_tree(worker)
        check.same("processes that kill_process_tree left", lambda: {w.is_alive() for w in workers}, {False})


def test_submitit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submitit = pytest.importorskip("submitit", reason="needs the extra sweep")
    with checking("submitit", "submitit") as check:
        from fkd.library_internals.submitit import replaced_results

        monkeypatch.setattr(submitit.Job, "_results_timeout_s", 0)
        original = submitit.Job.results
        job = submitit.LocalExecutor(tmp_path).submit(signal.raise_signal, signal.SIGKILL)
        with replaced_results(lambda job, error: "bad"):
            check.same("Job.results of a killed job", job.results, ["bad"])
        check.same("Job.results", lambda: submitit.Job.results, original)


def test_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    pytest.importorskip("hydra_plugins.hydra_ray_launcher")

    def get(job: str) -> str:
        if job == "lost":
            raise ray.exceptions.OutOfMemoryError("killed")
        return f"result of {job}"

    with checking("hydra-ray-launcher", "ray") as check:
        from hydra_plugins.hydra_ray_launcher import _core

        from fkd.library_internals.ray import replaced_results

        monkeypatch.setattr(ray, "get", get)
        monkeypatch.setattr(_core, "launch_job_on_ray", lambda job: job)
        names = set(_core.launch.__code__.co_names)
        check.same("_core.launch calls", lambda: names >= {"launch_job_on_ray", "start_ray"}, True)
        with replaced_results(lambda place, error: (place, type(error).__name__)) as started:
            for job in ("good", "lost"):
                _core.launch_job_on_ray(job)  # type: ignore[attr-defined]
            check.same("jobs", lambda: started, ["good", "lost"])
            check.same("_core.ray.get", lambda: _core.ray.get("good"), "result of good")  # type: ignore[attr-defined]
            check.same("of a lost job", lambda: _core.ray.get("lost"), (1, "OutOfMemoryError"))  # type: ignore[attr-defined]
        check.same("_core.ray afterwards", lambda: _core.ray, ray)  # type: ignore[attr-defined]
