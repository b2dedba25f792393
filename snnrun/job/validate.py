"""Finds all faults of a command before anything starts, and reports them in one message."""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from snnrun.config import trust
from snnrun.config.catalogue import Catalogue, conf_folder
from snnrun.config.settings import Settings
from snnrun.errors import ArgumentError, ConfigError, Description, Fault, as_yaml
from snnrun.job import overrides, own_folder
from snnrun.job.arguments import Arguments, nearest
from snnrun.job.command import Command
from snnrun.job.compose import ComposeError, Composer
from snnrun.job.config_file import SETUP, Choice, ConfigFile, ConfigSource
from snnrun.job.grid import grid
from snnrun.job.overrides import UserOverride
from snnrun.job.search.faults import PREFIX, search_faults
from snnrun.system import say
from snnrun.system.safe_read import at

# Composing takes about 0.1 s. In a larger sweep each value is checked only with the first values of all other keys.
MOST_JOBS_CHECKED = 16
LONGEST_NAME = 255  # bytes, on all usual file systems
LONGEST_PATH = 3500  # bytes, of the 4096 of Linux: the names of a run and of its files follow
MOST_LEVELS = 200  # nested folders; creating them is recursive
#: The default launcher and sweeper of Hydra.
HYDRAS_OWN = {"launcher": "basic", "sweeper": "basic"}
INSTEAD = {
    "launcher": "for several jobs at a time write hydra/launcher=local_parallel",
    "sweeper": "leave it out, or write hydra/sweeper=optuna for a search",
}
MOST_CURVES = 12  # that a reader can distinguish


class Plan(NamedTuple):
    """The work of a valid command.

    Attributes:
        hydra: the overrides of Hydra's own settings, as typed.
        overrides: the other overrides; first those from the file of --config.
        curves: the overrides of each curve of an overlay, or empty.
        output_dir: of the first job; the search for a sweep to resume starts there.
        inherited: the overrides from the file of --config.
        source: that file.
    """

    hydra: tuple[str, ...]
    overrides: tuple[Override, ...]
    curves: list[tuple[str, ...]]
    output_dir: str
    inherited: tuple[str, ...] = ()
    source: ConfigSource | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """The overrides of a single run."""
        return self.curves[0] if self.curves else (*self.hydra, *(str(each.input_line) for each in self.overrides))

    def jobs(self) -> list[tuple[str, ...]]:
        """The overrides of each job of a grid, without Hydra's own settings."""
        return grid(self.overrides)


def validate(
    arguments: Arguments,
    catalogue: Catalogue,
    command: Command,
    hydra: Composer,
    *,
    load: Callable[[str], None],
    debug: bool = False,
) -> Plan:
    """Check names, types, ranges and combinations; values only if something will run.

    ``hydra`` caches the composed configs, so that the checked config is the one that runs. ``load`` imports what a
    command needs; it is called only if values of parts must be checked.

    Raises:
        ConfigError: with all faults.
    """
    faults: list[Fault | str] = [*arguments.faults]
    if arguments.lacks_parts:
        raise ConfigError(say.faults(faults))
    if hidden := catalogue.hidden_files():
        names = ", ".join(str(path.relative_to(catalogue.folders[-1])) for path in hidden)
        faults.append(f"--config-dir: {names} would be hidden by snnrun's own; expected another name: rename it")
    if catalogue.extra:
        faults += own_folder.faults(catalogue.extra)
    typed = overrides.read(arguments.overrides, arguments, catalogue, hydra, faults)
    file = _config_file(arguments, faults)
    inherited = _file_overrides(file, typed, catalogue, hydra, faults) if file else ()
    entries = [*overrides.read(inherited, arguments, catalogue, hydra, faults, repeated=True), *typed]
    faults += [f"{each.words[0]}: the name is that of the whole sweep; give one" for each in typed if _names(each)]
    faults += _plugin_faults(typed, arguments, hydra)
    faults += search_faults(arguments, hydra) if arguments.searches else []
    # A search checks its own settings.
    sweep = [each for each in entries if each.words and not (arguments.searches and each.key.startswith(PREFIX))]
    # Hydra's own first, in the order of the jobs of a sweep, so that the cached config of the check is found again.
    sweep.sort(key=lambda each: not each.override.is_hydra_override())
    jobs_checked = [
        [(each, word) for each, word in zip(sweep, job, strict=True)]
        for job in _sample([_telling(each) for each in sweep])
    ]
    # Names and settings first, without torch, which takes seconds to import. A command with a typo that sets no value
    # of a part never needs it.
    light = [_job_faults(job, command, catalogue, hydra, arguments, parts=False, debug=debug) for job in jobs_checked]
    light_faults = [*faults, *itertools.chain.from_iterable(light)]
    if not arguments.shows and (not light_faults or any(_of_a_part(each, light_faults) for each in sweep)):
        load(arguments.command)
        for job in jobs_checked:
            faults += _job_faults(job, command, catalogue, hydra, arguments, parts=True, debug=debug)
    else:
        faults = light_faults
    output_dir = _output_dir(hydra, [each.words[0] for each in sweep]) if arguments.resume and not faults else ""
    jobs = math.prod(len(each.words) for each in sweep)
    if arguments.overlay and jobs > MOST_CURVES:
        faults.append(f"overlay: expected at most {MOST_CURVES} curves in one figure, got {jobs}; or use -m")
    if faults:
        raise ConfigError(say.faults(_name_file(faults, file, inherited, typed)))
    for note in dict.fromkeys(file.notes if file else ()):
        say.say(f"warning: {note}", error=True)
    if arguments.searches and arguments.dry_run:
        raise ConfigError(say.faults(["--dry-run: a sweeper that searches decides while running; drop one of them"]))
    own = tuple(each.words[0] for each in entries if each.override.is_hydra_override())
    others = tuple(each.override for each in entries if not each.override.is_hydra_override())
    curves = list(itertools.product(*(each.words for each in sweep))) if arguments.overlay else []
    return Plan(own, others, curves, output_dir, inherited, file.source if file else None)


