"""Puts `conf/` into the wheel, as `fkd/conf`; all else is said in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConf(build_py):
    """In a clone, and where it is installed with `pip install -e`, configs stay where they are."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "fkd", "conf")
            shutil.rmtree(target, ignore_errors=True)  # of an earlier build
            shutil.copytree("conf", target, ignore=shutil.ignore_patterns("benchmark.yaml", "zoo.yaml"))


setup(cmdclass={"build_py": BuildWithConf})
