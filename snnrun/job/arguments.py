"""The words of the command line, sorted into flags and overrides; what is wrong with them is noted, not raised."""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from snnrun.config import trust
from snnrun.config.catalogue import Catalogue
from snnrun.errors import ConfigError
from snnrun.job.hints import COMMAND, FLAG, FLAG_AS_KEY, Keys, assignment, command_meant, split_at
from snnrun.system import say
from snnrun.system.safe_read import printable

FLAGS = (
    *("--help", "-h", "--version", "--debug", "--multirun", "-m", "--resume", "--dry-run"),
    *("--cfg", "--info", "--resolve", "--config", "--config-dir", "--seed", "--sort", "--json", "--shell-completion"),
)
ON_ERROR = ("continue", "stop")
# The functions of Hydra's override grammar.
HYDRA_FUNCTIONS = (
    *("choice", "range", "interval", "glob", "sort", "shuffle", "tag", "extend_list"),
    *("str", "int", "float", "bool", "json_str"),
)
CFG = ("job", "hydra", "all")
INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
COMPLETION = re.compile(r"(install|uninstall|query)=(bash|fish|zsh)")
# What the first word may be, and the config in conf/ that each command starts from.
PRIMARY = {"train": "config", "simulate": "simulate", "plot": "plot"}
# What `snnrun plot` draws, by the group that is named; the first counts.
SUBJECTS = (("encoder", "encoder"), ("encoder", "task"), ("neuron", "neuron"), ("surrogate", "surrogate"))
# Commands that look at runs: they compose nothing, and their words are folders and names.
LOOKING = ("runs", "show", "diff", "report", "best")
SEARCH = "hydra/sweeper=optuna"
IS_OVERRIDE = re.compile(r"[+~]|.*=", re.DOTALL)
NUMBER = re.compile(r"-[\d.]+(e-?\d+)?")
# Commands that run a run again, from its folder.
AGAIN = ("resume", "evaluate", "reproduce")
COMMANDS = ("list", "simulate", "plot", *LOOKING, *AGAIN)  # the words themselves; training needs none
ALL_COMMANDS = ("train", *COMMANDS)


@dataclass
class Arguments:
    """A command line: ``snnrun [simulate|plot] [flags] [overrides]``, ``snnrun list [group]``, ``snnrun show RUN``."""

    command: str = "train"
    help: bool = False
    version: bool = False
    debug: bool = False
    multirun: bool = False
    resolve: bool = False
    cfg: str | None = None
    info: str | None = None  # what Hydra is to say of itself
    completion: str | None = None  # what is to be done for completion in a shell: `install=bash`
    config: Path | None = None  # the edited config of a run
    config_dir: Path | None = None
    trusted: tuple[str, ...] = ()  # packages whose code a config may name: `trust=[a,b]`, which is no key of a config
    list_words: list[str] | None = None  # what follows `list`; None where that is not asked for
    words: list[str] = field(default_factory=list)  # the runs, after the name of a command that takes some
    overrides: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seed: int | None = None  # of `snnrun reproduce`
    sort: str | None = None  # of `snnrun runs`: KEY or KEY,asc or KEY,desc
    json: bool = False
    resume: bool = False  # go on with a sweep
    resumed: Path | None = None  # its folder; None: the newest of the same command
    dry_run: bool = False
    on_error: str = "continue"  # or stop: what a failed job means for the sweep, which is no key of a config either

    @property
    def shows(self) -> bool:
        """Whether the config is shown and nothing runs."""
        return bool(self.cfg or self.info)

    @property
    def searches(self) -> bool:
        """Whether the sweeper was chosen that decides while running which jobs there are."""
        return SEARCH in self.overrides

    @property
    def overlay(self) -> bool:
        """Whether several values make several curves of one figure, and no sweep."""
        return self.command == "plot" and not self.multirun


