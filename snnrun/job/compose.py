"""Composes configs with Hydra's Compose API, which runs nothing and creates no folder."""

from __future__ import annotations

import os
import pickle
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.core.utils import configure_log
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from snnrun.config.catalogue import Catalogue, conf_folder
from snnrun.errors import ConfigError
from snnrun.job import preset

VERSION_BASE = "1.3"
HYDRA = re.compile(r"[+~]*hydra[./]")  # an override of Hydra's own settings


class ComposeError(ConfigError):
    """A config that Hydra cannot compose, with a message of one line."""


@dataclass(frozen=True)
class Composition:
    """The config of a run and its folder.

    Attributes:
        whole: the config with Hydra's own node; references are not resolved.
        root: the folder of the run; for a job the folder of its sweep.
        subdir: the folder of a job in its sweep.
    """

    whole: DictConfig
    root: Path
    subdir: str | None

    @property
    def folder(self) -> Path:
        """The folder of the run, from the config."""
        return self.root if self.subdir is None else self.root / self.subdir

    @property
    def config(self) -> DictConfig:
        """The config without Hydra's own node."""
        return _without_hydra(self.whole)

    @property
    def overrides(self) -> tuple[str, ...]:
        """The overrides without Hydra's own settings."""
        return tuple(_texts(self.whole.hydra.overrides.task))

    def configure_log(self) -> None:
        """Set the levels of the loggers in ``hydra.verbose``."""
        configure_log(self.whole.hydra.job_logging, self.whole.hydra.verbose)

    def record(self) -> dict[str, str]:
        """The files of ``.hydra/``."""
        return {
            "config.yaml": OmegaConf.to_yaml(self.config),
            "hydra.yaml": OmegaConf.to_yaml(OmegaConf.masked_copy(self.whole, "hydra")),
            "overrides.yaml": OmegaConf.to_yaml(self.whole.hydra.overrides.task),
        }

    @contextmanager
    def hydra_references(self) -> Iterator[None]:
        """Within this context ``${hydra:KEY}`` refers to this config."""
        instance = HydraConfig.instance()
        before = instance.cfg
        instance.set_config(self.whole)
        try:
            yield
        finally:
            instance.cfg = before