def _config_file(arguments: Arguments, faults: list[Fault | str]) -> ConfigFile | None:
    """The file of ``--config``; its faults go to ``faults``."""
    if arguments.config is None or arguments.command != "train":
        return None
    if setup := next((word for word in arguments.overrides if word.startswith(f"{SETUP}=")), None):
        faults.append(f"{setup}: a set-up sets all that --config sets; drop one of them")
    try:
        file = ConfigFile(arguments.config)
    except ConfigError as error:
        faults.append(str(error))
        return None
    faults += file.faults
    return None if file.faults else file


def _file_overrides(
    file: ConfigFile, typed: Sequence[UserOverride], catalogue: Catalogue, hydra: Composer, faults: list[Fault | str]
) -> tuple[str, ...]:
    """The overrides from the file; the command line takes precedence."""
    groups = [each for each in typed if each.group and each.key in catalogue.defaults and each.key != SETUP]
    choices = [Choice(each.key, each.words) for each in groups]
    chosen = file.groups(catalogue, choices)
    unknown: list[Fault | str] = []
    known = overrides.read(chosen, Arguments(), catalogue, hydra, unknown)
    try:
        jobs = _sample([each.words for each in (*known, *groups)])
        bases = [_plain(hydra.compose(job), resolve=False) for job in jobs]
    except ComposeError:  # reported later, with the keys of the command line
        return tuple(chosen)
    keys = [each.key for each in typed if not each.group]
    return (*chosen, *file.values(catalogue, choices, keys, bases))


def _name_file(
    faults: Sequence[Fault | str], file: ConfigFile | None, inherited: Sequence[str], typed: Sequence[UserOverride]
) -> list[str]:
    """The faults as text, with the name of the file if it sets the key or a key inside of it."""
    if file is None:
        return [str(fault) for fault in faults]
    keys = {_key_of(word) for word in inherited}
    around = {".".join(key.split(".")[:i]) for key in keys for i in range(1, key.count(".") + 1)}
    of_file = keys | (around - {each.key for each in typed})
    return [f"{file.name}: {fault}" if _key(fault) in of_file else str(fault) for fault in faults]


def _key(fault: Fault | str) -> str:
    """The key of a fault; "" for the fault of a flag."""
    return _key_of(fault.path) if isinstance(fault, Fault) else ""


def _key_of(word: str) -> str:
    """The key of a word such as ``+neuron.beta=0.5``, or of a path such as ``model.layers[2]``."""
    return re.split(r"[=~+[]", word.lstrip("~+"))[0]


def _names(entry: UserOverride) -> bool:
    """True if a word gives each run of a sweep another name."""
    return entry.key == "name" and len(entry.words) > 1


def _of_a_part(entry: UserOverride, faults: Sequence[Fault | str]) -> bool:
    """True if only the part can check the word, and its key has no fault yet.

    Such a word sets a key of a part, or chooses a tracker, whose package may be missing.
    """
    by_part = entry.key == "tracker" if entry.group else "." in entry.key
    return by_part and not any(_key(fault).startswith(entry.key) for fault in faults)


