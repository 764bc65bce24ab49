import gc
import sys
import types
from contextlib import suppress

import pytest

from fkd import distributed


@pytest.mark.parametrize("at_start", [True, False])
def test_imports_are_not_collected(at_start: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if at_start:
        monkeypatch.delitem(sys.modules, "torch", raising=False)
    else:
        monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    gc.unfreeze()
    with suppress(ImportError), distributed.importing():
        enabled_inside = gc.isenabled()
        raise ImportError
    frozen = gc.get_freeze_count()
    gc.unfreeze()
    assert (enabled_inside, gc.isenabled()) == (False, True)
    assert (frozen > 0) == at_start
