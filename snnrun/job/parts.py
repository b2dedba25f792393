"""Builds the parts of a config, for a run and for the check before it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from snnrun import check
from snnrun.config.build import PartError, build
from snnrun.config.catalogue import Catalogue
from snnrun.config.settings import MAX
from snnrun.errors import ArgumentError, Description, Fault, OutOfMemoryError
from snnrun.job.arguments import nearest
from snnrun.job.overrides import REFERENCE
from snnrun.system import foreign, safe_read
from snnrun.training.groups import Groups, check_groups, groups_of, without_groups

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from snnrun.encoder import Encoder
    from snnrun.loss import Loss
    from snnrun.neuron import Neuron
    from snnrun.task import Task
    from snnrun.tracker import Tracker

WHOLE = ("task", "encoder", "loss")  # built once
FACTORIES = ("neuron", "model", "optimizer", "scheduler")  # called by the run: `_partial_: true`
OPTIONAL = ("readout",)  # also a factory, or null

# The least values of torch's schedulers that torch does not check; an int means that a whole number is needed.
LOWEST: Mapping[str, int | float] = {
    "T_max": 1,
    "step_size": 1,
    "patience": 0,
    "gamma": 0.0,
    "eta_min": 0.0,
    "factor": 0.0,
}


LARGEST = 3.4e38  # about the largest float32
LARGEST_WHOLE = 2**63 - 1  # of int64
MANY_STEPS = 2**53  # more than any training has


@dataclass(frozen=True)
class Parts:
    """The parts of a config: finished ones, and factories for those that need another part first."""

    task: Task
    encoder: Encoder
    neuron: Callable[..., Neuron]  # shape= -> the neurons of one layer
    model: Callable[..., nn.Module]  # input_shape=, num_outputs=, neuron=, readout=, backend= -> the model
    loss: Loss
    optimizer: Callable[..., Optimizer]  # parameters -> optimizer
    scheduler: Callable[..., LRScheduler]  # optimizer -> scheduler
    groups: Groups = field(default_factory=dict)  # of parameters with a learning rate or weight decay of their own
    readout: Callable[..., Neuron] | None = None  # for the output layer; None: neuron makes it too
    trackers: Mapping[str, Tracker] = field(default_factory=dict)  # by name


def parts_of(config: Mapping[str, Any], trusted: Collection[str] = ()) -> Parts:
    """The parts of a resolved config."""
    optional = [group for group in OPTIONAL if config.get(group) is not None]
    config = dict(config)
    groups = groups_of(config["optimizer"])
    config["optimizer"] = without_groups(config["optimizer"])
    whole = {group: build(config[group], group, trusted) for group in (*WHOLE, *FACTORIES, *optional)}
    return Parts(**whole, groups=groups, trackers=trackers_of(config, trusted))


def trackers_of(config: Mapping[str, Any], trusted: Collection[str] = ()) -> dict[str, Tracker]:
    """The trackers of a resolved config, by the last piece of their key.

    Raises:
        PartError: if one cannot be built, or its package is not installed.
    """
    from snnrun.tracker.base import Tracker, missing

    built: dict[str, Tracker] = {}
    trackers = config.get("tracker") or {}
    if not isinstance(trackers, Mapping) or "_target_" in trackers:
        raise PartError("tracker", "expected trackers by name; its file begins with the line # @package tracker.NAME")
    for name, each in trackers.items():
        path = f"tracker.{name}"
        tracker = build(each, path, trusted)
        if not isinstance(tracker, Tracker):
            raise PartError(path, f"expected a snnrun.tracker.Tracker, got a {type(tracker).__name__}")
        if lack := missing(tracker):
            raise PartError(path, lack)
        built[str(name)] = tracker
    return built


class Trial:
    """Builds every part of one config as a test, and collects the faults.

    Args:
        config: the resolved config.
        raw: the config with its references (``${convention.reset}``), so that a fault names the key that the user set.
        base: the resolved config of the same parts with their default values.
        settings: the settings of the command; with faults, the base's.
        trusted: packages that the config may name.
        debug: pass on errors other than ValueError and TypeError, for their traceback.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        raw: Mapping[str, Any],
        base: Mapping[str, Any],
        settings: Any,
        *,
        trusted: Collection[str] = (),
        debug: bool = False,
    ) -> None:
        self.config, self.raw, self.base = copy.deepcopy(dict(config)), raw, base
        self.settings, self.trusted, self.debug = settings, trusted, debug
        self.faults: list[Fault] = []
        self._catalogue = Catalogue()
        self._names: Collection[str] = ()  # of the groups of the model's parameters

    def run(self, catalogue: Catalogue) -> list[Fault]:
        """All faults of the parts and of their combination."""
        import torch

        self._catalogue = catalogue
        groups = self._take_groups()
        # The trial must not advance the random streams of the process, which may train afterwards.
        with torch.random.fork_rng(devices=[]):
            task = self.attempt(
                "task", lambda task: (task.input_shape, task.num_outputs, task.has_time, task.class_names())
            )
            encoder = self.attempt("encoder", lambda encoder: encoder.output_shape(task.input_shape if task else (1,)))
            loss = self.attempt("loss", lambda loss: loss.num_outputs(task.num_outputs if task else 10))
            shape = (task.num_outputs if task else 10,)
            neuron = self.attempt("neuron", lambda neuron: None if self._has_lists("neuron") else neuron(shape=shape))
            readout = None
            if self.config.get("readout") is not None:
                readout = self.attempt("readout", lambda readout: readout(shape=shape))
            if task and loss and readout and not readout(shape=shape).spiking:
                self.faults += _readout_faults(loss, self.config, catalogue)
            if loss:
                self.faults += _reach_faults("loss.skip_steps", loss.least_steps - 1, self.settings)
            if task and neuron:
                input_shape = encoder.output_shape(task.input_shape) if encoder else task.input_shape
                num_outputs = loss.num_outputs(task.num_outputs) if loss else task.num_outputs
                network = self.attempt(
                    "model", lambda model: self._model(model, input_shape, num_outputs, neuron, readout)
                )
                self.faults += _delay_faults(network, self.settings)
                try:
                    check_groups(groups if self._names else (), self._names)
                except PartError as error:
                    self._add(error.fault)
            weights = [torch.nn.Parameter(torch.zeros(1))]
            optimizer = self.attempt("optimizer", lambda optimizer: optimizer(weights))
            if optimizer:
                self.attempt("scheduler", lambda scheduler: self._step(scheduler, optimizer(weights)))
        if task and not task.has_validation:
            self.faults += _no_validation_faults(self.config, self.settings, catalogue)
        steps = self.config["neuron"].get("num_steps", self.settings.num_steps)
        if steps != self.settings.num_steps:
            expected, advice = f"the num_steps of the run, {self.settings.num_steps}", "set num_steps instead"
            self.faults.append(Fault.of(ArgumentError("neuron.num_steps", expected, steps, advice=advice)))
        if task:
            self.faults += length_faults(task, self.settings.num_steps)
        if task and encoder:
            self.faults += input_faults(task, encoder, self.config, catalogue)
        try:
            trackers_of(self.config, self.trusted)
        except PartError as error:
            self._add(self._fault(error))
        if task and loss:
            self.faults += _target_faults(task, loss, self.config, catalogue)
            self.faults += _length_faults(task, loss, self.config, self.settings, catalogue)
        return self.faults

    def attempt(self, group: str, use: Callable[[Any], object]) -> Any:
        """Build a part and use it once. After a bad argument it is tried again with the default.

        Returns the part, or None if it still cannot be built.
        """
        self._check_torch(group)
        for _ in range(12):
            try:
                part = build(self.config[group], group, self.trusted)
                if group in (*FACTORIES, *OPTIONAL) and not isinstance(part, partial):
                    raise PartError(f"{group}._partial_", "expected true in its YAML file: the run calls this part")
                use(part)
                return part
            except (ValueError, TypeError, AttributeError, ArithmeticError, LookupError, RuntimeError) as error:
                if foreign.lacks_memory(error):
                    raise OutOfMemoryError(f"out of memory: this {group} does not fit; make it smaller") from error
                if self.debug and not isinstance(error, (ValueError, TypeError)):
                    raise
                if not self._note(group, error):
                    return None
        return None

    def _model(
        self,
        model: Callable[..., Any],
        input_shape: tuple[int, ...],
        num_outputs: int,
        neuron: Callable[..., Any],
        readout: Callable[..., Any] | None,
    ) -> None:
        def with_group(group: str, make: Callable[..., Any]) -> Callable[..., Any]:
            def build(**options: Any) -> Any:
                try:
                    return make(**options)
                except (ValueError, TypeError) as error:
                    raise PartError.of(group, error, self.config[group]) from error

            return build

        from snnrun.model import parameter_groups

        network = model(
            input_shape=input_shape,
            num_outputs=num_outputs,
            neuron=with_group("neuron", neuron),
            readout=with_group("readout", readout) if readout else None,
            backend=self.settings.backend,
        )
        self._names = list(parameter_groups(network))

    def _take_groups(self) -> Groups:
        """The groups of the optimizer, which its class does not know."""
        optimizer, groups = self.config["optimizer"], Groups()
        try:
            groups = groups_of(optimizer)
        except PartError as error:
            self._add(error.fault)
        self.config["optimizer"] = without_groups(optimizer)
        return groups

    def _step(self, make: Callable[..., Any], optimizer: Any) -> None:
        from torch.optim.lr_scheduler import ReduceLROnPlateau

        from snnrun.training.state import build_scheduler

        # Without its data a task does not know its number of steps.
        scheduler = build_scheduler(make, optimizer, self.settings.max_steps or MANY_STEPS)
        optimizer.step()  # first, or the scheduler warns
        if isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step(0.0)
        else:
            scheduler.step()

    def _has_lists(self, group: str) -> bool:
        # A list has one value per neuron of a layer, and only the model knows the number of neurons.
        return any(isinstance(value, list) for value in self.config[group].values())

    def _check_torch(self, group: str) -> None:
        """Check what torch's classes do not: they accept true as 1.0 and a step size of -1, and fail on text."""
        config, base = self.config[group], self.base.get(group)
        if not isinstance(config, dict) or not isinstance(base, Mapping):
            return
        if str(config.get("_target_")).startswith("torch."):
            for key, value in list(config.items()):
                if (
                    key in base
                    and key != "_target_"
                    and foreign.kind(value) != foreign.kind(base[key])
                    and base[key] is not None
                ):
                    self._add(Fault.of(ArgumentError(key, foreign.kind(base[key]), value), f"{group}.{key}"))
                    config[key] = base[key]
                elif key in LOWEST:
                    low = LOWEST[key]
                    try:
                        check.integer(key, value, low=low) if isinstance(low, int) else check.number(
                            key, value, low=low
                        )
                    except ArgumentError as error:
                        self._add(Fault.of(error, f"{group}.{key}"))
                        config[key] = base[key]

    def _note(self, group: str, error: Exception) -> bool:
        """Record an error. Returns True if the wrong argument could be set to its default."""
        fault = self._fault(PartError.of(group, error, self.config[group]))
        self._add(fault)
        parent, _, last = fault.key.rpartition(".")
        holder, default = safe_read.at(self.config, parent), safe_read.at(self.base, parent)
        if not isinstance(holder, dict) or last not in holder:
            return False
        if not isinstance(default, Mapping) or last not in default:
            del holder[last]
            return True
        if repr(holder[last]) == repr(default[last]):
            return False
        holder[last] = default[last]
        return True

    def _fault(self, error: PartError) -> Fault:
        """The cause of an error: an argument of the part, a setting that it received, or the part itself."""
        cause, path = error.cause, error.path
        config = safe_read.at(self.config, path)
        if cause is None or not isinstance(config, Mapping):
            return error.fault
        base = safe_read.at(self.base, path)
        fault = Fault.of(cause) if isinstance(cause, ArgumentError) else foreign.fault_of(cause)
        if fault and fault.key not in config and hasattr(self.settings, fault.key):
            return fault  # such as backend
        if unknown := foreign.unknown_argument(cause):
            keys = [key for key in base if not key.startswith("_")] if isinstance(base, Mapping) else []
            hint = nearest(unknown, keys) or ";"
            fault = Fault(unknown, f"there is no such key{hint} there are {', '.join(keys)}")
        elif fault is None or fault.key not in config:
            fault = foreign.guess(cause, config, base, self._part(config, path))
        return fault._replace(path=f"{path}.{fault.path}" if fault.path else path)

    def _part(self, config: Mapping[str, Any], path: str) -> str:
        """The part at ``path``, by its name in a command."""
        return self._catalogue.name(str(config.get("_target_")), path.partition(".")[0])

    def _add(self, fault: Fault) -> None:
        self.faults.append(fault._replace(path=origin(fault.path, self.raw)))


