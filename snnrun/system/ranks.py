"""The number of this process among several, from the environment of a launcher such as torchrun. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from snnrun.errors import ConfigError

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Ranks(NamedTuple):
    """This process's place.

    Attributes:
        rank: 0 to ``size - 1``; only rank 0 writes and prints.
        size: the number of processes. Default 1.
        local: its number on this machine, which selects its GPU.
    """

    rank: int = 0
    size: int = 1
    local: int = 0

    @staticmethod
    def in_environment(environment: Mapping[str, str]) -> bool:
        """True if a launcher has numbered this process."""
        return all(environment.get(name) for name in VARIABLES)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Ranks:
        """From the environment; one process unless all of ``VARIABLES`` are set.

        Raises:
            ConfigError: for a value that is not a number, or a rank out of range.
        """
        if not cls.in_environment(environment):
            return cls()
        try:
            rank, size = int(environment["RANK"]), int(environment["WORLD_SIZE"])
            local = int(environment.get("LOCAL_RANK") or rank)
        except ValueError:
            rank = size = local = -1
        if not (0 <= rank < size and local >= 0):
            shown = ", ".join(f"{name}={environment.get(name)!r}" for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
            raise ConfigError(
                f"{shown}: expected the numbers that torchrun sets, with RANK below WORLD_SIZE; start the command with "
                "torchrun, or unset them"
            )
        return cls(rank, size, local)
