"""The command line of all scripts: Hydra's, with one clear line and exit status 2 for a mistake of the user."""

import functools
import gc
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue, OmegaConfBaseException
from yaml.error import MarkedYAMLError

from fkd import distributed
from fkd.cli.arguments import arranged, of_program, overrides_of, quoted, use_projects
from fkd.cli.help import help_text
from fkd.cli.messages import explain, is_too_long
from fkd.cli.refused import forget, put_back
from fkd.cli.sweep_folders import RefusedError, statuses
from fkd.config import CONF, project, resolvers  # noqa: F401 (configs call the resolvers)
from fkd.config.checks import check_numbers
from fkd.errors import BAD_OBJECTIVE, FacesVisibleError, Interrupted, Pruned, Stopped, UserError
from fkd.io.atomic import refusal, whole_file
from fkd.library_internals.hydra import check_options, run_task, without_hydra_state, write_configs_with
from fkd.terminal import leave_unread, say, show, tell

_EXPECTED = (UserError, Stopped, FacesVisibleError, MissingMandatoryValue, InterpolationResolutionError)
"""Exceptions of a task that are reported in one line."""
_COMMAND_LINE = (HydraException, OmegaConfBaseException, MarkedYAMLError, OSError, ValueError)
"""Exceptions of composing the config that are reported in one line."""
warnings.filterwarnings("ignore", r"\s*'hydra/launcher/")  # here, since a launcher composes before it starts a job


@dataclass(eq=False)
class Command:
    """A task that is run with `conf/<config_name>.yaml` and overrides: once, as a sweep, or by a program.

    Args:
        task: takes the config; what it returns is the objective of a sweep.
        config_name: name of the file in conf.
        positional: key that takes the first argument without =, as in `fkd compare DIR`.
        rewrite: changes the arguments before Hydra parses them.
    """

    task: Callable[[DictConfig], Any]
    config_name: str
    positional: str = ""
    rewrite: Callable[[list[str]], list[str]] = list

    def __call__(self) -> None:
        self.main()

    def main(self) -> None:
        """Run the command line of this process, and set its exit status."""
        self._prepare()
        statuses.clear()
        os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra raises errors of the command line to here
        try:
            self._run_command_line()
        except KeyboardInterrupt as error:  # between jobs, or while a launcher waited for them
            say("; ".join(filter(None, ("interrupted", str(error) or self._resume_hint))))
            sys.exit(1)
        except RefusedError as error:
            say(str(error.reason))
            raise
        except Exception as error:
            if isinstance(error, BrokenPipeError) and not self._started:  # Hydra printed a config
                leave_unread(sys.stdout)
                return
            if not self._is_expected(error):
                raise
            put_back(error)
            say(explain(error, self.config_name))
            sys.exit(_status(error))
        if statuses:  # of a sweep's jobs, which have printed their errors
            sys.exit(min(statuses))

    def call(self, overrides: Sequence[str]) -> Path:
        """Run the task in this process, which does not end; gives the folder of the run.

        Raises:
            UserError: an override or an input is wrong.
            Stopped: the training ended early.
            FacesVisibleError: see there.
        """
        self._prepare()
        arguments = of_program(overrides, self.config_name)
        try:
            return run_task(CONF, self.config_name, arranged(self.rewrite(arguments)), self._job_of_program)
        except RefusedError as error:
            raise error.reason from None
        except (Stopped, FacesVisibleError):
            raise
        except Exception as error:
            if not self._is_expected(error):
                raise
            put_back(error)
            if isinstance(error, UserError):
                raise
            raise UserError(explain(error, self.config_name, arguments)) from error
        finally:
            gc.collect()  # as after a job of a sweep

    def _prepare(self) -> None:
        self._started, self._resume_hint = False, ""  # whether a job has started in this process; how to resume it
        forget()
        quieten()

    def _run_command_line(self) -> None:
        sys.argv[1:] = use_projects(sys.argv[1:])
        self._projects = project.active()
        if {"--help", "-h"} & set(sys.argv[1:]):
            tell(help_text(CONF, self.config_name, [each.conf for each in self._projects], sys.argv[1:]))
            return
        for each in self._projects:
            show(*each.remarks())
        overrides = overrides_of(sys.argv[1:], self.positional, self.config_name)
        sys.argv[1:] = arranged(self.rewrite([quoted(argument) for argument in overrides]))
        check_options(sys.argv[1:])
        job = functools.wraps(self.task)(functools.partial(self._job))  # Hydra names jobs after the task's module
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=self.config_name)(job)()

    def _job(self, cfg: DictConfig) -> Any:
        """Run the task; in a sweep its error is printed, its objective is `BAD_OBJECTIVE`, and the other jobs run."""
        quieten()  # once more, as the next line, for a job in a process of its own
        project.use(self._projects)
        hydra_config = HydraConfig.get()
        self._started, sweep = True, hydra_config.mode == RunMode.MULTIRUN
        if "ckpt_path" in cfg:
            folder, job = (hydra_config.sweep.dir, "the sweep") if sweep else (cfg.run_dir, "it")
            self._resume_hint = f"resume={folder} continues {job}"
        if distributed.is_worker():
            distributed.end_with_parent()
        try:
            check_numbers(cfg)
            return self.task(cfg)
        except Pruned as error:
            show(str(error))
        except (Interrupted, KeyboardInterrupt, SystemExit) as error:  # Lightning turns the second into the third
            if distributed.is_worker():  # the process that started it prints the message
                distributed.leave()
            message = str(error) if isinstance(error, Interrupted) else "interrupted"
            if distributed.is_first():
                say(message if self._resume_hint in message else f"{message}; {self._resume_hint}")
            statuses.add(1)
            if not (isinstance(error, Interrupted) and distributed.is_submitted()):
                sys.exit(error.code if isinstance(error, SystemExit) else 1)  # submitit starts the job again
        except Exception as error:
            if self._is_expected(error):
                say(explain(error, self.config_name))
                if not sweep:
                    if not isinstance(error, Stopped | FacesVisibleError):
                        put_back(error)
                    sys.exit(_status(error))
                statuses.add(_status(error))
            elif not sweep:
                raise
            else:
                traceback.print_exc()
                statuses.add(1)
        finally:
            if sweep:
                gc.collect()  # a trainer, its net and its data refer to each other and would stay for long
        return BAD_OBJECTIVE

    def _job_of_program(self, cfg: DictConfig) -> Any:
        self._started = True
        if OmegaConf.select(cfg, "trainer.strategy") == "ddp":
            raise UserError(
                "trainer=ddp: expected one process, since a program is not started again for each device; use "
                f"the command line, fkd {self.config_name} trainer=ddp"
            )
        check_numbers(cfg)
        return self.task(cfg)

    def _is_expected(self, error: Exception) -> bool:
        """Whether one line is enough; errors of composing the config are expected only before a job has started."""
        is_early = not self._started and isinstance(error, _COMMAND_LINE)
        return isinstance(error, _EXPECTED) or is_early or refusal(error) is not None or is_too_long(error)


