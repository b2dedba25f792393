"""The help and the lists of the command."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from snnrun.config.catalogue import Catalogue
from snnrun.errors import EXIT_CODES, ConfigError
from snnrun.job.arguments import nearest
from snnrun.system.layout import columns, fit, page_width

TRAIN = """\
snnrun trains a spiking neural network from a composed config, and keeps a
record of the run.

usage: snnrun [key=value ...]            train
       snnrun -m [key=a,b,c ...]         train each combination: a sweep
       snnrun simulate [key=value ...]   drive a neuron, look at its traces
       snnrun plot GROUP=NAME            draw a surrogate, encoder or neuron
       snnrun list [GROUP [NAME]]        what there is to choose from
       snnrun runs [FOLDER]              what has been run; --sort, --json
       snnrun show RUN                   all about one run, or a sweep's jobs
       snnrun diff RUN RUN               in what two runs differ
       snnrun report SWEEP               tables and plots, as a page to open
       snnrun best SWEEP                 the best configuration of a sweep
       snnrun resume RUN                 go on with a run that was stopped;
                                         with epochs=N, train a finished one on
       snnrun evaluate RUN               test its weights once more; with
                                         num_steps=8,16,32, at other numbers
       snnrun reproduce RUN              run it again, and compare
       snnrun --cfg job [key=value ...]  show the composed config, train nothing
       snnrun doctor                     what this machine has, and what works
       torchrun --nproc-per-node N -m snnrun [key=value ...]
                                         train once, with N processes

`snnrun COMMAND --help` says more about each.

examples:
  snnrun                                           digits, in seconds, offline
  snnrun neuron=if surrogate=atan                  pick parts by name
  snnrun neuron.beta=0.9 'model.hidden=[500,200]'  set what a part takes
  snnrun --config mine.yaml seed=1                 an edited config.yaml of a run
  snnrun experiment=snntorch_tutorial_5            a published experiment
  snnrun -m neuron=if,lif seed=0,1,2               six runs, a folder for each
  snnrun -m neuron=if,lif seed=0,1,2 --resume      those that are not finished
  snnrun -m hydra/launcher=local_parallel seed=0,1 several at a time; others are
                                                   slurm and ray: docs/sweeps.md
  snnrun -m hydra/sweeper=optuna 'optimizer.lr=tag(log,interval(1e-4,1e-1))'
                                                   a search: docs/search.md
  snnrun --config-dir my_parts neuron=mine trust=mine
                                                   parts of your own, such as
                                                   my_parts/neuron/mine.yaml and
                                                   my_parts/mine.py
"""

SIMULATE = """\
snnrun simulate drives a neuron with a chosen current, without training, and
keeps traces and figures.

usage: snnrun simulate [key=value ...]      input, currents, membrane, threshold
                                            and spikes over time
       snnrun simulate -m [key=a,b,c ...]   one figure for each combination, and
                                            an overlay of all

examples:
  snnrun simulate neuron=lapicque input=step input.amplitude=0.3 num_steps=200
  snnrun simulate input=noise num_neurons=100 style.theme=dark
  snnrun simulate -m neuron=lif neuron.reset=subtract,zero,none
  snnrun simulate neuron=if input=ramp input.stop=2 num_neurons=40
                                            a single step: who fires, and the
                                            gradient
  snnrun simulate input=file input.path=current.csv

Times of an input are in the unit of the neuron's dt.
"""

PLOT = """\
snnrun plot draws a part; values separated by commas are drawn over each other.

usage: snnrun plot surrogate=NAME[,NAME...]   step, primitive and derivative
       snnrun plot encoder=NAME [task=NAME]   a sample beside its spikes; also
                                              an animation, with format=gif
       snnrun plot neuron=NAME[,NAME...]      firing rate against current

examples:
  snnrun plot surrogate=atan,sigmoid,heaviside
  snnrun plot surrogate=atan surrogate.alpha=1,2,4
  snnrun plot encoder=latency task=digits sample=3 num_steps=50
  snnrun plot neuron=lif neuron.beta=0.8,0.9,0.95
"""

LIST = """\
snnrun list shows what there is to choose from: a line for each part.

usage: snnrun list [GROUP [NAME]] [--config-dir DIR]

