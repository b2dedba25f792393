"""The command ``snnrun``: the only home of Hydra, which alone composes configs and makes run folders.

This file and those it imports at the top are light, so that help and lists come at once; whatever needs Hydra or
torch is imported when a run is asked for.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from snnrun import __version__, allocator, trust
from snnrun.catalogue import Catalogue
from snnrun.cli import offer, text
from snnrun.cli.arguments import AGAIN, LOOKING, PRIMARY, Arguments, parse
from snnrun.errors import ConfigError, SnnrunError, StorageError, exit_code
from snnrun.layout import fit, page_width
from snnrun.ranks import Ranks
from snnrun.stream import open_standard_streams, safe_output

INTERRUPTED = exit_code("INTERRUPTED")  # 128 + SIGINT, as shells have it


def entry() -> int:
    """The command as a process of its own; returns the exit code, or ends with it."""
    open_standard_streams()
    code = main()
    if "torch.distributed" in sys.modules and Ranks.named(os.environ):
        # torch.distributed's threads outlive its groups, and abort an interpreter that is taken down around them.
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with the arguments ``argv`` (default: those of the process); returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    with safe_output() as out:
        arguments = parse(words)
        code = _code(arguments, words)
        out.flush()
        # A run that nobody could watch is a run all the same; an answer that nobody got is none.
        if code == 0 and out.error is not None and not isinstance(out.error, BrokenPipeError) and _answers(arguments):
            reason = getattr(out.error, "strerror", None) or out.error
            text.say(f"snnrun: the answer could not be written: {reason}", error=True)
            return StorageError.exit_code
        return code


def _answers(arguments: Arguments) -> bool:
    """Whether what the command prints is all that it does."""
    shows = arguments.help or arguments.version or arguments.list_words is not None or arguments.cfg
    return bool(shows or arguments.dry_run or arguments.command in (*text.LOOKING, "best", "evaluate"))


def _code(arguments: Arguments, argv: list[str]) -> int:
    """Run the command; returns the exit code."""
    try:
        arguments.trusted += trust.names(os.environ.get(trust.VARIABLE, ""), trust.VARIABLE)
    except ValueError as error:
        arguments.faults.append(str(error))
    debug = arguments.debug or os.environ.get("SNNRUN_DEBUG", "0") not in ("", "0")
    try:
        return _placed(arguments, argv, debug=debug)
    except KeyboardInterrupt as interrupt:
        print("snnrun: interrupted", file=sys.stderr)
        offer.after(interrupt, arguments)
        return getattr(interrupt, "exit_code", INTERRUPTED)
    except SnnrunError as error:
        if debug:
            traceback.print_exc()
        text.say("\n".join(text.shorten(line, 1500) for line in f"snnrun: {error}".split("\n")), error=True)
        offer.after(error, arguments)
        return error.exit_code
    except Exception as error:
        if debug:
            traceback.print_exc()
        words, code = text.unforeseen(error)
        text.say(words, error=True)
        return code


def _placed(arguments: Arguments, words: list[str], *, debug: bool) -> int:
    ranks = Ranks.of(os.environ)
    if ranks.size == 1:
        return _dispatch(arguments, words, debug=debug)
    from snnrun.cli import several

    return several.main(arguments, ranks, lambda: _dispatch(arguments, words, debug=debug))


def _page(sweep: Path) -> str:
    """What ``snnrun show`` says of a sweep; runs are shown without the libraries that this needs."""
    from snnrun.cli import jobs

    return jobs.page(sweep)


def _dispatch(arguments: Arguments, words: list[str], *, debug: bool) -> int:
    if arguments.version:
        print(f"snnrun {__version__}")
        return 0
    if arguments.command in text.REPORTING:
        from snnrun.cli import report

        return report.main(arguments)
    if arguments.command in LOOKING:
        from snnrun.cli import look

        return look.main(arguments, _page)
    allocator.keep_freed_memory()
    if arguments.command in AGAIN:
        from snnrun.cli import again

        with trust.importable(arguments.config_dir, arguments.trusted):
            return again.main(arguments, ["snnrun", *words])
    catalogue = Catalogue(arguments.config_dir, PRIMARY[arguments.command])
    if arguments.help and arguments.list_words is not None:
        text.say(fit(text.LIST, page_width()))
        return 0
    if arguments.help:
        text.say(text.help_text(catalogue, arguments.command))
        return 0
    if arguments.list_words is not None:
        if arguments.faults:
            raise ConfigError(text.faults(arguments.faults))
        text.say(text.listing(catalogue, arguments.list_words))
        return 0

    from snnrun.cli import validate

    with trust.importable(arguments.config_dir, arguments.trusted):
        plan = validate.validate(arguments, catalogue, debug=debug)
        from snnrun.cli import launch  # not before: it imports torch, and a typo can be told without

        if arguments.cfg:
            return launch.show_config(arguments, plan)
        return launch.launch(arguments, ["snnrun", *words], plan, debug=debug)
