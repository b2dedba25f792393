"""The text and the figures at the end of a search."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from snnrun.config.settings import Style
from snnrun.job.arguments import Arguments
from snnrun.job.search.options import Options
from snnrun.system import say

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

MOST_BEST = 10  # equally good trials in the text


def conclude(
    study: Study,
    objectives: Sequence[str],
    arguments: Arguments,
    fixed: Sequence[str],
    options: Options,
    folder: Path,
    style: Style,
) -> None:
    """Count the trials, draw ``history`` and ``importance`` in the style of the runs, and print the best command."""
    from optuna.trial import TrialState

    trials = study.trials
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    counts = [(state.name.lower(), sum(trial.state is state for trial in trials)) for state in TrialState]
    summary = ", ".join(f"{count} {_WORDS[name]}" for name, count in counts if count and name in _WORDS)
    say.say(f"snnrun: {len(trials)} trials in the study {study.study_name!r}: {summary}  {folder}")
    if not complete:
        return
    _draw(study, objectives, complete, folder, style)
    best = study.best_trials if len(objectives) > 1 else [study.best_trial]
    if len(objectives) > 1:
        say.say(f"snnrun: {len(best)} trials of which none is better than another in all:")
    for trial in best[:MOST_BEST]:
        values = ", ".join(f"{name} {value:.6g}" for name, value in zip(objectives, trial.values, strict=True))
        over = f", mean over {len(options.seeds)} seeds" if options.seeds else ""
        say.say(f"best: trial {trial.number}, {values}{over}\n  {command(trial, arguments, fixed, options)}")


def command(trial: FrozenTrial, arguments: Arguments, fixed: Sequence[str], options: Options) -> str:
    """The command that trains the network of a trial."""
    words = ["snnrun"]
    if arguments.config_dir:
        words += ["--config-dir", str(arguments.config_dir)]
    if arguments.trusted:
        words += [f"trust=[{','.join(arguments.trusted)}]"]
    words += [word for word in fixed if not word.startswith("hydra")]
    words += [f"{key}={value}" for key, value in trial.params.items()]
    if options.seeds:
        words[1:1] = ["-m"] if len(options.seeds) > 1 else []
        words += [f"seed={','.join(map(str, options.seeds))}"]
    return shlex.join(words)


_WORDS = {"complete": "finished", "pruned": "pruned", "fail": "failed", "running": "running elsewhere"}


def _draw(study: Study, objectives: Sequence[str], complete: Sequence[FrozenTrial], folder: Path, style: Style) -> None:
    from snnrun import report

    lower = [direction.name == "MINIMIZE" for direction in study.directions]
    history = {
        name: ([(trial.number, trial.values[i]) for trial in complete], lower[i]) for i, name in enumerate(objectives)
    }
    drawings: dict[str, Callable[[], object]] = {
        "history": lambda: report.history_figure(history, folder, style),
        "importance": lambda: report.importance_figure(_importances(study, objectives), folder, style),
    }
    for name, draw in drawings.items():
        try:
            draw()
        except Exception as error:  # as in a run: a picture must not end the search
            names = ", ".join(f"{name}.{kind}" for kind in style.format)
            say.say(f"warning: {names} could not be made ({type(error).__name__}: {error})", error=True)


def _importances(study: Study, objectives: Sequence[str]) -> dict[str, dict[str, float]]:
    """The importance of each key for each objective; empty if there are too few trials."""
    import optuna

    importances = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i, name in enumerate(objectives):
            target = None if len(objectives) == 1 else (lambda trial, i=i: trial.values[i])
            try:
                importances[name] = optuna.importance.get_param_importances(study, target=target)
            except (ValueError, RuntimeError):  # too few trials, or all of them the same
                continue
    return {name: values for name, values in importances.items() if values}