examples:
  snnrun list                all groups, with the names in each
  snnrun list neuron         the neurons; * marks the default
  snnrun list neuron lif     all about one: equation, parameters and their
                             defaults, source

A part is chosen with GROUP=NAME, as in `snnrun neuron=if`, and what it takes is
set with GROUP.PARAMETER=VALUE, as in `snnrun neuron.beta=0.9`.

With --config-dir, parts of your own in DIR/GROUP/NAME.yaml are listed too.
"""

RUNS = """\
snnrun runs lists the runs in a folder, newest first, however deep they lie.

usage: snnrun runs [FOLDER] [--sort KEY[,asc|,desc]] [--json]

FOLDER is outputs by default.

A line has the result, and what of the run is not the default.
--sort KEY: time (of the start), accuracy, loss, epochs, seconds, status, name,
or a key of the config such as optimizer.lr or neuron. The newest and the best
come first, other values from small to large.
--json: a list of objects with folder, name, status, started, accuracy, loss,
epochs, seconds and changes.

The status is finished, failed, interrupted, running, stalled or dead. A dead
run has no result, and no process writes it any more; a stalled one has a
process that has not moved for a minute. + can go on from a checkpoint.
"""

SHOW = """\
snnrun show tells all about one run: parts, settings that are not the default,
result, classes, curves, layers, warnings, environment, files. Of a sweep it
lists the jobs, with the best configuration marked. It reads the folder and runs
nothing in it.

usage: snnrun show RUN
       snnrun show SWEEP

RUN is a folder, the name of a run (name=NAME; of several the newest), or any
part of a folder's name in outputs that no other run has: its token is enough.
"""

DIFF = """\
snnrun diff shows in what two runs differ: config, environment (versions,
processor, threads, git), result.

usage: snnrun diff RUN RUN

RUN is a folder, or any part of a run's name in outputs that no other run has.
Differences are no error.
"""

REPORT = """\
snnrun report writes report.html, one file that opens from disk without a
network, and for a sweep results.csv, a row for each job. Both go into the
folder of the sweep or run, and can be written while it is still running.

usage: snnrun report SWEEP
       snnrun report RUN

The page of a sweep: the best configuration and whether its lead is more than
chance, mean, standard deviation and 95 % interval over seeds, curves, accuracy
against cost, heat map and parallel coordinates, all jobs, failures,
environment. The page of a run: result, curves, firing rates, classes, rasters,
settings, environment. SWEEP and RUN are folders, or any part of a name in
outputs that no other has: its token is enough.
"""

BEST = """\
snnrun best names the best configuration of a sweep, by the mean over seeds of
the validation accuracy (or R², or where there is neither the loss), with its
folders and the command that runs it again. The test set is not used for the
choice. Nothing is written.

usage: snnrun best SWEEP
"""

RESUME = """\
snnrun resume goes on with a run that was interrupted, killed, or stopped by an
error, from its last checkpoint. On the same machine and versions a resumed run
ends with the records and weights of an uninterrupted one, bit for bit. A run
that is finished is trained on with more epochs or steps, as a new run in
output_dir, whose manifest.json names the finished run as its parent.

usage: snnrun resume RUN [key=value ...] [--config-dir DIR] [trust=PACKAGE]

examples:
  snnrun resume 5d3a9e01                    it was stopped
  snnrun resume 5d3a9e01 max_seconds=3600   it was stopped, and may take an hour
  snnrun resume 5d3a9e01 epochs=40          it is finished: up to epoch 40,
                                            counted from its first one

RUN is a folder, or any part of a run's name in outputs that no other run has.
What says how the run is watched or where it computes can change: max_seconds,
report.*, checkpoint.*, style.*, tracker, device, threads, data_dir; for a
finished run epochs, max_steps, early_stopping and output_dir too. What trains
another network needs a new run.

A finished run that is trained on to epoch 40 has the bits of one that was
started with epochs=40, unless its scheduler depends on the number of epochs
(scheduler=cosine, one_cycle). Its schedule then stays as it was, and a warning says so.
"""

EVALUATE = """\
snnrun evaluate tests the best weights of a run once more, and says whether the
figures, also those of each class, are those recorded. With overrides it tests
the weights on other data, with another number of time steps or another encoder.
That is not the recorded test, whose figures stand beside. Values separated by
commas are tested one by one: they leave a table in a new folder of output_dir,
and several values of num_steps a figure, accuracy against T. Nothing is written
into the run.