def _output_dir(hydra: Composer, words: list[str]) -> str:
    return os.path.expanduser(str(hydra.compose(words)["output_dir"]))


def _plugin_faults(typed: Sequence[UserOverride], arguments: Arguments, hydra: Composer) -> list[str]:
    """Other launchers and sweepers of Hydra do not support --resume, failing jobs and threads."""
    faults = []
    for kind in ("launcher", "sweeper") if arguments.multirun else ():
        group, ours = f"hydra/{kind}", sorted(path.stem for path in (conf_folder() / "hydra" / kind).glob("*.yaml"))
        for entry in typed:
            word, name = entry.words[0], entry.override.value()
            if entry.key != group or name == HYDRAS_OWN[kind]:
                continue
            if name in ours:
                if kind == "launcher" and arguments.command != "train":
                    faults.append(f"{word}: this one runs sweeps of training runs only; leave it out")
                continue
            if name in hydra.options(group):
                fault = f"{name} is a plug-in of Hydra, which cannot freeze configs, go on with --resume or tell which "
                fault += f"jobs failed; {INSTEAD[kind]}"
            else:
                fault = f"there is no {kind} of that name for sweeps"
            faults.append(f"{word}: {fault}; there are {', '.join(ours)}")
    return faults


def _telling(entry: UserOverride) -> Sequence[str]:
    """The values to check; of many seeds only the first, and those that are not plain numbers."""
    if entry.key != "seed":
        return entry.words
    plain_numbers = [word for word in entry.words if re.fullmatch(r"seed=\d{1,18}", word)]
    return [word for word in entry.words if word not in plain_numbers[1:]]


def _sample(words: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """The jobs to check: all of a small sweep, else enough to include every value of every key once."""
    jobs = list(itertools.islice(itertools.product(*words), MOST_JOBS_CHECKED + 1))
    if len(jobs) <= MOST_JOBS_CHECKED:
        return jobs
    first = [options[0] for options in words]
    varied = [(*first[:i], word, *first[i + 1 :]) for i, options in enumerate(words) for word in options[1:]]
    return [tuple(first), *varied]


def _job_faults(
    chosen: list[tuple[UserOverride, str]],
    command: Command,
    catalogue: Catalogue,
    hydra: Composer,
    arguments: Arguments,
    *,
    parts: bool,
    debug: bool,
) -> list[Fault | str]:
    """The faults of names and settings; with ``parts`` also of the parts, which needs torch."""
    groups = [word for entry, word in chosen if entry.group]
    values = [(entry, word) for entry, word in chosen if not entry.group]
    try:
        base = hydra.compose(groups)
        tree = _plain(base, resolve=False)
    except ComposeError as error:
        return [f"{' '.join(groups) or f'{catalogue.primary}.yaml'}: {error}"]
    wrong = {entry.key: overrides.key_fault(entry, tree) for entry, _ in values}
    swept = {entry.key: word for entry, word in chosen if entry.group and len(entry.words) > 1}
    faults: list[Fault | str] = []
    for key, fault in wrong.items():
        beside = swept.get(key.partition(".")[0])  # the key may be right for another choice of its group
        if fault:
            faults.append(fault._replace(message=f"{fault.message} (with {beside})") if beside else fault)
    if arguments.shows or not (parts or command.LIGHT):
        return faults
    try:
        composed = hydra.compose([word for entry, word in chosen if entry.group or not wrong[entry.key]])
        config = _plain(command.prepare(composed, arguments.trusted), resolve=True)
        defaults = _plain(command.prepare(base, arguments.trusted), resolve=True)
        raw = _plain(composed, resolve=False)
        return faults + _value_faults(config, raw, defaults, command, catalogue, arguments, parts=parts, debug=debug)
    except ComposeError as error:
        return [*faults, str(error)]


def _plain(config: DictConfig, *, resolve: bool) -> dict[str, Any]:
    try:
        plain = OmegaConf.to_container(config, resolve=resolve, throw_on_missing=resolve)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None)
        reason = str(error).strip().partition("\n")[0]
        advice = "; check what ${...} names" if isinstance(error, InterpolationResolutionError) else ""
        raise ComposeError(f"{key}: {reason}{advice}" if key else f"{reason}{advice}") from error
    assert isinstance(plain, dict)  # the primary config is a mapping
    return {str(key): value for key, value in plain.items()}


