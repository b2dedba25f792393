"""Checks the names in overrides: groups and their options, keys, and the grammar of each word."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from omegaconf import OmegaConf

from snnrun.config.catalogue import Catalogue
from snnrun.errors import Fault
from snnrun.job import grid
from snnrun.job.arguments import COMMANDS, PRIMARY, Arguments, nearest, shallowest
from snnrun.job.compose import ComposeError, Composer, yaml_fault
from snnrun.job.hints import Keys, assignment
from snnrun.job.search.space import ends
from snnrun.system.safe_read import at, weigh

# The settings of Hydra itself that may be set, by the beginning of the key.
HYDRA = (
    *("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir", "hydra.output_subdir", "hydra.verbose"),
    *("hydra/launcher", "hydra.launcher.", "hydra/sweeper", "hydra.sweeper."),
)

# Only the key itself, not a longer word such as zero_target_article.
TARGET = re.compile(r"(?<!\w)_target_(?!\w)")
REFERENCE = re.compile(r"\$\{([\w.]+)\}")
# The message of Hydra's parser for a letter that needs quotes.
UNREAD = re.compile(r"token recognition error at: '(.)")


class WordError(ValueError):
    """A word of the command line is invalid.

    Attributes:
        word: as written; of several values in it, the wrong one.
        message: the fault.
    """

    def __init__(self, word: str, message: str) -> None:
        super().__init__(word, message)
        self.word, self.message = word, message


@dataclass(frozen=True)
class UserOverride:
    """An override with valid grammar and names, and all of its values."""

    key: str  # dotted key or group
    group: bool
    override: Override
    words: tuple[str, ...]  # one override for each value: one word, or several in a sweep


def read(
    written: Sequence[str],
    arguments: Arguments,
    catalogue: Catalogue,
    composer: Composer,
    faults: list[Fault | str],
    *,
    repeated: bool = False,
) -> list[UserOverride]:
    """The valid overrides among the words ``written``; faults of the others go to ``faults``.

    ``repeated``: a key may be set more than once.
    """
    entries: list[UserOverride] = []
    words: dict[str, str] = {}  # key -> the word that sets it
    for word in written:
        try:
            override = _parse(word, composer, catalogue)
            _check_sweep(word, override, arguments, lambda key: _is_list(key, written, catalogue, composer))
            earlier = words.setdefault(override.key_or_group, word)
            if earlier is not word and not repeated:
                raise WordError(word, f"{override.key_or_group} is already set by {earlier}; keep one of them")
            _check_hydra(word, override)
            if override.is_hydra_override() or override.package is not None:
                entries.append(UserOverride(override.key_or_group, True, override, (word,)))
                continue
            values = tuple(_values_of(word, override))
            is_group = override.key_or_group in {*catalogue.groups, *catalogue.defaults}
            if is_group:
                _check_group(word, override, values, catalogue)
            elif override.is_delete() and "=" in word:
                raise WordError(word, f"expected ~{override.key_or_group} alone, or a value without ~")
            entries.append(UserOverride(override.key_or_group, is_group, override, values))
        except WordError as error:
            faults.append(Fault(error.word, error.message))
    return entries


def key_fault(entry: UserOverride, tree: Mapping[str, Any]) -> Fault | None:
    """The fault of an override's key. ``tree``: the config without it."""
    word, path = entry.words[0], list[str]()
    node: Any = tree
    for part in entry.key.split("."):
        if isinstance(node, str) and (reference := REFERENCE.fullmatch(node)):
            rest = entry.key[len(".".join(path)) + 1 :]
            where = ".".join(path)
            return Fault(word, f"{where} is a reference to {reference[1]}; set {reference[1]}.{rest} instead")
        if isinstance(node, list) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        elif isinstance(node, Mapping) and part in node:
            node = node[part]
        elif entry.override.type is OverrideType.CHANGE or entry.override.is_delete():
            return _unknown_key(entry, tree, node, path, part)
        else:
            return None
        path.append(part)
    if entry.override.type is OverrideType.ADD:
        return Fault(word, f"{entry.key} exists already; drop the +")
    return None


def keys_of(tree: Any, prefix: str = "") -> list[str]:
    """All dotted keys of a config that a user may set."""
    if not isinstance(tree, Mapping):
        return []
    names = []
    for key, value in tree.items():
        if not str(key).startswith("_"):
            names += [f"{prefix}{key}", *keys_of(value, f"{prefix}{key}.")]
    return names