usage: snnrun evaluate RUN [key=value ...] [key=a,b,c ...] [--config-dir DIR]
                       [trust=PACKAGE]

examples:
  snnrun evaluate 5d3a9e01                          the recorded test again
  snnrun evaluate 5d3a9e01 num_steps=8,16,32        accuracy against T
  snnrun evaluate 5d3a9e01 encoder=direct,latency   other encoders
  snnrun evaluate 5d3a9e01 task=fashion_mnist       other data of the same size

RUN is a folder, or any part of a run's name in outputs that no other run has.
These can change: num_steps, task, task.*, encoder, encoder.*, batch_size,
device, threads, data_dir, output_dir, style.*. Weights that depend on what is
changed, such as those of neuron=psn on num_steps, are refused.
"""

REPRODUCE = """\
snnrun reproduce runs the config of a run again, in a folder of its own, and
compares: match, or the first step that differs and all that differs between the
two environments. With another seed the results stand side by side.

usage: snnrun reproduce RUN [--seed K] [--config-dir DIR] [trust=PACKAGE]

Exit code 8 if the second run came out otherwise than it must.
"""

DOCTOR = """\
snnrun doctor shows what this machine has (processor, packages, devices, threads,
cache), and runs each execution on a small example: it works if it gives the
results of the reference. Put its page into a report of a fault.

usage: snnrun doctor

Exit code 1 if an execution gives wrong results here.
"""

AGAIN = {"resume": RESUME, "evaluate": EVALUATE, "reproduce": REPRODUCE}
OTHERS = ("config", "simulate")
LOOKING = {"runs": RUNS, "show": SHOW, "diff": DIFF}
REPORTING = {"report": REPORT, "best": BEST}
USAGE = {"train": TRAIN, "simulate": SIMULATE, "plot": PLOT}

FLAGS = """\
flags:
  -m, --multirun      run every combination of values separated by commas
  --resume[=FOLDER]   with -m: run what is not finished of the sweep in FOLDER,
                      or of the newest one of this command
  --dry-run           with -m: list the jobs, run and write nothing
  on_error=stop       with -m: end with the first job that fails; the default is
                      on_error=continue
  --cfg WHAT          show the config: job, hydra or all; with --resolve,
                      references are filled in
  --info [WHAT]       what Hydra says of the config: all, config, defaults,
                      defaults-tree, plugins or searchpath
  --config FILE       run an edited config.yaml, or a few keys; other words win
  --config-dir DIR    a folder with parts of your own, DIR/GROUP/NAME.yaml
  trust=[A,B]         packages whose code a config may name, modules in DIR
                      included (or set SNNRUN_TRUST=A,B)
  --debug             show the full traceback of an error (or SNNRUN_DEBUG=1)
  -sc install=bash    the rule by which the shell completes keys and names, as in
                      eval "$(snnrun -sc install=bash)"; also zsh and fish
  --version, -h, --help