def parse(argv: Sequence[str]) -> Arguments:
    """Sort the words of a command line."""
    found, words, seen = Arguments(), list(argv), set[str]()
    while words:
        if count := split_at(words):
            whole, fault = _joined(words[:count])
            found.faults.append(fault)
            found.overrides.append(whole)
            del words[:count]
            continue
        word = words.pop(0)
        if word.startswith("trust="):
            try:
                found.trusted += trust.names(word.partition("=")[2], "trust")
            except ValueError as error:
                found.faults.append(str(error))
            continue
        if word.startswith("on_error="):
            found.on_error = word.partition("=")[2]
            if found.on_error not in ON_ERROR:
                found.faults.append(f"on_error: expected {' or '.join(ON_ERROR)}, got {found.on_error!r}")
            seen.add("on_error")
            continue
        if not word.startswith("-"):
            found.overrides.append(word)
            continue
        flag, equals, value = word.partition("=")
        flag = {"-h": "--help", "-m": "--multirun", "-sc": "--shell-completion"}.get(flag, flag)
        if flag not in FLAGS:
            command = _command_with_dashes(flag)
            if command and not equals:
                line = _line(argv, word, command)
                found.faults.append(f"{flag}: there is no such flag, and commands have no dashes; write {line}")
                found.overrides.insert(0, command)
            else:
                lists = "runs" in found.overrides[:1]
                found.faults.append(_no_flag(flag, equals, value, words, lists=lists))
            continue
        if flag in seen:
            found.faults.append(f"{word}: given more than once; keep one")
        seen.add(flag)
        if flag in ("--cfg", "--info", "--config", "--config-dir", "--seed", "--sort", "--shell-completion"):
            if not equals and words and not words[0].startswith("-") and (flag != "--info" or _follows(words)):
                value = words.pop(0)
            _with_value(found, flag, value)
        elif flag == "--resume" and (equals or _follows(words)):
            value = value if equals else words.pop(0)
            if not {"-m", "--multirun"}.intersection(argv):
                run = shlex.quote(value) if value else "RUN"
                found.faults.append(f"{flag} {value}: goes with a sweep; for a run write `snnrun resume {run}`")
                seen.remove(flag)
            elif equals:
                _with_value(found, flag, value)
            else:
                folder = shlex.quote(value)
                found.faults.append(f"{flag} {value}: the folder of a sweep comes after =; write --resume={folder}")
        elif equals:
            found.faults.append(f"{word}: {flag} takes no value; write it alone")
        else:
            setattr(found, flag.lstrip("-").replace("-", "_"), True)
    _mistyped_command(found, argv)
    _first_word(found)
    if found.overrides and found.overrides[0] == "list":
        found.list_words, found.overrides = found.overrides[1:], []
    elif found.overrides and found.overrides[0] in LOOKING:
        found.command, *found.words = found.overrides
        found.overrides = []
        if found.command == "runs":
            _keys_for_flags(found, {"sort": "--sort {}", "json": "--json"})
        if found.multirun or found.shows or found.config or found.config_dir:
            found.faults.append(f"{found.command}: goes with no flags but {_flags_of(found.command)}--help and --debug")
    elif found.overrides and found.overrides[0] in AGAIN:
        found.command, *found.words = found.overrides
        found.overrides = []
        if found.command != "reproduce":
            _name_run(found)
        else:
            _keys_for_flags(found, {"seed": "--seed {}"}, "a run is reproduced as it was; only --seed K changes it")
        if found.multirun or found.shows or found.config:
            found.faults.append(f"{found.command}: goes with no flags but --config-dir, --help and --debug")
    elif found.overrides and found.overrides[0] in COMMANDS:
        found.command = found.overrides.pop(0)
        if found.command == "plot":
            _name_subject(found)
    if found.command == "train":
        _files(found)
    _bare_pairs(found)
    if found.command in AGAIN:
        found.words += [word for word in found.overrides if not IS_OVERRIDE.match(word)]  # one too many
        found.overrides = [word for word in found.overrides if IS_OVERRIDE.match(word)]
    found.overrides = [quote_calls(word) for word in found.overrides]
    if found.seed is not None and found.command != "reproduce":
        found.faults.append(f"--seed: goes with `snnrun reproduce` only; elsewhere write seed={found.seed}")
    if found.config and found.command in ("simulate", "plot"):
        found.faults.append(f"--config: goes with training runs only; `snnrun {found.command}` takes key=value")
    listing = [flag for flag in ("--sort", "--json") if flag in seen]
    if listing and found.command != "runs":
        found.faults.append(f"{listing[0]}: goes with `snnrun runs` only")
    if found.shows and found.multirun:
        found.faults.append(f"{'--cfg' if found.cfg else '--info'}: shows one config and starts nothing; drop -m")
    of_sweeps = [word for word in ("--resume", "--dry-run", "on_error") if word in seen]
    if of_sweeps and (found.command != "train" or not found.multirun):
        found.faults.append(f"{of_sweeps[0]}: goes with a sweep of training runs, `snnrun -m`")
    if found.resolve and not found.cfg:
        found.faults.append("--resolve: only goes with --cfg, as in `snnrun --cfg job --resolve`")
    return found


def _line(argv: Sequence[str], word: str, command: str) -> str:
    """The command line with ``command`` in the first place, and without the ``word`` that stood for it."""
    others = list(argv)
    others.remove(word)
    return f"`{shlex.join(['snnrun', command, *others])}`"


def _joined(words: Sequence[str]) -> tuple[str, str]:
    """An override that a shell split at its spaces, and the fault."""
    whole = re.sub(r"\s*,\s*", ",", " ".join(words))
    quoted = shlex.quote(whole)
    advice = f"write it without: {whole}" if quoted == whole else f"quote it: {quoted}"
    return whole, f"{' '.join(words)}: the value was split at a space; {advice}"


