"""Where public vectors and data sets lie. They are read in place and are no part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _directory(variable: str, default: str) -> Path:
    path = ROOT / os.environ.get(variable, default)
    if not path.is_dir():
        pytest.skip(f"{path} is not there: set {variable} to the directory that holds these files")
    return path


@pytest.fixture(scope="session")
def vectors() -> Path:
    """Published test vectors, one directory for each source."""
    return _directory("ENCMEMPOOL_VECTORS", "../shared/vectors")


@pytest.fixture(scope="session")
def data() -> Path:
    """Recorded market and chain data."""
    return _directory("ENCMEMPOOL_DATA", "../shared/data")
