"""Where the repository's folders are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
CONF = ROOT / "conf"
DOCS = ROOT / "docs"
SUPPORT = TESTS / "support"


def real_data(name: str) -> Path:
    """A folder of real data, which is no part of the repository; the test is skipped where it is missing.

    It lies in ``SNNRUN_TEST_DATA``, or in ``shared/data`` beside the repository.
    """
    places = [Path(os.environ["SNNRUN_TEST_DATA"])] if "SNNRUN_TEST_DATA" in os.environ else []
    for place in [*places, ROOT.parent / "shared" / "data"]:
        if (place / name).is_dir():
            return place / name
    pytest.skip(f"the real data {name} lies neither in SNNRUN_TEST_DATA nor in ../shared/data")