def _follows(words: Sequence[str]) -> bool:
    """Whether the next word may be the value of a flag: it is no flag, override or command."""
    return bool(words) and not words[0].startswith("-") and not IS_OVERRIDE.match(words[0]) and words[0] not in COMMANDS


def _command_with_dashes(flag: str) -> str | None:
    """The command that was meant by an unknown flag, unless a key or another flag looks more like it."""
    name = flag.lstrip("-")
    if name in ALL_COMMANDS or name in COMMAND:
        return COMMAND.get(name, name)
    keys = Keys(Catalogue())
    if len(name) < 3 or flag in FLAG or keys.of(flag) or keys.near(flag, (*FLAGS, *ALL_COMMANDS)):
        return None
    near = command_meant(name, [*ALL_COMMANDS, *(each.lstrip("-") for each in FLAGS)])
    return near if near in ALL_COMMANDS and f"--{near}" not in FLAGS else None


def _no_flag(flag: str, equals: str, value: str, words: list[str], *, lists: bool) -> str:
    """The fault of an unknown flag; of a key that was written as one, with the value that follows it in ``words``.

    ``lists``: whether the command is ``runs``, which takes no keys.
    """
    meant = "--sort" if lists and flag == "-s" else FLAG.get(flag)
    keys = Keys(Catalogue())
    key = None if meant else keys.of(flag) or keys.near(flag, FLAGS)
    if key is None and meant is None:
        hint = nearest(flag, FLAGS) or ";"
        return f"{flag}{equals}{value}: there is no such flag{hint} there are {', '.join(FLAGS)}"
    takes = meant != "--version"
    follows = bool(words) and "=" not in words[0] and (not words[0].startswith("-") or NUMBER.fullmatch(words[0]))
    if takes and follows and not equals:
        equals, value = " ", words.pop(0)
    if meant:
        nothing = "KEY" if meant == "--sort" else "FILE"
        line = f"{meant} {shlex.quote(value or nothing)}" if takes else meant
        return f"{flag}{equals}{value}: there is no such flag; write {line}"
    assert key is not None
    return f"{flag}{equals}{value}: there is no such flag, and keys have no dashes; write {assignment(key, value)}"


def _mistyped_command(found: Arguments, argv: Sequence[str]) -> None:
    """A first word that looks like a command is noted as a fault; the others are judged as those of that command."""
    word = next(iter(found.overrides), "")
    if not word or IS_OVERRIDE.match(word) or word in (*ALL_COMMANDS, "help", "version"):
        return
    catalogue = Catalogue()
    keys = Keys(catalogue)
    if word not in COMMAND and (word in catalogue.groups or keys.of(f"--{word}") or keys.near(word, ALL_COMMANDS)):
        return
    if command := command_meant(word, ALL_COMMANDS):
        line = _line(argv, word, command)
        found.faults.append(f"{word}: expected key=value, or first of all a command; write {line}")
        found.overrides[0] = command


def _keys_for_flags(found: Arguments, flags: Mapping[str, str], otherwise: str = "") -> None:
    """Words such as ``sort=accuracy`` of commands that have a flag for it, and take no key."""
    for word in [word for word in found.words if IS_OVERRIDE.match(word) and not os.path.isdir(word)]:
        key, _, value = word.partition("=")
        advice = f"write {flags[key].format(shlex.quote(value))}" if key in flags else otherwise
        if advice:
            found.words.remove(word)
            found.faults.append(f"{word}: {found.command} takes no key=value; {advice}")


def _files(found: Arguments) -> None:
    """A file without ``--config``, and ``config=FILE``."""
    for word in list(found.overrides):
        key, equals, value = word.partition("=")
        if equals and key in FLAG_AS_KEY:
            flag = FLAG_AS_KEY[key]
        elif not equals and word.endswith((".yaml", ".yml")):
            flag, value = "--config", word
        else:
            continue
        found.overrides.remove(word)
        found.faults.append(f"{word}: expected a key of the config; write {flag} {shlex.quote(value or 'VALUE')}")


def _first_word(found: Arguments) -> None:
    """``train``, ``help`` and ``version``, as other programs have them; ``train`` may be left out."""
    if found.overrides[:1] == ["help"]:
        found.help = True
    elif found.overrides[:1] == ["version"]:
        found.version = True
    elif found.overrides[:1] != ["train"]:
        return
    del found.overrides[0]


def _name_run(found: Arguments) -> None:
    """Of the words of ``resume`` and ``evaluate``, one is the run and the others are overrides."""
    others = found.words
    first = next(iter(others), "")
    # A folder may have any name; what is none, and looks like an override, stands before the run.
    named = bool(first) and (not IS_OVERRIDE.match(first) or os.path.isdir(first))
    run = first if named else next((word for word in others if not IS_OVERRIDE.match(word)), None)
    if run is not None:
        others.remove(run)
    found.words, found.overrides = [run] if run is not None else [], others


