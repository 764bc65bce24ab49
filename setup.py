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
            shutil.copytree("conf", Path(self.build_lib, "fkd", "conf"), dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithConf})
