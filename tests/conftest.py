"""What all tests share."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

# Before torch is imported: the tests run in two processes, which would fight for the cores with two threads each.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What the tests find out about the machine is not for the user's own cache.
os.environ.setdefault("SNNRUN_CACHE_DIR", tempfile.mkdtemp(prefix="snnrun-cache-"))

# importlib mode puts no folder on the path; the reader of the reference numbers is a plain module beside this file.
sys.path.insert(0, str(Path(__file__).parent))
