"""Ranks, as torchrun tells them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from snnrun.errors import ConfigError
from snnrun.system.ranks import Ranks
from support.refusals import fails
from support.shell import environment


def launcher(processes: int) -> list[str]:
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--no-python", "--nproc-per-node"]
    return [*run, str(processes), sys.executable]


def torchrun(processes: int, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """``torchrun -m snnrun WORDS``."""
    cwd.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [*launcher(processes), "-m", "snnrun", *words],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_ranks_are_read_from_the_environment() -> None:
    variables = {"MASTER_ADDR": "here", "MASTER_PORT": "1", "RANK": "3", "WORLD_SIZE": "4"}
    assert Ranks.of({}) == Ranks.of({"RANK": "1", "WORLD_SIZE": "2"}) == Ranks(0, 1, 0)
    assert Ranks.of(variables) == Ranks(3, 4, 3)
    assert Ranks.of(variables | {"LOCAL_RANK": "1"}) == Ranks(3, 4, 1)
    for wrong in ({"RANK": "4"}, {"RANK": "-1"}, {"RANK": "x"}, {"WORLD_SIZE": "0"}, {"LOCAL_RANK": "-2"}):
        with fails(ConfigError, "the numbers that torchrun sets"):
            Ranks.of(variables | wrong)