class Composer:
    """Composes a primary config with overrides; made by ``composer``."""

    def __init__(self, catalogue: Catalogue, mode: str | None) -> None:
        self._catalogue, self._groups = catalogue, {*catalogue.groups, *catalogue.defaults}
        quoted = str(catalogue.extra).replace("\\", "\\\\").replace('"', '\\"')
        self._search_path = [f'hydra.searchpath=["file://{quoted}"]'] if catalogue.extra else []
        self._mode = [f"hydra.mode={mode}"] if mode else []
        # Caches: composing takes 0.1 s, jobs of a sweep share configs, and the checked config is the one that runs.
        self._merges: dict[tuple[str, ...], DictConfig] = {}  # as Hydra merges them, set-ups included
        self._wholes: dict[tuple[str, ...], DictConfig] = {}
        self._configs: dict[tuple[str, ...], DictConfig] = {}
        self._copies: dict[tuple[str, ...], preset.Setups] = {}  # by the chosen parts
        self._first: DictConfig | None = None  # of the jobs
        self.parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The composed config, with unresolved references.

        Raises:
            ComposeError: if it cannot be composed.
        """
        words = tuple(overrides)
        if words not in self._configs:
            self._configs[words] = _without_hydra(self.whole(words))
        return self._configs[words]

    def whole(self, overrides: Sequence[str]) -> DictConfig:
        """The composed config with Hydra's own node.

        Raises:
            ComposeError: if it cannot be composed.
        """
        words = tuple(overrides)
        if words not in self._wholes:
            with _refusals():
                self._wholes[words] = self._set_values(words) or self._compose(words)
        return self._wholes[words]

    def job(self, overrides: Sequence[str], number: int | None = None) -> Composition:
        """The config of a run, or of the job ``number`` of a sweep.

        ``${now:…}`` and ``${snnrun.token:}`` have the same value in all jobs.

        Raises:
            ComposeError: if it cannot be composed.
        """
        whole = _copy(self.whole(overrides))
        if self._first is not None:
            OmegaConf.copy_cache(self._first, whole)
        hydra = whole.hydra
        if number is not None:
            with open_dict(hydra):
                hydra.job.id = hydra.job.num = number
        with _refusals(), Composition(whole, Path(), None).hydra_references():
            root = Path(str(hydra.run.dir if number is None else hydra.sweep.dir))
            composition = Composition(whole, root, None if number is None else str(hydra.sweep.subdir))
            with read_write(hydra.runtime), open_dict(hydra.runtime):
                hydra.runtime.output_dir = str(composition.folder.absolute())
        self._first = self._first or whole
        return composition

    def options(self, group: str) -> list[str]:
        """The options of a group, including installed Hydra plug-ins."""
        return list(GlobalHydra.instance().config_loader().get_group_options(group))

    @contextmanager
    def words(self, overrides: Sequence[str]) -> Iterator[list[str]]:
        """The overrides for Hydra. Values of a set-up for a part that was replaced by another part are left out.

        Raises:
            ComposeError: if the chosen parts cannot be composed.
        """
        with _refusals():
            copies = self._fitting(tuple(overrides))
        with preset.store_copies(copies):
            yield [*self._search_path, *preset.with_copies(overrides, copies), *self._mode]

    def _set_values(self, overrides: tuple[str, ...]) -> DictConfig | None:
        """The config of the chosen parts, with the values that the other overrides set.

        It equals what Hydra composes, in a fraction of the time. None if the overrides do more than set values that
        are there: then Hydra composes, and reports the fault.
        """
        try:
            parsed = [self.parser.parse_override(word) for word in overrides]
        except (HydraException, ValueError, RecursionError):
            return None
        choices = [self._is_choice(override) for override in parsed]
        values = [override for override, choice in zip(parsed, choices, strict=True) if not choice]
        if not values or not all(_sets_a_value(override) for override in values):
            return None
        whole = _copy(self.whole([word for word, choice in zip(overrides, choices, strict=True) if choice]))
        hydra = whole.hydra
        try:
            for override in values:
                OmegaConf.update(whole, override.key_or_group, override.value(), merge=True)
        except OmegaConfBaseException:
            return None
        hydra.overrides.task = [word for word in overrides if not HYDRA.match(word)]
        style = hydra.job.config.override_dirname
        named = [str(each.input_line) for each in parsed if each.key_or_group not in style.exclude_keys]
        texts = sorted(word for word in named if not HYDRA.match(word))
        hydra.job.override_dirname = style.item_sep.join(texts).replace("=", style.kv_sep)
        return whole

    def _is_choice(self, override: Override) -> bool:
        """True if an override chooses a part, or sets something of Hydra's own.

        ``model={hidden: [3]}`` is none: it sets values of a part, and their order among other values counts.
        """
        names_part = override.key_or_group in self._groups and not isinstance(override.value(), dict)
        return override.is_hydra_override() or names_part

    def _compose(self, overrides: tuple[str, ...]) -> DictConfig:
        if not self._fitting(overrides):
            return self._merge(overrides)
        with self.words(overrides) as words:
            whole = self._merge(overrides, words)
        hydra = whole.hydra
        with open_dict(hydra):
            hydra.runtime.choices[preset.GROUP] = preset.original(hydra.runtime.choices[preset.GROUP])
        hydra.overrides.task = [word for word in overrides if not HYDRA.match(word)]
        hydra.job.override_dirname = preset.original(_texts(hydra.job)["override_dirname"])
        return whole

    def _fitting(self, overrides: tuple[str, ...]) -> preset.Setups:
        """Copies of the chosen set-ups, if some of their values are for other parts than the chosen ones."""
        files = self._catalogue.groups.get(preset.GROUP, {})
        choices = tuple(word for word in overrides if re.split("[@=]", word.lstrip("+~"))[0] in self._groups)
        if not any(map(preset.is_choice, overrides)):  # the usual case; then use the composition that is needed anyway
            choices = overrides
        if choices not in self._copies:
            known = self._merge(choices).hydra.runtime.choices
            top = known.get(preset.GROUP)
            place = self._catalogue.place
            self._copies[choices] = preset.fitting(top, files, known, place) if isinstance(top, str) else {}
        return self._copies[choices]

    def _merge(self, overrides: tuple[str, ...], words: Sequence[str] | None = None) -> DictConfig:
        """Compose the overrides, or ``words`` in place of them."""
        if words is None:
            if overrides not in self._merges:
                self._merges[overrides] = self._merge(overrides, [*self._search_path, *overrides, *self._mode])
            return self._merges[overrides]
        whole = compose(self._catalogue.primary, list(words), return_hydra_config=True)
        if self._search_path:  # the folder of --config-dir, which is not an override of the user
            hydra = whole.hydra
            hydra.searchpath = []
            hydra.overrides.hydra = [word for word in _texts(hydra.overrides.hydra) if word not in self._search_path]
            for source in hydra.runtime.config_sources:
                source.provider = source.provider.removeprefix("hydra.searchpath in ")
        return whole


@contextmanager
def composer(catalogue: Catalogue, mode: str | None = None) -> Iterator[Composer]:
    """Set up Hydra for composing only, and restore it afterwards.

    ``mode``: Hydra's mode for the record of the configs: RUN or MULTIRUN.
    """
    register_resolvers()
    with initialize_config_dir(str(conf_folder()), job_name="snnrun", version_base=VERSION_BASE):
        yield Composer(catalogue, mode)


@contextmanager
def _refusals() -> Iterator[None]:
    """Within this context errors of Hydra become a ComposeError."""
    try:
        yield
    except ComposeError:
        raise
    except yaml.YAMLError as error:
        raise ComposeError(f"{yaml_fault(error)}; mend the file") from error
    except (HydraException, OmegaConfBaseException, ValueError, TypeError, OSError) as error:
        # Hydra's own message may be empty; then its cause has the message.
        cause = error.__cause__ or error.__context__
        texts = [" ".join(str(each).partition("Config search path")[0].split()) for each in (error, cause) if each]
        reason = next(filter(None, texts), type(error).__name__)
        raise ComposeError(reason if texts[0] else f"{reason}; check what stands there") from error


def _sets_a_value(override: Override) -> bool:
    """True if an override only sets the value of a key that is there."""
    single = not override.is_sweep_override() and not isinstance(override.value(), dict)
    return single and override.type is OverrideType.CHANGE and override.package is None


def _copy(config: DictConfig) -> DictConfig:
    # Of an object of this process; it takes a quarter of the time of copy.deepcopy.
    copied: DictConfig = pickle.loads(pickle.dumps(config, pickle.HIGHEST_PROTOCOL))
    return copied


def _texts(node: Any) -> Any:
    """A node as plain data, with unresolved ``${…}``."""
    return OmegaConf.to_container(node, resolve=False)


def _without_hydra(whole: DictConfig) -> DictConfig:
    config = _copy(whole)
    with read_write(config), open_dict(config):
        del config["hydra"]
    return config


def plain(config: DictConfig) -> dict[str, Any]:
    """A config, or a mapping in it, as plain data with resolved references."""
    resolved = OmegaConf.to_container(config, resolve=True)
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


def with_value(config: DictConfig, key: str, value: object) -> DictConfig:
    """A copy of ``config`` with another value at a top-level key; references to it follow."""
    changed = config.copy()
    OmegaConf.set_readonly(changed, False)
    OmegaConf.update(changed, key, value)
    return changed


def register_resolvers() -> None:
    """Register the resolvers for the names of run folders in the primary configs.

    ``${snnrun.token:}``: hex digits, unique for each run, constant within a config.
    ``${snnrun.home:PATH}``: the path with ``~`` expanded.
    ``${snnrun.named:NAME}``: the name of a set-up with a dash behind it, or nothing without a set-up.
    ``${snnrun.title:NAME,OTHER}``: the user's name for the run, or else the other.
    ``${oc.env:NAME}`` of OmegaConf is rejected.
    """
    OmegaConf.register_new_resolver("snnrun.token", lambda: secrets.token_hex(4), use_cache=True, replace=True)
    OmegaConf.register_new_resolver("snnrun.home", lambda path: os.path.expanduser(str(path)), replace=True)
    OmegaConf.register_new_resolver("snnrun.named", _prefix, replace=True)
    OmegaConf.register_new_resolver(
        "snnrun.title", lambda name, other: str(other if name is None else name), replace=True
    )
    OmegaConf.register_new_resolver("oc.env", _no_environment, replace=True)


def _prefix(name: object) -> str:
    return "" if name is None else str(name).replace("/", "_") + "-"


def _no_environment(*arguments: object) -> NoReturn:
    # Records are shared, and a stranger's config could write passwords and keys into one.
    raise ValueError("a config may not read the environment: write the value, or let the shell fill it in")


def yaml_fault(error: yaml.YAMLError, path: Path | None = None) -> str:
    """The fault of a YAML file, with its name and line."""
    mark = getattr(error, "problem_mark", None)
    name = str(path) if path else getattr(mark, "name", "a YAML file")
    line = f", line {mark.line + 1}" if mark else ""
    return f"{name}{line}: {getattr(error, 'problem', None) or 'not YAML'}"
