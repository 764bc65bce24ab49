import platform
import subprocess
import sys

import pytest

CODE = """
import resource
import numpy as np
from fkd.distributed import keep_memory
if {keeps}:
    keep_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(64 * 2**20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives each large block back at once")
@pytest.mark.parametrize("keeps", [True, False])
def test_a_block_that_was_freed_is_used_again(keeps: bool) -> None:
    """The pages of 64 MiB are asked from the system once; without, they are at the second time, too."""
    result = subprocess.run(
        [sys.executable, "-c", CODE.format(keeps=keeps)], capture_output=True, text=True, check=True
    )
    assert (int(result.stdout) < 10) == keeps