def _value_faults(
    config: dict[str, Any],
    raw: Mapping[str, Any],
    base: dict[str, Any],
    command: Command,
    catalogue: Catalogue,
    arguments: Arguments,
    *,
    parts: bool,
    debug: bool,
) -> list[Fault]:
    from snnrun.job.parts import Trial, not_finite, origin

    faults = list(not_finite(config))
    for path, target in trust.targets(config):
        if refusal := trust.refusal(target, arguments.trusted):
            faults.append(Fault(origin(f"{path}._target_", raw), refusal))
    known = [*command.KEYS, *{**catalogue.defaults, **catalogue.groups}]
    for key in config:
        # A part may set keys for training (epochs, ...) that other commands lack.
        if key == "trust":
            faults.append(Fault(key, "a config cannot trust itself; write trust=PACKAGE on the command line"))
        elif key not in known and (command.STRICT or key not in base):
            hint = nearest(key, known)
            message = f"there is no such key{hint or ';'} there are {', '.join(command.KEYS)}"
            faults.append(Fault(key, message))
    settings, refused = command.read(config)
    faults += refused
    if settings is None:
        wrong = {fault.path.partition(".")[0] for fault in refused}
        settings, _ = command.read({**config, **{key: base[key] for key in wrong if key in base}})
    elif parts:
        faults += _device_faults(settings)
        if not _goes_elsewhere(arguments):
            faults += _folder_faults(settings)
    missing = _lost_parts(config, catalogue)
    faults += missing
    if parts and settings is not None and not missing:
        trial = Trial(config, raw, base, settings, trusted=arguments.trusted, debug=debug)
        faults += command.try_parts(trial, catalogue)
    unique: dict[str, Fault] = {}
    for fault in faults:
        unique.setdefault(fault.path, fault._replace(message=fault.message + _default(fault, config, base)))
    return list(unique.values())


def _lost_parts(config: Mapping[str, Any], catalogue: Catalogue) -> list[Fault]:
    """Faults for parts that a run needs and a file for the package _global_ has removed or replaced."""
    missing = []
    for group, option in catalogue.defaults.items():
        if option is not None and not isinstance(config.get(group), Mapping):
            got = config[group] if config.get(group) is not None else Description("nothing")
            advice = f"there are {', '.join(catalogue.groups[group])}"
            missing.append(Fault.of(ArgumentError(group, "a part", got, advice=advice)))
    return missing


def _goes_elsewhere(arguments: Arguments) -> bool:
    """True if nothing is written to ``output_dir``, which may then be read-only."""
    key = "hydra.sweep.dir=" if arguments.multirun else "hydra.run.dir="
    return arguments.dry_run or any(word.startswith(key) for word in arguments.overrides)


def _device_faults(settings: Any) -> list[Fault]:
    """Faults if this machine lacks the device, or the device cannot do what is asked of it."""
    if not isinstance(settings, Settings):
        return []
    if settings.device.startswith(("cuda", "mps")) or settings.execution.cuda_graph:
        from snnrun.training.graph import check_settings
        from snnrun.training.runtime import resolve_device

        try:
            check_settings(settings, resolve_device(settings.device))
        except ConfigError as error:
            return [error.fault or Fault("device", str(error))]
    return []


def _folder_faults(settings: Any) -> list[Fault]:
    """Faults if no run can be written to ``output_dir``."""
    folder = Path(os.path.expanduser(settings.output_dir)).absolute()
    if why := _name_fault(folder):
        return [_no_folder(settings.output_dir, why)]
    while not os.path.exists(folder) and folder != folder.parent:  # Path.exists raises where a name is too long
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        why = f"{folder} {'cannot be written to' if folder.is_dir() else 'is a file'}"
        return [_no_folder(settings.output_dir, f"{why}; write output_dir=FOLDER")]
    return []


def _no_folder(name: str, why: str) -> Fault:
    got = Description(f"{name!r}, but {why}")
    return Fault.of(ArgumentError("output_dir", "a folder to write runs to", got))


def _name_fault(folder: Path) -> str | None:
    """The reason if the path is impossible for a folder with runs in it, else None."""
    longest = max(len(os.fsencode(part)) for part in folder.parts)
    if longest > LONGEST_NAME:
        return f"one of its names has {longest} bytes, and {LONGEST_NAME} is the most"
    if len(os.fsencode(folder)) > LONGEST_PATH or len(folder.parts) > MOST_LEVELS:
        return f"a path may have {MOST_LEVELS} folders and {LONGEST_PATH} bytes at most"
    return None


def _default(fault: Fault, config: Mapping[str, Any], base: Mapping[str, Any]) -> str:
    """Text about the default of the key, if it differs from the wrong value."""
    default = at(base, fault.key)
    if not fault.refused or default is None or isinstance(default, Mapping) or default == at(config, fault.key):
        return ""
    return f"; the default is {default if isinstance(default, str) else as_yaml(default)}"
