"""Sorts the words of the command line into flags and overrides; faults are collected, not raised."""

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
from snnrun.job.hints import COMMAND, FLAG, FLAG_AS_KEY, Keys, assignment, closest_command, split_at
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
# The commands that compose a config, and the config in conf/ that each starts from.
PRIMARY = {"train": "config", "simulate": "simulate", "plot": "plot"}
# The subject of `snnrun plot` by the group in the command; the first counts.
SUBJECTS = (("encoder", "encoder"), ("encoder", "task"), ("neuron", "neuron"), ("surrogate", "surrogate"))
# Commands that show runs: they compose nothing, and their words are folders and names.
LOOKING = ("runs", "show", "diff", "report", "best")
SEARCH = "hydra/sweeper=optuna"
IS_OVERRIDE = re.compile(r"[+~]|.*=", re.DOTALL)
NUMBER = re.compile(r"-[\d.]+(e-?\d+)?")
# Commands that repeat or continue a run from its folder.
AGAIN = ("resume", "evaluate", "reproduce")
COMMANDS = ("list", "simulate", "plot", "doctor", *LOOKING, *AGAIN)  # the words themselves; training needs none
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
    info: str | None = None  # the information about Hydra to show
    completion: str | None = None  # the action for completion in a shell: `install=bash`
    config: Path | None = None  # the edited config of a run
    config_dir: Path | None = None
    lacks_parts: bool = False  # --config-dir is not a folder, so names of parts cannot be checked
    trusted: tuple[str, ...] = ()  # packages whose code a config may name: `trust=[a,b]`, not a key of a config
    list_words: list[str] | None = None  # the words after `list`; None for other commands
    words: list[str] = field(default_factory=list)  # the runs, for a command that takes runs
    overrides: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    seed: int | None = None  # of `snnrun reproduce`
    sort: str | None = None  # of `snnrun runs`: KEY or KEY,asc or KEY,desc
    json: bool = False
    resume: bool = False  # continue a sweep
    resumed: Path | None = None  # its folder; None: the newest of the same command
    dry_run: bool = False
    on_error: str = "continue"  # or stop: the sweep after a failed job; not a key of a config

    @property
    def shows(self) -> bool:
        """True if the config is shown and nothing runs."""
        return bool(self.cfg or self.info)

    @property
    def searches(self) -> bool:
        """True if the sweeper is a search, which chooses its jobs while running."""
        return SEARCH in self.overrides

    @property
    def overlay(self) -> bool:
        """True if several values give several curves of one figure instead of a sweep."""
        return self.command == "plot" and not self.multirun


