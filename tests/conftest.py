"""What all tests share."""

from __future__ import annotations

import sys
from pathlib import Path

# importlib mode puts no folder on the path; the reader of the reference numbers is a plain module beside this file.
sys.path.insert(0, str(Path(__file__).parent))
