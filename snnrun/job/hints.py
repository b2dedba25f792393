"""Finds the key for a mistyped key or for one in the form of other programs: ``--epochs 5``, ``-e 5``, ``epochs 5``."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Sequence
from functools import cached_property

from snnrun.config.catalogue import Catalogue

#: Short options and longer names of other programs, and the keys here.
SHORT = {"e": "epochs", "b": "batch_size", "s": "seed", "d": "device", "o": "output_dir", "t": "num_steps"}
LONG = {
    **{"learning_rate": "optimizer.lr", "gpu": "device", "cuda": "device", "bs": "batch_size", "dataset": "task"},
    **{"timesteps": "num_steps", "time_steps": "num_steps", "steps": "num_steps", "output": "output_dir"},
    **{"out": "output_dir", "data": "data_dir", "hidden_size": "model.hidden"},
}

#: Words and options of other programs, and the commands and flags here.
COMMAND = {"test": "evaluate", "eval": "evaluate", "fit": "train"}
FLAG = {
    "-v": "--version",
    "-V": "--version",
    "-c": "--config",
    "--config-file": "--config",
    "--config_file": "--config",
}
#: Flags with a value that are keys in other programs and in Hydra.
FLAG_AS_KEY = {
    **{"config": "--config", "config_file": "--config", "config-file": "--config"},
    **{"config_dir": "--config-dir", "config-dir": "--config-dir", "cfg": "--cfg"},
}
QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")


def closest_command(word: str, commands: Sequence[str]) -> str | None:
    """The command that the word means in other programs, or the closest one; None if none is close."""
    name = word.lstrip("-").lower()
    if name in commands:
        return name
    close = difflib.get_close_matches(name, commands, n=1, cutoff=0.6)
    return COMMAND.get(name) or (close[0] if close else None)


def split_at(words: Sequence[str]) -> int:
    """The number of words at the beginning that are one override, split by a shell at spaces; 0 if there is none.

    ``model.hidden=[200,`` ``100]`` are two, and ``seed=0,`` ``1`` too.
    """
    if not re.match(r"[+~]*[\w./@:-]+=", words[0]) or words[0].startswith("-"):
        return 0
    for count, word in enumerate(words, 1):
        if count > 1 and re.match(r"[+~]*[A-Za-z_][\w./@:-]*=|--?[A-Za-z]", word):
            return 0  # another override, or a flag
        bare = QUOTED.sub("", " ".join(words[:count]))
        unclosed = sum(map(bare.count, "[{(")) > sum(map(bare.count, "]})"))
        if not unclosed and not bare.endswith(","):
            return count if count > 1 else 0
    return 0


class Keys:
    """The keys of a command, by the last piece of their name."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def of(self, option: str) -> str | None:
        """The key for the option ``--epochs``, ``-e`` or ``--learning-rate``, if there is one."""
        bare = option.lstrip("-")
        name = bare.replace("-", "_")
        if len(bare) == 1:
            return self._known(SHORT.get(bare.lower()))
        if name in self._names:
            return name
        # A key of the default parts takes precedence over a word of another program.
        return self._parts.get(name) or self._known(LONG.get(name.lower()))

    def near(self, option: str, others: Iterable[str]) -> str | None:
        """The key closest to the option, unless one of the ``others`` (flags) is closer."""
        name = option.lstrip("-").replace("-", "_").lower()
        names = {key: key for key in self._names} | self._parts
        flags = {other.lstrip("-").replace("-", "_") for other in others}
        close = difflib.get_close_matches(name, [*flags - set(names), *names], n=1, cutoff=0.6) if len(name) > 2 else []
        return names.get(close[0]) if close else None

    def _known(self, key: str | None) -> str | None:
        return key if key is not None and key.partition(".")[0] in self._names else None

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """Settings and groups."""
        return (*(key.name for key in self._catalogue.keys), *self._catalogue.defaults)

    @cached_property
    def _parts(self) -> dict[str, str]:
        """``lr``: ``optimizer.lr``; the first, if several default parts have the name."""
        keys: dict[str, str] = {}
        for group in ("optimizer", "neuron", "model", *self._catalogue.defaults):
            path = self._catalogue.groups.get(group, {}).get(self._catalogue.defaults.get(group) or "")
            content = self._catalogue.content(path) if path else {}
            for name, value in content.items() if "_target_" in content else ():
                # The key behind a reference: neuron.reset is convention.reset.
                reference = re.fullmatch(r"\$\{([\w.]+)\}", value) if isinstance(value, str) else None
                if not name.startswith("_") and name not in self._names:
                    keys.setdefault(name, reference[1] if reference else f"{group}.{name}")
        return keys


def assignment(key: str, value: str | None) -> str:
    """``epochs=5`` in the form for a shell; ``epochs=VALUE`` without a value."""
    return shlex.quote(f"{key}={value}") if value else f"{key}=VALUE"