def origin(path: str, raw: Mapping[str, Any]) -> str:
    """The key that sets the value at ``path``; follows references, so neuron.reset is convention.reset."""
    node: Any = raw
    parents: list[str] = []
    for part in path.split("."):
        name = part.partition("[")[0]
        if not isinstance(node, Mapping) or name not in node:
            return path
        node = node[name]
        parents.append(part)
        if isinstance(node, str) and (reference := REFERENCE.fullmatch(node)):
            rest = path[len(".".join(parents)) :]
            return origin(reference[1] + rest, raw)
    return path


def not_finite(tree: Any, path: str = "") -> Iterator[Fault]:
    """A fault for every infinity, NaN and number beyond float32 or int64 in a config; no part accepts one."""
    items: list[tuple[str, Any]] = []
    if isinstance(tree, Mapping):
        items = [(f"{path}.{key}" if path else str(key), value) for key, value in tree.items()]
    elif isinstance(tree, list):
        items = [(f"{path}[{i}]", value) for i, value in enumerate(tree)]
    elif isinstance(tree, float) and not abs(tree) <= LARGEST:
        limit = f"a number of at most {LARGEST:g}, the range of float32" if math.isfinite(tree) else "a finite number"
        yield Fault.of(ArgumentError(path, limit, tree))
    elif isinstance(tree, int) and not abs(tree) <= LARGEST_WHOLE:
        got = Description(safe_read.cut(str(tree), 60))
        yield Fault.of(ArgumentError(path, f"a whole number of at most {LARGEST_WHOLE}", got))
    for name, value in items:
        yield from not_finite(value, name)


