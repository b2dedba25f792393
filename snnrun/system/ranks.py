"""Which of several processes this one is, as a launcher such as torchrun says in the environment. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from snnrun.errors import ConfigError

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Ranks(NamedTuple):
    """This process's place.

    Attributes:
        rank: 0 to ``size - 1``; rank 0 leads: it alone writes and prints.
        size: of how many processes it is one. Default 1.
        local: its place among those of this machine, by which it takes a GPU.
    """

    rank: int = 0
    size: int = 1
    local: int = 0

    @staticmethod
    def named(environment: Mapping[str, str]) -> bool:
        """Whether a launcher has numbered this process."""
        return all(environment.get(name) for name in VARIABLES)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Ranks:
        """As the environment says; one process unless all of ``VARIABLES`` are set.

        Raises:
            ConfigError: for what is no number, or a rank that is none of so many.
        """
        if not cls.named(environment):
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