def parse(argv: Sequence[str]) -> Arguments:
    """Sort the words of a command line."""
    args, words, seen = Arguments(), list(argv), set[str]()
    while words:
        if count := split_at(words):
            whole, fault = _join(words[:count])
            args.faults.append(fault)
            args.overrides.append(whole)
            del words[:count]
            continue
        word = words.pop(0)
        if word.startswith("trust="):
            try:
                args.trusted += trust.names(word.partition("=")[2], "trust")
            except ValueError as error:
                args.faults.append(str(error))
            continue
        if word.startswith("on_error="):
            args.on_error = word.partition("=")[2]
            if args.on_error not in ON_ERROR:
                args.faults.append(f"on_error: expected {' or '.join(ON_ERROR)}, got {args.on_error!r}")
            seen.add("on_error")
            continue
        if not word.startswith("-"):
            args.overrides.append(word)
            continue
        flag, equals, value = word.partition("=")
        flag = {"-h": "--help", "-m": "--multirun", "-sc": "--shell-completion"}.get(flag, flag)
        if flag not in FLAGS:
            command = _command_with_dashes(flag)
            if command and not equals:
                line = _line(argv, word, command)
                args.faults.append(f"{flag}: there is no such flag, and commands have no dashes; write {line}")
                args.overrides.insert(0, command)
            else:
                lists = "runs" in args.overrides[:1]
                args.faults.append(_no_flag(flag, equals, value, words, lists=lists))
            continue
        if flag in seen:
            args.faults.append(f"{word}: given more than once; keep one")
        seen.add(flag)
        if flag in ("--cfg", "--info", "--config", "--config-dir", "--seed", "--sort", "--shell-completion"):
            if not equals and words and not words[0].startswith("-") and (flag != "--info" or _follows(words)):
                value = words.pop(0)
            _with_value(args, flag, value)
        elif flag == "--resume" and (equals or _follows(words)):
            value = value if equals else words.pop(0)
            if not {"-m", "--multirun"}.intersection(argv):
                run = shlex.quote(value) if value else "RUN"
                args.faults.append(f"{flag} {value}: goes with a sweep; for a run write `snnrun resume {run}`")
                seen.remove(flag)
            elif equals:
                _with_value(args, flag, value)
            else:
                folder = shlex.quote(value)
                args.faults.append(f"{flag} {value}: the folder of a sweep comes after =; write --resume={folder}")
        elif equals:
            args.faults.append(f"{word}: {flag} takes no value; write it alone")
        else:
            setattr(args, flag.lstrip("-").replace("-", "_"), True)
    _mistyped_command(args, argv)
    _first_word(args)
    if args.overrides and args.overrides[0] == "list":
        args.list_words, args.overrides = args.overrides[1:], []
    elif args.overrides and args.overrides[0] in (*LOOKING, "doctor"):
        args.command, *args.words = args.overrides
        args.overrides = []
        if args.command == "runs":
            _keys_for_flags(args, {"sort": "--sort {}", "json": "--json"})
        if args.multirun or args.shows or args.config or args.config_dir:
            others = "--sort, --json, " if args.command == "runs" else ""
            args.faults.append(f"{args.command}: goes with no flags but {others}--help and --debug")
    elif args.overrides and args.overrides[0] in AGAIN:
        args.command, *args.words = args.overrides
        args.overrides = []
        if args.command != "reproduce":
            _name_run(args)
        else:
            _keys_for_flags(args, {"seed": "--seed {}"}, "a run is reproduced as it was; only --seed K changes it")
        if args.multirun or args.shows or args.config:
            args.faults.append(f"{args.command}: goes with no flags but --config-dir, --help and --debug")
    elif args.overrides and args.overrides[0] in COMMANDS:
        args.command = args.overrides.pop(0)
        if args.command == "plot":
            _name_subject(args)
    if args.command == "train":
        _files(args)
    _bare_pairs(args)
    if args.command in AGAIN:
        args.words += [word for word in args.overrides if not IS_OVERRIDE.match(word)]  # one too many
        args.overrides = [word for word in args.overrides if IS_OVERRIDE.match(word)]
    args.overrides = [quote_calls(word) for word in args.overrides]
    if args.seed is not None and args.command != "reproduce":
        args.faults.append(f"--seed: goes with `snnrun reproduce` only; elsewhere write seed={args.seed}")
    if args.config and args.command in ("simulate", "plot"):
        args.faults.append(f"--config: goes with training runs only; `snnrun {args.command}` takes key=value")
    listing = [flag for flag in ("--sort", "--json") if flag in seen]
    if listing and args.command != "runs":
        args.faults.append(f"{listing[0]}: goes with `snnrun runs` only")
    if args.shows and args.multirun:
        args.faults.append(f"{'--cfg' if args.cfg else '--info'}: shows one config and starts nothing; drop -m")
    of_sweeps = [word for word in ("--resume", "--dry-run", "on_error") if word in seen]
    if of_sweeps and (args.command != "train" or not args.multirun):
        args.faults.append(f"{of_sweeps[0]}: goes with a sweep of training runs, `snnrun -m`")
    if args.resolve and not args.cfg:
        args.faults.append("--resolve: only goes with --cfg, as in `snnrun --cfg job --resolve`")
    return args


def _line(argv: Sequence[str], word: str, command: str) -> str:
    """The command line with ``command`` as the first word, in place of ``word``."""
    others = list(argv)
    others.remove(word)
    return f"`{shlex.join(['snnrun', command, *others])}`"


def _join(words: Sequence[str]) -> tuple[str, str]:
    """An override that a shell split at its spaces, and the fault."""
    whole = re.sub(r"\s*,\s*", ",", " ".join(words))
    quoted = shlex.quote(whole)
    advice = f"write it without: {whole}" if quoted == whole else f"quote it: {quoted}"
    return whole, f"{' '.join(words)}: the value was split at a space; {advice}"


def _follows(words: Sequence[str]) -> bool:
    """True if the next word may be the value of a flag: it is not a flag, override or command."""
    return bool(words) and not words[0].startswith("-") and not IS_OVERRIDE.match(words[0]) and words[0] not in COMMANDS


def _command_with_dashes(flag: str) -> str | None:
    """The command closest to an unknown flag, unless a key or another flag is closer."""
    name = flag.lstrip("-")
    if name in ALL_COMMANDS or name in COMMAND:
        return COMMAND.get(name, name)
    keys = Keys(Catalogue())
    if len(name) < 3 or flag in FLAG or keys.of(flag) or keys.near(flag, (*FLAGS, *ALL_COMMANDS)):
        return None
    near = closest_command(name, [*ALL_COMMANDS, *(each.lstrip("-") for each in FLAGS)])
    return near if near in ALL_COMMANDS and f"--{near}" not in FLAGS else None


