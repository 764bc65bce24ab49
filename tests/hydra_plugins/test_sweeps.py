"""sweep=NAME: how many jobs a preset has, alone and with what the command line adds."""

from collections.abc import Callable, Sequence

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus

from fkd.cli.command import CONF
from fkd.config.build_module import build_module
from tests.config.test_conf import compose
from tests.conftest import Outcome

Jobs = Callable[..., list[list[str]]]


@pytest.fixture
def jobs(script: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> Jobs:
    """The overrides of each job that a command line gives; none of them is run."""
    launched: list[list[str]] = []

    def launch(self: object, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        launched.extend(list(overrides) for overrides in job_overrides)
        return [JobReturn(status=JobStatus.COMPLETED, _return_value=0.0) for _ in job_overrides]

    launcher = Plugins.instance().class_name_to_class["hydra._internal.core_plugins.basic_launcher.BasicLauncher"]
    monkeypatch.setattr(launcher, "launch", launch)

    def run(*arguments: str) -> list[list[str]]:
        launched.clear()
        outcome = script("train", *arguments, "hydra.sweep.dir=unused", "~hydra.callbacks.folders")
        assert outcome.status == 0, outcome.err
        return launched

    return run


def values(jobs: list[list[str]], key: str) -> list[str]:
    """What each job gives for a key; it is given once."""
    found = [[text.partition("=")[2] for text in job if text.partition("=")[0] == key] for job in jobs]
    assert all(len(texts) == 1 for texts in found)
    return [text for texts in found for text in texts]


def test_seeds5_is_five_seeds_of_the_recipe_that_the_command_line_gives(jobs: Jobs) -> None:
    given = jobs("sweep=seeds5", "experiment=face/compact", "data.root=faces")
    assert values(given, "seed") == ["0", "1", "2", "3", "4"]
    assert values(given, "experiment") == ["face/compact"] * 5
    assert values(given, "data.root") == ["faces"] * 5


def test_what_the_command_line_sweeps_over_comes_on_top(jobs: Jobs) -> None:
    given = jobs("sweep=seeds5", "optimizer.lr=1e-3,3e-4")
    assert len(given) == 10
    assert len(set(zip(values(given, "seed"), values(given, "optimizer.lr"), strict=True))) == 10


def test_the_command_line_wins_over_the_preset(jobs: Jobs) -> None:
    assert values(jobs("sweep=seeds5", "seed=7,8"), "seed") == ["7", "8"]
    assert len(jobs("sweep=grid_small", "model=conv5")) == 2
    assert len(jobs("-m", "sweep=seeds5")) == 5


def test_grid_small_is_three_nets_with_two_losses(jobs: Jobs) -> None:
    given = jobs("sweep=grid_small")
    pairs = set(zip(values(given, "model"), values(given, "loss"), strict=True))
    assert len(pairs) == len(given) == 6
    for name, loss in pairs:
        build_module(compose(f"model={name}", f"loss={loss}", "crop.size=64"))


def test_every_preset_sweeps_by_itself_and_leaves_the_recipe_alone() -> None:
    plain = compose()
    for path in (CONF / "sweep").glob("*.yaml"):
        cfg = compose(f"sweep={path.stem}")
        assert {key for key in cfg if cfg[key] != plain[key]} <= {"callbacks", "optimized_metric"}, path
        GlobalHydra.instance().clear()
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = hydra.compose("train", overrides=[f"sweep={path.stem}"], return_hydra_config=True)
        assert cfg.hydra.mode.name == "MULTIRUN"
        assert cfg.hydra.sweeper.params


def test_tpe_takes_a_pruner_of_ones_own_or_none() -> None:
    assert compose("sweep=tpe", "callbacks.pruning=null").callbacks.pruning is None
    pruner = compose("sweep=tpe", "callbacks.pruning.pruner.n_warmup_steps=9").callbacks.pruning.pruner
    assert pruner.n_warmup_steps == 9
