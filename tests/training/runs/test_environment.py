"""Where a figure was measured."""

import subprocess

import torch

from fkd.training.runs.environment import environment
from tests.conftest import PROJECT


def test_the_versions_and_the_commit_are_those_of_this_clone() -> None:
    found = environment()
    assert (found["torch"], found["threads"]) == (torch.__version__, torch.get_num_threads())
    head = subprocess.run(["git", "-C", str(PROJECT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    commit = found["commit"]
    if head.returncode:  # an unpacked archive, or another user's clone
        assert commit is None
    else:
        assert head.stdout.startswith(commit.removesuffix("-dirty"))