def length_faults(task: Task, num_steps: int) -> list[Fault]:
    """A fault if the task fixes another number of steps."""
    try:
        task.check_length(num_steps)
    except ArgumentError as error:
        return [Fault.of(error)]
    return []


def input_faults(task: Any, encoder: Any, config: Mapping[str, Any], catalogue: Catalogue) -> list[Fault]:
    def fits_task(encoder: Any) -> bool:
        fits: bool = encoder.takes_sequence if task.has_time else encoder.takes_still
        return fits

    if fits_task(encoder):
        return []
    kind = "a sequence" if task.has_time else "still images, without a time axis"
    fits = [name for name, part in _others("encoder", catalogue) if fits_task(part)]
    choose = f"; choose encoder={' or '.join(fits)}" if fits else ""
    name, data = _name(config, "encoder", catalogue), _name(config, "task", catalogue)
    return [Fault("encoder", f"{name} does not take the input of {data}, which is {kind}{choose}")]


def _target_faults(task: Any, loss: Any, config: Mapping[str, Any], catalogue: Catalogue) -> list[Fault]:
    """The loss needs the kind of targets that the task has: labels or numbers, for a sample or for each step."""
    labels = loss.needs_labels and not task.has_accuracy
    values = not labels and task.has_values and not loss.needs_values
    numbers = loss.needs_values and not task.has_values
    steps = loss.needs_steps != task.has_steps
    if not (labels or values or numbers or steps):
        return []  # without reading files for the names
    name, data = _name(config, "loss", catalogue), _name(config, "task", catalogue)
    faults = []
    if labels:
        faults.append(Fault("loss", f"{name} needs labels, and {data} has none"))
    elif values:
        message = f"{name} takes no values as targets, and {data} has them; choose a loss that does, such as loss=mse"
        faults.append(Fault("loss", message))
    if numbers:
        kind = "class labels" if task.has_accuracy else "none"
        faults.append(Fault("loss", f"{name} needs numbers as targets; {data} has {kind}"))
    if steps and not faults:
        fits = [other for other, part in _others("loss", catalogue) if _takes_targets(part, task)]
        choose = f"; choose loss={' or '.join(fits)}" if fits else ""
        kinds = ("a target for each step", "one target for a sample")
        needs, has = kinds if loss.needs_steps else reversed(kinds)
        faults.append(Fault("loss", f"{name} needs {needs}, and {data} has {has}{choose}"))
    return faults