def _no_flag(flag: str, equals: str, value: str, words: list[str], *, lists: bool) -> str:
    """The fault of an unknown flag, or of a key in the form of a flag, whose value may follow in ``words``.

    ``lists``: the command is ``runs``, which takes no keys.
    """
    known_flag = "--sort" if lists and flag == "-s" else FLAG.get(flag)
    keys = Keys(Catalogue())
    key = None if known_flag else keys.of(flag) or keys.near(flag, FLAGS)
    if key is None and known_flag is None:
        hint = nearest(flag, FLAGS) or ";"
        return f"{flag}{equals}{value}: there is no such flag{hint} there are {', '.join(FLAGS)}"
    takes = known_flag != "--version"
    follows = bool(words) and "=" not in words[0] and (not words[0].startswith("-") or NUMBER.fullmatch(words[0]))
    if takes and follows and not equals:
        equals, value = " ", words.pop(0)
    if known_flag:
        nothing = "KEY" if known_flag == "--sort" else "FILE"
        line = f"{known_flag} {shlex.quote(value or nothing)}" if takes else known_flag
        return f"{flag}{equals}{value}: there is no such flag; write {line}"
    assert key is not None
    return f"{flag}{equals}{value}: there is no such flag, and keys have no dashes; write {assignment(key, value)}"


def _mistyped_command(args: Arguments, argv: Sequence[str]) -> None:
    """A first word similar to a command is a fault; the others are checked as words of the command."""
    word = next(iter(args.overrides), "")
    if not word or IS_OVERRIDE.match(word) or word in (*ALL_COMMANDS, "help", "version"):
        return
    catalogue = Catalogue()
    keys = Keys(catalogue)
    if word not in COMMAND and (word in catalogue.groups or keys.of(f"--{word}") or keys.near(word, ALL_COMMANDS)):
        return
    if command := closest_command(word, ALL_COMMANDS):
        line = _line(argv, word, command)
        args.faults.append(f"{word}: expected key=value, or first of all a command; write {line}")
        args.overrides[0] = command


def _keys_for_flags(args: Arguments, flags: Mapping[str, str], otherwise: str = "") -> None:
    """Faults for words such as ``sort=accuracy`` of commands that have flags and no keys."""
    for word in [word for word in args.words if IS_OVERRIDE.match(word) and not os.path.isdir(word)]:
        key, _, value = word.partition("=")
        advice = f"write {flags[key].format(shlex.quote(value))}" if key in flags else otherwise
        if advice:
            args.words.remove(word)
            args.faults.append(f"{word}: {args.command} takes no key=value; {advice}")


def _files(args: Arguments) -> None:
    """Faults for a file without ``--config``, and for ``config=FILE``."""
    for word in list(args.overrides):
        key, equals, value = word.partition("=")
        if equals and key in FLAG_AS_KEY:
            flag = FLAG_AS_KEY[key]
        elif not equals and word.endswith((".yaml", ".yml")):
            flag, value = "--config", word
        else:
            continue
        args.overrides.remove(word)
        args.faults.append(f"{word}: expected a key of the config; write {flag} {shlex.quote(value or 'VALUE')}")


def _first_word(args: Arguments) -> None:
    """Handle ``train``, ``help`` and ``version``, as in other programs; ``train`` may be left out."""
    if args.overrides[:1] == ["help"]:
        args.help = True
    elif args.overrides[:1] == ["version"]:
        args.version = True
    elif args.overrides[:1] != ["train"]:
        return
    del args.overrides[0]


def _name_run(args: Arguments) -> None:
    """Separate the run from the overrides in the words of ``resume`` and ``evaluate``."""
    others = args.words
    first = next(iter(others), "")
    # A folder may have any name. A first word that looks like an override and is not a folder precedes the run.
    is_first = bool(first) and (not IS_OVERRIDE.match(first) or os.path.isdir(first))
    run = first if is_first else next((word for word in others if not IS_OVERRIDE.match(word)), None)
    if run is not None:
        others.remove(run)
    args.words, args.overrides = [run] if run is not None else [], others


