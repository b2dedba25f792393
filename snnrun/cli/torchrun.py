"""The command under torchrun, or any launcher that starts several processes and numbers them.

Rank 0 does all that one process does: it reads the command, makes the folder, writes and prints. The others take from
it what they are to train, and are silent. What does not train is done by rank 0 alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from snnrun.config import trust
from snnrun.errors import ConfigError, ProcessLost, SnnrunError
from snnrun.job.arguments import AGAIN, Arguments
from snnrun.run import imports
from snnrun.system import machine
from snnrun.system.ranks import Ranks


def trains(arguments: Arguments) -> bool:
    """Whether the command trains, unless it is faulty."""
    if (
        arguments.help
        or arguments.version
        or arguments.shows
        or arguments.completion
        or arguments.list_words is not None
    ):
        return False
    return arguments.command == "train" or (arguments.command in AGAIN and arguments.command != "evaluate")


def main(arguments: Arguments, ranks: Ranks, run: Callable[[], int]) -> int:
    """Answer the command as one of several processes; ``run`` is what a single one would do. Returns the exit code."""
    if not trains(arguments):
        return 0 if ranks.rank else run()
    if arguments.multirun:
        if ranks.rank:
            return ConfigError.exit_code
        raise ConfigError(
            "-m: a sweep under torchrun would train every job with all processes; start its jobs one by one with "
            "torchrun, or the sweep without it"
        )
    machine.keep_freed_memory()
    imports.load("train")
    return _follow(arguments, ranks) if ranks.rank else _lead(ranks, run)


def _lead(ranks: Ranks, run: Callable[[], int]) -> int:
    from snnrun.system import processes

    board, code = processes.connect(ranks), 1
    try:
        code = run()
        return code
    except (SnnrunError, KeyboardInterrupt) as error:
        code = getattr(error, "exit_code", 130)
        raise
    finally:
        processes.done(board, code)


def _follow(arguments: Arguments, ranks: Ranks) -> int:
    """Errors are told by rank 0, or if it was lost by the first that is left."""
    from snnrun.job.job import Job
    from snnrun.run.execute import follow
    from snnrun.system import processes

    board = processes.connect(ranks)
    asked = processes.take(board)
    if isinstance(asked, int):
        return asked
    try:
        with (
            trust.importable(arguments.config_dir, arguments.trusted),
            processes.joined(ranks, board, asked["device"]) as team,
        ):
            follow(Job.of(asked["config"], folder=Path(), command=(), trusted=arguments.trusted), team)
    except ProcessLost as error:
        if error.first_left == ranks.rank:
            raise
        processes.farewell(board)
        return error.exit_code
    except (Exception, KeyboardInterrupt) as error:
        if arguments.debug:
            raise
        processes.farewell(board)
        return getattr(error, "exit_code", 130 if isinstance(error, KeyboardInterrupt) else 1)
    return 0
