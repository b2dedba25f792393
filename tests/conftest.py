"""What all tests share."""

from __future__ import annotations

import atexit
import gc
import os
import pickle
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

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


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """The garbage collector passes over what is there before the first test: thousands of tests, and torch.

    It would look through all of it again and again, which takes a tenth of the time of the tests.
    """
    gc.disable()
    yield
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def compositions() -> Iterator[None]:
    """Hydra composes a config of ``conf/`` once per process: it takes 0.1 s, and the tests ask thousands of times."""
    from hydra import compose

    from snnrun.config.catalogue import conf_folder

    configs: dict[tuple[str, ...], bytes] = {}
    folder = str(conf_folder())

    def remember(primary: str, words: Sequence[str], return_hydra_config: bool) -> Any:
        key = (primary, *words)
        if any("searchpath" in word for word in words) or str(conf_folder()) != folder:
            return compose(primary, list(words), return_hydra_config=return_hydra_config)  # a folder that may change
        if key not in configs:
            configs[key] = pickle.dumps(compose(primary, list(words), return_hydra_config=return_hydra_config))
        config = pickle.loads(configs[key])
        config.hydra.runtime.cwd = os.getcwd()
        return config

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("snnrun.job.compose.compose", remember)
        yield
