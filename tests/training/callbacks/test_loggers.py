"""logger=wandb and logger=mlflow: what they keep, offline, and what is said where they are not installed."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from lightning_utilities.core.imports import RequirementCache

from fkd.config.instantiate import instantiate
from fkd.errors import UserError
from fkd.io import images
from fkd.training.callbacks.loggers import log_image
from tests.config.test_conf import compose
from tests.conftest import Outcome

Script = Callable[..., Outcome]
TINY = ("trainer=debug", "data.subjects=20", "data.frames=4", "data.size=96", "crop.size=32", "data.batch_size=8")
RUN = ("data.num_workers=0", "test=false", "hydra.sweep.dir=sweep")


def sweep(script: Script, logger: str) -> list[Path]:
    """Two runs in one process; their folders."""
    outcome = script("train", "-m", f"logger={logger}", "seed=0,1", *TINY, *RUN)
    assert outcome.status == 0, outcome.err
    folders = sorted(path.parent for path in Path("sweep").glob("*/result.json"))
    assert len(folders) == 2
    for folder in folders:
        assert (folder / "metrics.csv").exists()
        assert list((folder / "tensorboard").glob("events*"))
    return folders


def test_mlflow_gets_choices_figures_curves_and_images(script: Script) -> None:
    mlflow, _ = pytest.importorskip("mlflow"), pytest.importorskip("sqlalchemy")
    folders = sweep(script, "mlflow")
    client = mlflow.MlflowClient("sqlite:///outputs/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("train")
    runs = sorted(client.search_runs([experiment.experiment_id]), key=lambda run: run.info.run_name)
    assert [run.info.run_name for run in runs] == [folder.name for folder in folders]
    for seed, (run, folder) in enumerate(zip(runs, folders, strict=True)):
        result = json.loads((folder / "result.json").read_text())
        assert (run.info.status, run.data.params["seed"], run.data.params["model"]) == (
            "FINISHED",
            str(seed),
            "compact",
        )
        assert run.data.metrics["best/nme"] == pytest.approx(result["best"]["val/nme"])
        (point,) = client.get_metric_history(run.info.run_id, "val/nme")
        assert point.value == pytest.approx(result["best"]["val/nme"])
        artifacts = Path("outputs/mlflow/artifacts") / run.info.run_id / "artifacts" / "images"
        (shown,) = artifacts.glob("val~faces*.png")
        np.testing.assert_array_equal(images.read(shown, 3), images.read(folder / "val_faces.png", 3))


def test_wandb_keeps_each_run_offline_in_its_own_folder(script: Script) -> None:
    wandb = pytest.importorskip("wandb")
    folders = sweep(script, "wandb")
    wandb.teardown()  # as the end of the process does: wandb's own process has written all then
    for folder in folders:
        (run,) = (folder / "wandb").glob("offline-run-*")
        assert list(run.glob("run-*.wandb"))
        (shown,) = (run / "files/media/images/val").glob("faces_*.png")
        np.testing.assert_array_equal(images.read(shown, 3), images.read(folder / "val_faces.png", 3))
        content = next(run.glob("run-*.wandb")).read_bytes()
        result = json.loads((folder / "result.json").read_text())
        assert b"best/nme" in content
        assert f"{result['best']['val/nme']:.10f}"[:8].encode() in content


@pytest.mark.parametrize(("name", "cache"), [("wandb", "_WANDB_AVAILABLE"), ("mlflow", "_MLFLOW_AVAILABLE")])
def test_a_logger_that_is_not_installed_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, name: str, cache: str
) -> None:
    gone = RequirementCache("no-such-package>=1", "no_such_package")
    monkeypatch.setattr(f"pytorch_lightning.loggers.{name}.{cache}", gone)
    monkeypatch.setattr("fkd.config.instantiate.metadata", lambda package: Metadata())
    cfg = compose(f"logger={name}")
    with pytest.raises(UserError) as error:
        instantiate(cfg.logger[name], f"logger.{name}")
    assert str(error.value) == f"logger.{name}: needs what is not installed yet; pip install 'fkd[{name}]'"


class Metadata:
    """That of an installation of fkd."""

    def get_all(self, name: str, default: list[str]) -> list[str]:
        return {"Provides-Extra": ["wandb", "mlflow"]}.get(name, default)


def test_a_logger_without_images_is_left_alone(tmp_path: Path) -> None:
    from pytorch_lightning.loggers import CSVLogger

    log_image(CSVLogger(tmp_path), "val/faces", np.zeros((4, 4, 3), np.uint8), 1)
    assert not list(tmp_path.iterdir())