def _parse(word: str, composer: Composer, catalogue: Catalogue) -> Override:
    if "=" not in word and not word.startswith("~"):
        if word in catalogue.groups:
            raise WordError(word, f"expected {word}=NAME; there are {', '.join(catalogue.groups[word])}")
        if word in COMMANDS:
            raise WordError(word, f"expected key=value, or first of all the word {word}, as in `snnrun {word}`")
        near_key = nearest(word, [key.name for key in catalogue.keys])
        raise WordError(word, f"expected key=value{near_key and near_key[:-1] + '=...?'}")
    if word.startswith("="):
        raise WordError(word, "expected key=value, and there is no key")
    try:
        return composer.parser.parse_override(word)
    except (HydraException, ValueError) as error:  # a number with too many digits for Python is a ValueError
        reason = str(error).strip().partition("\n")[0]
    except RecursionError:
        reason = "too deeply nested"
    key, _, value = word.partition("=")
    as_text = re.sub(r'["\\]', "", value)
    if other := UNREAD.match(reason):
        raise _quote_error(word, other[1], f'{key}="{as_text}"', composer)
    raise WordError(
        word,
        f"cannot be read ({reason}); check brackets, commas and quotes; "
        f"a text with special characters needs two pairs of quotes: '{key}=\"{as_text}\"'",
    )


def _quote_error(word: str, letter: str, quoted: str, composer: Composer) -> WordError:
    """The fault of a word with a letter that needs quotes. ``quoted``: the word with its value in quotes."""
    fault = f"cannot be read, since a value with {letter} needs two pairs of quotes"
    try:
        composer.parser.parse_override(quoted)
    except (HydraException, ValueError, RecursionError):
        return WordError(
            word, f"cannot be read, since {letter} stands where it cannot; check brackets, commas and quotes"
        )
    if word.partition("=")[2].startswith(("[", "{")):
        return WordError(word, f'{fault}, those inside around each text: \'key=["a text","another"]\'')
    return WordError(word, f"{fault}; write {shlex.quote(quoted)}")


def _check_hydra(word: str, override: Override) -> None:
    """Allow only settings of Hydra that start no program, and import no package except installed plug-ins."""
    key, package = override.key_or_group, override.package or ""
    ours = key.partition(".")[0].partition("/")[0] != "hydra" and package.partition(".")[0] != "hydra"
    if ours:
        return
    if package or not key.startswith(HYDRA) or TARGET.search(word):
        raise WordError(word, f"this setting of Hydra could run any program; there are {', '.join(HYDRA)}")


def _is_list(key: str, written: Sequence[str], catalogue: Catalogue, composer: Composer) -> bool:
    """True if the default of a key is a list, with the parts that the words choose."""
    chosen = [word for word in written if word.partition("=")[0] in catalogue.defaults and "," not in word]
    try:
        return isinstance(at(OmegaConf.to_container(composer.compose(chosen), resolve=False), key), list)
    except ComposeError:
        return False


def _check_sweep(word: str, override: Override, arguments: Arguments, is_list: Callable[[str], bool]) -> None:
    if override.is_interval_sweep() and not arguments.searches:
        key = override.key_or_group
        raise WordError(word, f"an interval needs a sweeper that searches; list the values instead: {key}=a,b")
    if override.is_sweep_override() and not (arguments.multirun or arguments.overlay):
        fault = "several values make a sweep, which needs -m"
        if is_list(override.key_or_group):
            a_list = assignment(override.key_or_group, f"[{word.partition('=')[2]}]")
            fault += f"; for one value that is a list: {a_list}"
        raise WordError(word, fault)


def _values_of(word: str, override: Override) -> list[str]:
    if not override.is_discrete_sweep():
        return ends(override) if override.is_interval_sweep() else [word]
    try:
        # A limit far beyond any sweep, since range(0, 1e12) is legal.
        values = [each for each, _ in zip(grid.words(override), range(100_001), strict=False)]
    except (HydraException, ValueError, TypeError, OverflowError) as error:
        raise WordError(word, f"cannot be read as a list of values ({error})") from None
    if not values or len(values) > 100_000:
        raise WordError(word, f"expected 1 to 100,000 values, got {'none' if not values else 'more'}")
    return values


