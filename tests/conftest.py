"""What all tests share."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

# Before torch is imported: the tests run in two processes, which would fight for the cores with two threads each.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What the tests find out about the machine is not for the user's own cache.
if "SNNRUN_CACHE_DIR" not in os.environ:
    os.environ["SNNRUN_CACHE_DIR"] = tempfile.mkdtemp(prefix="snnrun-cache-")
    atexit.register(shutil.rmtree, os.environ["SNNRUN_CACHE_DIR"], ignore_errors=True)

# Last, so that an installed snnrun stays the one that is tested: benchmarks/ is no part of the package.
sys.path.append(str(Path(__file__).parents[1]))


def pytest_configure(config: pytest.Config) -> None:
    """In CI the warnings of dependencies are errors too."""
    if os.environ.get("SNNRUN_CI"):
        config.addinivalue_line("filterwarnings", "error")
