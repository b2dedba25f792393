"""The command under torchrun, or any launcher that starts several numbered processes.

Rank 0 works like a single process: it reads the command, creates the folder, writes and prints. The others receive the
job from it and print nothing. Only rank 0 runs commands without training.
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
    """True if the command trains, unless it is faulty."""
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
    """Run the command as one of several processes; ``run``: the work of a single one. Returns the exit code."""
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
    from snnrun.system.team import connect, done

    board, code = connect(ranks), 1
    try:
        code = run()
        return code
    except (SnnrunError, KeyboardInterrupt) as error:
        code = getattr(error, "exit_code", 130)
        raise
    finally:
        done(board, code)


def _follow(arguments: Arguments, ranks: Ranks) -> int:
    """Train with rank 0. If rank 0 is lost, the first remaining rank reports the error."""
    from snnrun.job.job import Job
    from snnrun.run.execute import follow
    from snnrun.system.team import connect, farewell, join, take

    board = connect(ranks)
    job = take(board)
    if isinstance(job, int):
        return job
    try:
        with (
            trust.allow_imports(arguments.config_dir, arguments.trusted),
            join(ranks, board, job["device"]) as team,
        ):
            follow(Job.of(job["config"], folder=Path(), command=(), trusted=arguments.trusted), team)
    except ProcessLost as error:
        if error.first_rank == ranks.rank:
            raise
        farewell(board)
        return error.exit_code
    except (Exception, KeyboardInterrupt) as error:
        if arguments.debug:
            raise
        farewell(board)
        return getattr(error, "exit_code", 130 if isinstance(error, KeyboardInterrupt) else 1)
    return 0