def _bare_pairs(found: Arguments) -> None:
    """``epochs 5`` is noted as a fault, once, with what to write instead."""
    bare = [not IS_OVERRIDE.match(word) for word in found.overrides]
    keys, left, i = Keys(Catalogue(primary=PRIMARY.get(found.command, "config"))), list[str](), 0
    while i < len(found.overrides):
        word, key = found.overrides[i], None
        if bare[i] and i + 1 < len(bare) and bare[i + 1]:
            key = keys.of(f"--{word}") or keys.near(word, COMMANDS)
        if key is None:
            left.append(word)
        else:
            value = found.overrides[i + 1]
            found.faults.append(f"{word} {value}: expected key=value; write {assignment(key, value)}")
            i += 1
        i += 1
    found.overrides = left


def _name_subject(found: Arguments) -> None:
    """What is plotted is what is named: ``snnrun plot neuron=lif`` means ``subject=neuron``, and the record says so."""
    keys = [re.split(r"[=.]", word.lstrip("+~"))[0] for word in found.overrides]
    named = [subject for subject, key in SUBJECTS if key in keys]
    if named and "subject" not in keys:
        found.overrides.append(f"subject={named[0]}")


def _flags_of(command: str) -> str:
    return "--sort, --json, " if command == "runs" else ""


def quote_calls(override: str) -> str:
    """The override with texts such as ``uniform(0,1)`` in quotes, which Hydra would read as calls of its functions."""

    key, equals, value = override.partition("=")
    if any(quote in value for quote in "'\"") or any(f"{name}(" in value for name in HYDRA_FUNCTIONS):
        return override
    return key + equals + re.sub(r"\b[a-z_]\w*\([^()]*\)", r'"\g<0>"', value)


def _with_value(found: Arguments, flag: str, value: str) -> None:
    if flag == "--seed":
        if not value.isascii() or not value.isdigit() or int(value) >= 2**63:
            found.faults.append(f"--seed: expected a whole number of at least 0, got {value!r}")
        else:
            found.seed = int(value)
    elif flag == "--resume":
        found.resume = True
        if value and os.path.isdir(value):
            found.resumed = Path(value).resolve()
        else:
            found.faults.append(f"--resume: expected the folder of a sweep, or nothing, got {value!r}")
    elif flag == "--cfg":
        found.cfg = value
        if value not in CFG:
            found.faults.append(f"--cfg: expected {', '.join(CFG[:-1])} or {CFG[-1]}, got {value!r}")
    elif flag == "--info":
        found.info = value or INFO[0]
        if found.info not in INFO:
            found.faults.append(f"--info: expected {', '.join(INFO[:-1])} or {INFO[-1]}, got {value!r}")
    elif flag == "--shell-completion":
        found.completion = value
        if not COMPLETION.fullmatch(value):
            found.faults.append(
                f"-sc: expected install, uninstall or query of bash, fish or zsh, got {value!r}; write -sc install=bash"
            )
    elif flag == "--sort":
        found.sort = value
        if not value:
            found.faults.append("--sort: expected what to sort by, such as accuracy, time or optimizer.lr, got nothing")
    elif flag == "--config":
        if value and os.path.isfile(value):  # not Path.is_file, which raises where a name is too long
            found.config = Path(value)
        else:
            if value and os.path.isdir(value):
                why = f"; write {shlex.quote(value.rstrip('/') + '/config.yaml')}"
            else:
                why = "; write --config FILE" if not value else ", but there is no such file"
            found.faults.append(f"--config: expected the config.yaml of a run, got {value!r}{why}")
    elif value and os.path.isdir(value):
        found.config_dir = Path(value).resolve()
    else:
        found.faults.append(f"--config-dir: expected a folder that exists, got {value!r}")


def nearest(name: str, options: Iterable[str], prefix: str = "") -> str:
    """``", did you mean X?"`` for the option that looks most like ``name``, or nothing."""
    lower = {option.lower(): option for option in options}
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    return f", did you mean {prefix}{lower[close[0]]}?" if close else ""


def check_words(arguments: Arguments, least: int, most: int, expected: str) -> None:
    """That a command which takes names and no overrides has ``least`` to ``most`` of them: ``expected``, in words.

    Raises:
        ConfigError: with all faults of the command.
    """
    name, words, found = arguments.command, arguments.words, list(arguments.faults)
    if not least <= len(words) <= most:
        got = " ".join(printable(word) for word in words) or "nothing"
        found.append(f"{name}: expected {expected}, got {got}; see `snnrun {name} --help`")
    if found:
        raise ConfigError(say.faults(found))
