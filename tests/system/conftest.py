"""Runs that several tests look at."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from support.shell import CommandResult, on_a_terminal, snnrun

QUIET = ("report.figures=false", "report.summary=false", "report.progress=false")


class Thrice(NamedTuple):
    """The default training, three times over."""

    default: CommandResult  # `snnrun`, nothing else
    terminal: CommandResult  # the same command on a terminal
    quiet: CommandResult  # with everything switched off that draws or prints


@pytest.fixture(scope="session")
def thrice(tmp_path_factory: pytest.TempPathFactory) -> Thrice:
    folders = [tmp_path_factory.mktemp(name) for name in Thrice._fields]
    with ThreadPoolExecutor(2) as pool:  # a process for each of two cores
        runs = [
            pool.submit(snnrun, cwd=folders[0]),
            pool.submit(on_a_terminal, cwd=folders[1]),
            pool.submit(snnrun, *QUIET, cwd=folders[2]),
        ]
        return Thrice(*(run.result() for run in runs))


@pytest.fixture(scope="session")
def default(thrice: Thrice) -> CommandResult:
    return thrice.default


@pytest.fixture(scope="session")
def terminal(thrice: Thrice) -> CommandResult:
    return thrice.terminal


@pytest.fixture(scope="session")
def quiet(thrice: Thrice) -> CommandResult:
    return thrice.quiet
