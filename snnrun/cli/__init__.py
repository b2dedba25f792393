"""The command ``snnrun``: words in, calls out.

This file and its top-level imports are light, so that help and lists appear at once; Hydra and torch are imported only
for a run.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from snnrun import __version__
from snnrun.cli import offer, usage
from snnrun.config import trust
from snnrun.config.catalogue import Catalogue
from snnrun.errors import ConfigError, SnnrunError, StorageError, exit_code
from snnrun.job.arguments import AGAIN, LOOKING, PRIMARY, Arguments, parse
from snnrun.system import machine, say
from snnrun.system.layout import fit, page_width
from snnrun.system.ranks import Ranks
from snnrun.system.stream import open_standard_streams, safe_output

INTERRUPTED = exit_code("INTERRUPTED")  # 128 + SIGINT, as in shells


def entry() -> int:
    """The entry point of the process; returns the exit code, or exits with it."""
    open_standard_streams()
    code = main()
    if "torch.distributed" in sys.modules and Ranks.in_environment(os.environ):
        # torch.distributed's threads outlive its groups, and abort an interpreter that shuts down.
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with the arguments ``argv`` (default: of the process); returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    with safe_output() as out:
        arguments = parse(words)
        code = _code(arguments, words)
        out.flush()
        # A run without visible output is valid; an answer that could not be printed is an error.
        if code == 0 and out.error is not None and not isinstance(out.error, BrokenPipeError) and _answers(arguments):
            reason = getattr(out.error, "strerror", None) or out.error
            say.say(f"snnrun: the answer could not be written: {reason}", error=True)
            return StorageError.exit_code
        return code


def _answers(arguments: Arguments) -> bool:
    """True if the command does nothing but print."""
    shows = arguments.help or arguments.version or arguments.list_words is not None or arguments.shows
    return bool(
        shows or arguments.completion or arguments.dry_run or arguments.command in (*usage.LOOKING, "best", "evaluate")
    )


def _code(arguments: Arguments, argv: list[str]) -> int:
    """Run the command; returns the exit code."""
    try:
        arguments.trusted += trust.of_environment()
    except ValueError as error:
        arguments.faults.append(str(error))
    debug = arguments.debug or os.environ.get("SNNRUN_DEBUG", "0") not in ("", "0")
    try:
        return _run_as_rank(arguments, argv, debug=debug)
    except KeyboardInterrupt as interrupt:
        print("snnrun: interrupted", file=sys.stderr)
        offer.after(interrupt, arguments)
        return getattr(interrupt, "exit_code", INTERRUPTED)
    except SnnrunError as error:
        if debug:
            traceback.print_exc()
        say.say("\n".join(say.shorten(line, 1500) for line in f"snnrun: {error}".split("\n")), error=True)
        offer.after(error, arguments)
        return error.exit_code
    except Exception as error:
        if debug:
            traceback.print_exc()
        words, code = say.describe(error)
        say.say(words, error=True)
        return code


def _run_as_rank(arguments: Arguments, words: list[str], *, debug: bool) -> int:
    ranks = Ranks.of(os.environ)
    if ranks.size == 1:
        return _dispatch(arguments, words, debug=debug)
    from snnrun.cli import torchrun

    return torchrun.main(arguments, ranks, lambda: _dispatch(arguments, words, debug=debug))


def _page(sweep: Path) -> str:
    """The page of a sweep for ``snnrun show``; imported late, since runs need fewer libraries."""
    from snnrun.cli import jobs

    return jobs.page(sweep)


def _dispatch(arguments: Arguments, words: list[str], *, debug: bool) -> int:
    if arguments.version:
        print(f"snnrun {__version__}")
        return 0
    if arguments.command in usage.REPORTING:
        from snnrun.cli import report

        return report.main(arguments)
    if arguments.command in LOOKING:
        from snnrun.cli import runs

        return runs.main(arguments, _page)
    if arguments.completion is not None:
        from snnrun.cli import hydra_private

        hydra_private.complete(arguments)
        return 0
    machine.keep_freed_memory()
    if arguments.command == "doctor":
        from snnrun.cli import doctor

        return doctor.main(arguments)
    if arguments.command in AGAIN:
        from snnrun.cli import rerun

        with trust.allow_imports(arguments.config_dir, arguments.trusted):
            return rerun.main(arguments, ["snnrun", *words])
    catalogue = Catalogue(arguments.config_dir, PRIMARY[arguments.command])
    if arguments.help and arguments.list_words is not None:
        say.say(fit(usage.LIST, page_width()))
        return 0
    if arguments.help:
        say.say(usage.help_text(catalogue, arguments.command))
        return 0
    if arguments.list_words is not None:
        if arguments.faults:
            raise ConfigError(say.faults(arguments.faults))
        say.say(usage.listing(catalogue, arguments.list_words))
        return 0

    from snnrun.cli.commands import command_of
    from snnrun.job import validate
    from snnrun.job.compose import composer
    from snnrun.run import imports

    mode = None if arguments.shows else "MULTIRUN" if arguments.multirun else "RUN"
    with trust.allow_imports(arguments.config_dir, arguments.trusted), composer(catalogue, mode) as hydra:
        command = command_of(arguments.command)
        plan = validate.validate(arguments, catalogue, command, hydra, load=imports.load, debug=debug)
        if arguments.info:
            from snnrun.cli import hydra_private

            hydra_private.show_info(arguments, plan, hydra)
            return 0
        from snnrun.cli import launch  # not before: it imports torch, and typos are found without it

        if arguments.cfg:
            launch.show_config(arguments, plan, hydra)
            return 0
        return launch.launch(arguments, ["snnrun", *words], plan, hydra, debug=debug)