def command(
    config_name: str, positional: str = "", rewrite: Callable[[list[str]], list[str]] = list
) -> Callable[[Callable[[DictConfig], Any]], Command]:
    """Make a `Command` of the function below; the arguments are described there."""
    return lambda task: Command(task, config_name, positional, rewrite)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(content)


write_configs_with(_write)


def _status(error: Exception) -> int:
    """The exit status of an error that is reported in one line."""
    return int(getattr(error, "status", UserError.status))


def composed(config_name: str, overrides: Sequence[str]) -> DictConfig:
    """The config as a command has it.

    Raises:
        UserError: an override is wrong.
    """
    arguments = of_program(overrides, config_name)
    if not (CONF / f"{config_name}.yaml").is_file():
        raise UserError(f"config={config_name}: expected the name of a command, such as train or predict")
    try:
        with without_hydra_state(), hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = hydra.compose(config_name, arguments)
    except _COMMAND_LINE as error:
        raise UserError(explain(error, config_name, arguments)) from error
    if "run_dir" in cfg:
        cfg.run_dir = "."  # which a command would make
    return cfg


def quieten() -> None:
    """Silence advice of Lightning and Pillow that does not apply to fkd's scripts."""
    for name in ("trainer", "utilities", "accelerators"):  # the package's own level is reset by its import
        logging.getLogger(f"pytorch_lightning.{name}").setLevel(logging.WARNING)
    logging.getLogger("lightning_fabric.utilities").setLevel(logging.WARNING)
    for message in (
        ".*Experiment logs directory.*",
        ".*LeafSpec.*",
        ".*smaller than the logging interval.*",
        ".*does not have many workers.*",
        ".*dirpath has changed.*",
        ".*exists and is not empty.*",
        ".*`srun` command is available.*",
        ".*your dataloader is not resumable.*",  # its sampler is: see KeypointDataModule.state_dict
    ):
        warnings.filterwarnings("ignore", message)
    # Pillow warns of odd metadata without naming the file; for damaged pixels it raises an exception.
    warnings.filterwarnings("ignore", module=r"PIL\.")