def _length_faults(task: Any, loss: Any, config: Mapping[str, Any], settings: Any, catalogue: Catalogue) -> list[Fault]:
    """What does not go with samples of different length, or with samples of one length and ``num_steps=max``."""
    data = _name(config, "task", catalogue)
    if not task.has_lengths:
        if settings.num_steps != MAX:
            return []
        expected = f"a whole number, since all samples of {data} have the same length"
        return [Fault.of(ArgumentError("num_steps", expected, settings.num_steps))]
    faults, why = [], f"the samples of {data} differ in length"
    if "num_steps" in config["neuron"]:
        name = _name(config, "neuron", catalogue)
        faults.append(Fault("neuron", f"{name} needs the same number of steps in each batch, and {why}"))
    if loss.joins_samples:
        name = _name(config, "loss", catalogue)
        faults.append(Fault("loss", f"{name} compares or joins samples of one length, and {why}"))
    execution = getattr(settings, "execution", None)
    if execution is not None and execution.cuda_graph:
        faults.append(Fault.of(ArgumentError("execution.cuda_graph", f"false, since {why}", True)))
    return faults


def _delay_faults(model: Callable[..., Any] | None, settings: Any) -> list[Fault]:
    """No delay is longer than a sample; spikes that arrive after its last step would be lost."""
    from snnrun.delay import Delay

    delay = model.keywords.get("delay") if isinstance(model, partial) else None
    return _reach_faults("model.delay.maximum", delay.maximum, settings) if isinstance(delay, Delay) else []


