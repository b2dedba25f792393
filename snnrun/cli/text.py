"""What the command prints: help, lists and messages."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from snnrun.catalogue import Catalogue
from snnrun.cli.arguments import nearest
from snnrun.errors import ConfigError

WIDTH = 100

USAGE = """\
snnrun trains a spiking neural network from a composed config and keeps a record of the run.

usage: snnrun [key=value ...]            train
       snnrun -m [key=a,b,c ...]         train once for each combination (a sweep)
       snnrun list [GROUP]               what there is to choose from
       snnrun --cfg job [key=value ...]  show the composed config, train nothing

examples:
  snnrun                                              handwritten digits, in seconds, offline
  snnrun neuron=if surrogate=atan                     pick parts by name
  snnrun neuron.beta=0.9 'model.hidden=[500,200]'     set what a part takes
  snnrun -m neuron=if,lif seed=0,1,2                  six runs, each in its own folder
  snnrun --config-dir my_parts neuron=mine            parts of your own: my_parts/neuron/mine.yaml
"""

FLAGS = """\
flags:
  -m, --multirun      run every combination of values separated by commas
  --cfg WHAT          show the config: job, hydra or all; with --resolve, references are filled in
  --config-dir DIR    a folder with parts of your own, DIR/GROUP/NAME.yaml; Python modules in it can be named too
  --debug             show the full traceback of an error (or set SNNRUN_DEBUG=1)
  --version, -h, --help
"""

EXIT_CODES = """\
exit codes:
  0 done   1 a bug   2 bad command or config   3 missing data   4 a loss or gradient that is not finite
  5 out of memory   6 the record could not be written   7 a job of a sweep failed   130 interrupted"""


def help_text(catalogue: Catalogue) -> str:
    """The answer to ``--help``."""
    width = max(len(f"{key.name}={key.default}") for key in catalogue.keys)
    keys = [f"  {f'{key.name}={key.default}':<{width}}  {key.comment}".rstrip() for key in catalogue.keys]
    groups = []
    for group, options in catalogue.groups.items():
        chosen = catalogue.defaults.get(group)
        names = ", ".join(f"{name}*" if name == chosen else name for name in options)
        groups.append(textwrap.fill(names, WIDTH, initial_indent=f"  {group:<12}", subsequent_indent=" " * 14))
    title = "parts (* = default; `snnrun list` says what each is):"
    return "\n".join([USAGE, FLAGS, "keys:", *keys, "", title, *groups, "", EXIT_CODES])


def listing(catalogue: Catalogue, words: Sequence[str]) -> str:
    """The answer to ``snnrun list [GROUP]``: a line for each option of each group."""
    if len(words) > 1:
        raise ConfigError(f"list: expected one group at most, got {' '.join(words)}")
    if words and words[0] not in catalogue.groups:
        hint = nearest(words[0], catalogue.groups) or ";"
        raise ConfigError(f"list: there is no group {words[0]!r}{hint} there are {', '.join(catalogue.groups)}")
    lines: list[str] = []
    for group in words or catalogue.groups:
        chosen, options = catalogue.defaults.get(group), catalogue.groups[group]
        width = max(len(name) for name in options) + 1
        lines += ["", group] if lines else [group]
        for name in options:
            mark = "*" if name == chosen else ""
            lines.append(f"  {name + mark:<{width}}  {catalogue.describe(group, name)}".rstrip())
    return "\n".join([*lines, "", "* is the default; choose with GROUP=NAME"])


def faults(messages: Iterable[str]) -> str:
    """All faults of a command as one message."""
    unique = [shorten(message) for message in dict.fromkeys(messages)]
    count = "1 fault" if len(unique) == 1 else f"{len(unique)} faults"
    title = f"{count} in the command; nothing was started"
    ending = "`snnrun --help` shows the keys, `snnrun list` the parts"
    return "\n".join([title, *(f"  {message}" for message in unique), ending])


def bug(error: Exception) -> str:
    """One line for an error that nobody foresaw."""
    message = shorten(str(error).strip().partition("\n")[0])
    return (
        f"snnrun: {type(error).__name__}: {message}\n"
        "This is a bug in snnrun or in a part of your own; run again with --debug for the traceback"
    )


def shorten(message: str, limit: int = 600) -> str:
    """Cut the middle out of a message that would fill the screen."""
    return message if len(message) <= limit else f"{message[: limit // 2]} ... {message[-limit // 2 :]}"