def _check_group(word: str, override: Override, values: tuple[str, ...], catalogue: Catalogue) -> None:
    group = override.key_or_group
    options = catalogue.groups.get(group, {})
    there_are = f"there are {', '.join(options)}" if options else "and there is none so far"
    optional = catalogue.defaults.get(group) is None
    if group not in catalogue.defaults and (ours := _commands_with(group)):
        raise WordError(word, f"{group} is no part of this command; it goes with {' and '.join(ours)}")
    if group not in catalogue.defaults and override.type is OverrideType.CHANGE:
        raise WordError(word, f"{group} is a group of your own; write +{word} to add it")
    if group in catalogue.defaults and override.type is OverrideType.ADD:
        raise WordError(word, f"{group} is there already; drop the +")
    if override.is_delete():
        if optional:
            return
        raise WordError(word, f"a run needs {_article(group)}; {there_are}")
    for each in values:
        name = each.partition("=")[2].strip("'\"")
        if name == "null" and optional:  # Hydra accepts no null for a group
            raise WordError(word, f"expected a name; leave {group} out, or write ~{group} where a set-up chooses one")
        if name == "null":
            raise WordError(word, f"a run needs {_article(group)}; {there_are}")
        several = _names(name, options)
        if several is None:
            raise WordError(word, f"expected one name, got {name}; {there_are}")
        for one in several:
            if one not in options:
                hint = nearest(one, options, f"{group}=")
                raise WordError(each, f"there is no {group} of that name{hint or ';'} {there_are}")
            _check_file(each, options[one])


def _names(name: str, options: Mapping[str, Path]) -> list[str] | None:
    """The name, or the names of a list in a group that allows several parts; None if they are invalid."""
    if not name.startswith(("[", "{")):
        return [name]
    if name.startswith("{") or not all(re.match(r"# @package \w+\.", _head(path)) for path in options.values()):
        return None
    names = [one.strip().strip("'\"") for one in name.strip("[]").split(",")]
    return names if all(names) and len(set(names)) == len(names) else None


def _head(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline(200)


def _commands_with(group: str) -> list[str]:
    """The commands, as typed, that choose from this group."""
    return [
        "snnrun" if name == "train" else f"snnrun {name}"
        for name, primary in PRIMARY.items()
        if group in Catalogue(primary=primary).defaults
    ]


def _check_file(word: str, path: Path) -> None:
    try:
        text = path.read_text(encoding="utf-8")
        weigh(text)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise WordError(word, f"{yaml_fault(error, path)}; mend the file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise WordError(word, f"{path} cannot be read: {error}; save it as plain UTF-8 text") from None
    if not isinstance(content, Mapping):
        got = "an empty file" if content is None else f"a {type(content).__name__}"
        raise WordError(word, f"expected keys with values in {path}, got {got}")


def _unknown_key(entry: UserOverride, tree: Mapping[str, Any], node: Any, path: list[str], part: str) -> Fault:
    prefix = "".join(f"{name}." for name in path)
    here = [str(key) for key in node if not str(key).startswith("_")] if isinstance(node, Mapping) else []
    if not path:  # an optional part is not in the config yet
        here += [group for group in Catalogue().groups if group not in here]
    # The name may be right without its group: lr is optimizer.lr.
    elsewhere = [key for key in keys_of(tree) if key.rpartition(".")[2] == entry.key and not _is_reference(tree, key)]
    hint = f", did you mean {shallowest(elsewhere)}?" if elsewhere else nearest(part, here, prefix)
    value, known = entry.words[0].partition("=")[2], keys_of(tree)
    if not elsewhere and (closest := _closest_key(entry.key, known)):
        hint = f", did you mean {assignment(closest, value) if value else closest}?"
    there_are = f"there are {', '.join(here)}" if here else f"{'.'.join(path)} has no keys"
    return Fault(entry.words[0], f"there is no key {entry.key}{hint or ';'} {there_are}")


def _closest_key(key: str, known: Sequence[str]) -> str | None:
    """The key for a word of another program (``T``), or for a key with a mistyped group."""
    top, dot, inside = key.partition(".")
    if not dot:
        closest = Keys(Catalogue()).of(f"--{key}")
        return closest if closest in known else None
    close = difflib.get_close_matches(top, [name for name in known if "." not in name], n=1, cutoff=0.6)
    right = f"{close[0]}.{inside}" if close else ""
    return right if top not in known and right in known else None


def _is_reference(tree: Mapping[str, Any], key: str) -> bool:
    node = at(tree, key)
    return isinstance(node, str) and REFERENCE.fullmatch(node) is not None


def _article(group: str) -> str:
    return f"{'an' if group[0] in 'aeiou' else 'a'} {group}"