def _reach_faults(key: str, count: int, settings: Any) -> list[Fault]:
    """A fault unless the ``count`` of steps, the value of ``key``, is less than a sample has."""
    steps = settings.num_steps
    if not isinstance(steps, int) or count < steps:
        return []
    return [Fault.of(ArgumentError(key, f"less than the {steps} steps of a sample (num_steps)", count))]


def _takes_targets(loss: Any, task: Any) -> bool:
    labels, values = loss.needs_labels <= task.has_accuracy, loss.needs_values == task.has_values
    return labels and values and loss.needs_steps == task.has_steps


def _readout_faults(loss: Any, config: Mapping[str, Any], catalogue: Catalogue) -> list[Fault]:
    """A read-out that never fires needs a loss on its membrane; tested by use."""
    import torch

    size = loss.num_outputs(2)
    steps = loss.least_steps + 1
    membrane = torch.zeros(steps, 1, size, requires_grad=True)
    sample = (1, steps) if loss.needs_steps else (1,)
    target = torch.zeros(*sample, size) if loss.needs_values else torch.zeros(sample, dtype=torch.int64)
    if loss(torch.zeros_like(membrane), membrane, target).requires_grad:
        return []
    name, readout = _name(config, "loss", catalogue), _name(config, "readout", catalogue)
    message = f"{name} reads spikes, and {readout} never fires; choose a loss on the membrane, such as loss=ce_membrane"
    return [Fault("loss", message)]


def _no_validation_faults(config: Mapping[str, Any], settings: Any, catalogue: Catalogue) -> list[Fault]:
    """Settings that need the validation loss of a task without validation set."""
    why, advice = "there is no validation set to judge by", "give the task one, such as task.validation=0.1"
    faults = []
    if settings.early_stopping is not None:
        fault = Fault.of(ArgumentError("early_stopping", f"null, since {why}", settings.early_stopping, advice=advice))
        faults.append(fault._replace(for_training=True))
    if str(config["scheduler"]["_target_"]).endswith(".ReduceLROnPlateau"):
        name = _name(config, "scheduler", catalogue)
        faults.append(Fault("scheduler", f"{name} follows the validation loss: {why}; {advice}", for_training=True))
    return faults


def _others(group: str, catalogue: Catalogue) -> Iterator[tuple[str, Any]]:
    """The parts of a group that can be built from their file only."""
    for name, path in catalogue.groups[group].items():
        try:
            # Keys that a file takes in by its defaults list have their defaults in the class, too.
            yield (
                name,
                build({key: value for key, value in catalogue.content(path).items() if key != "defaults"}, group),
            )
        except Exception:  # a broken part is not suggested
            continue


def _name(config: Mapping[str, Any], group: str, catalogue: Catalogue) -> str:
    return catalogue.name(str(config[group]["_target_"]), group)