"""

EXITS = "\n".join(["exit codes:", *(f"{each.code:>5}  {each.meaning}" for each in EXIT_CODES)])


def help_text(catalogue: Catalogue, command: str = "train") -> str:
    """The output of ``--help``; ``catalogue``: of the command."""
    page, width = page_width(), max(len(f"{key.name}={key.default}") for key in catalogue.keys)
    keys = [f"  {f'{key.name}={key.default}':<{width}}  {key.about}".rstrip() for key in catalogue.keys]
    groups = []
    for group, options in catalogue.groups.items():
        chosen = catalogue.defaults.get(group)
        if command != "train" and chosen is None and any(group in Catalogue(primary=p).defaults for p in OTHERS):
            continue  # only for other commands
        names = ", ".join(f"{name}*" if name == chosen else name for name in options)
        groups.append(textwrap.fill(names, page, initial_indent=f"  {group:<14}", subsequent_indent=" " * 16))
    title = "parts (* = default; `snnrun list` says what each is):"
    return fit("\n".join([USAGE[command], FLAGS, "keys:", *keys, "", title, *groups, "", EXITS]), page)


def listing(catalogue: Catalogue, words: Sequence[str]) -> str:
    """The output of ``snnrun list [GROUP [NAME]]``: a line for each option of each group, or details of one."""
    if len(words) > 2:
        raise ConfigError(f"list: expected a group, and a name in it, at most, got {' '.join(words)}")
    if words and words[0] not in catalogue.groups:
        homes = [group for group, options in catalogue.groups.items() if words[0] in options]
        hint = f", but `snnrun list {homes[0]} {words[0]}` shows that {homes[0]};" if homes else ""
        hint = hint or nearest(words[0], catalogue.groups) or ";"
        raise ConfigError(f"list: there is no group {words[0]!r}{hint} there are {', '.join(catalogue.groups)}")
    if len(words) == 2:
        group, name = words
        options = catalogue.groups[group]
        if name not in options:
            hint = nearest(name, options) or ";"
            raise ConfigError(f"list: there is no {group} {name!r}{hint} there are {', '.join(options)}")
        return _details(catalogue, group, name)
    lines: list[str] = []
    defaults = {**Catalogue(primary="simulate").defaults, **catalogue.defaults}
    for group in words or catalogue.groups:
        chosen, options = defaults.get(group), catalogue.groups[group]
        width = max(len(name) for name in options) + 1
        lines += ["", group] if lines else [group]
        for name in options:
            mark = "*" if name == chosen else ""
            lines.append(f"  {name + mark:<{width}}  {plain(catalogue.describe(group, name))}".rstrip())
    lines += ["", "* is the default; choose with GROUP=NAME; `snnrun list GROUP NAME` says all about one"]
    # In a pipe each part is one line, for grep.
    return fit("\n".join(lines), page_width()) if columns() else "\n".join(lines)


def _details(catalogue: Catalogue, group: str, name: str) -> str:
    """The details of one option: description, equation, parameters, source."""
    detail = catalogue.detail(group, name)
    title = f"{group}={name}" + (" (the default)" if catalogue.defaults.get(group) == name else "")
    lines = [title, "", _paragraphs(detail.text)]
    if detail.parameters:
        lines += ["", "parameters and their defaults:"]
        for i, parameter in enumerate(detail.parameters):
            # Options with the same description stand together, with the description below the last.
            following = detail.parameters[i + 1 :]
            shared = bool(parameter.about and following and following[0].about == parameter.about)
            origin = f"  (that of {parameter.origin})" if parameter.origin else ""
            lines.append(f"  {detail.place or group}.{parameter.name}={parameter.default}{origin}")
            if parameter.about and not shared:
                lines.append(_wrap(plain(parameter.about), "      "))
    if detail.also:
        lines += ["", "it also sets, unless the command line does:"]
        lines += [f"  {key}={value}" for key, value in detail.also.items()]
    if detail.source:
        lines += ["", _wrap("source: " + " ".join(plain(detail.source).split()), "", "  ")]
    if detail.target:
        lines += ["", f"defined by {detail.target}"]
    return fit("\n".join(lines), page_width())


def plain(text: str) -> str:
    """A docstring's text without markup: ``x`` becomes x, and :class:`a.B` B."""
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"\1", text)
    return re.sub(r"``(.+?)``", r"\1", text)


def _paragraphs(text: str) -> str:
    """Paragraphs filled to the width of the screen; indented blocks, lists and tables unchanged."""
    blocks = []
    for paragraph in re.split(r"\n\s*\n", text):
        literal = paragraph.startswith((" ", "=", "-", "*")) or "\n " in paragraph
        paragraph = plain(paragraph)
        if paragraph.strip() == "::":
            continue
        if paragraph.endswith("::"):
            paragraph = paragraph[:-1]
        blocks.append(paragraph if literal else _wrap(paragraph))
    return "\n\n".join(blocks)


def _wrap(text: str, indent: str = "", subsequent: str | None = None) -> str:
    return textwrap.fill(
        text,
        page_width(),
        initial_indent=indent,
        subsequent_indent=indent if subsequent is None else subsequent,
        break_long_words=False,
        break_on_hyphens=False,
    )