def _bare_pairs(args: Arguments) -> None:
    """Faults for ``epochs 5``, with the correct form."""
    bare = [not IS_OVERRIDE.match(word) for word in args.overrides]
    keys, others, i = Keys(Catalogue(primary=PRIMARY.get(args.command, "config"))), list[str](), 0
    while i < len(args.overrides):
        word, key = args.overrides[i], None
        if bare[i] and i + 1 < len(bare) and bare[i + 1]:
            key = keys.of(f"--{word}") or keys.near(word, COMMANDS)
        if key is None:
            others.append(word)
        else:
            value = args.overrides[i + 1]
            args.faults.append(f"{word} {value}: expected key=value; write {assignment(key, value)}")
            i += 1
        i += 1
    args.overrides = others


def _name_subject(args: Arguments) -> None:
    """Add the subject of a plot for the record: ``snnrun plot neuron=lif`` means ``subject=neuron``."""
    keys = [re.split(r"[=.]", word.lstrip("+~"))[0] for word in args.overrides]
    subjects = [subject for subject, key in SUBJECTS if key in keys]
    if subjects and "subject" not in keys:
        args.overrides.append(f"subject={subjects[0]}")


def quote_calls(override: str) -> str:
    """The override with quotes around texts such as ``uniform(0,1)``, which Hydra would read as function calls."""

    key, equals, value = override.partition("=")
    if any(quote in value for quote in "'\"") or any(f"{name}(" in value for name in HYDRA_FUNCTIONS):
        return override
    return key + equals + re.sub(r"\b[a-z_]\w*\([^()]*\)", r'"\g<0>"', value)


def _with_value(args: Arguments, flag: str, value: str) -> None:
    if flag == "--seed":
        if not value.isascii() or not value.isdigit() or int(value) >= 2**63:
            args.faults.append(f"--seed: expected a whole number of at least 0, got {value!r}")
        else:
            args.seed = int(value)
    elif flag == "--resume":
        args.resume = True
        if value and os.path.isdir(value):
            args.resumed = Path(value).resolve()
        else:
            args.faults.append(f"--resume: expected the folder of a sweep, or nothing, got {value!r}")
    elif flag == "--cfg":
        args.cfg = value
        if value not in CFG:
            args.faults.append(f"--cfg: expected {', '.join(CFG[:-1])} or {CFG[-1]}, got {value!r}")
    elif flag == "--info":
        args.info = value or INFO[0]
        if args.info not in INFO:
            args.faults.append(f"--info: expected {', '.join(INFO[:-1])} or {INFO[-1]}, got {value!r}")
    elif flag == "--shell-completion":
        args.completion = value
        if not COMPLETION.fullmatch(value):
            args.faults.append(
                f"-sc: expected install, uninstall or query of bash, fish or zsh, got {value!r}; write -sc install=bash"
            )
    elif flag == "--sort":
        args.sort = value
        if not value:
            args.faults.append("--sort: expected what to sort by, such as accuracy, time or optimizer.lr, got nothing")
    elif flag == "--config":
        if value and os.path.isfile(value):  # not Path.is_file, which raises if a name is too long
            args.config = Path(value)
        else:
            if value and os.path.isdir(value):
                why = f"; write {shlex.quote(value.rstrip('/') + '/config.yaml')}"
            else:
                why = "; write --config FILE" if not value else ", but there is no such file"
            args.faults.append(f"--config: expected the config.yaml of a run, got {value!r}{why}")
    elif value and os.path.isdir(value):
        args.config_dir = Path(value).resolve()
    else:
        args.faults.append(f"--config-dir: expected a folder that exists, got {value!r}")
        args.lacks_parts = True


def nearest(name: str, options: Iterable[str], prefix: str = "") -> str:
    """``", did you mean X?"`` for the option closest to ``name``, or nothing."""
    lower = {option.lower(): option for option in options}
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    return f", did you mean {prefix}{lower[close[0]]}?" if close else ""


def shallowest(keys: Iterable[str]) -> str:
    """The key with the fewest parts: ``optimizer.lr`` rather than ``optimizer.groups.weights.lr``."""
    return min(keys, key=lambda key: key.count("."))


def check_words(arguments: Arguments, least: int, most: int, expected: str) -> None:
    """Check that a command has ``least`` to ``most`` names. ``expected``: the same in words.

    Raises:
        ConfigError: with all faults of the command.
    """
    name, words, faults = arguments.command, arguments.words, list(arguments.faults)
    if not least <= len(words) <= most:
        got = " ".join(printable(word) for word in words) or "nothing"
        faults.append(f"{name}: expected {expected}, got {got}; see `snnrun {name} --help`")
    if faults:
        raise ConfigError(say.faults(faults))
