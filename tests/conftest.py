"""Shared by all tests: one thread, no plots on screens, and where the sample data lies."""

from pathlib import Path

import pytest
import torch

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of sample data beside the checkout, if it is there."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the sample data in {SHARED.name}/ beside the checkout")
    return SHARED


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
