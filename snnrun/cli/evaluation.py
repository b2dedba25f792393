"""``snnrun evaluate RUN num_steps=8,16,32``: tests the weights of a run with other settings than the recorded test."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from snnrun import report
from snnrun.cli.evaluation_page import FIGURES, NAME, table_of
from snnrun.config import fingerprint
from snnrun.config.settings import Style
from snnrun.errors import ConfigError
from snnrun.job.job import Job
from snnrun.report.manifest import start as manifest_start
from snnrun.run import browse, build, checkpoint, continuation
from snnrun.run.evaluation import evaluate_run
from snnrun.system import files, safe_read, say
from snnrun.system.safe_read import Unreadable, at, number, printable, quote
from snnrun.system.storage import storing
from snnrun.training.streams import Streams

WHERE = ("output_dir", "device", "threads", "data_dir", "style")  # keys that do not change the test
SPLIT = ("split_seed", "validation", "test")  # keys of a task that split its data


class EvaluationResult(NamedTuple):
    """One test.

    Attributes:
        values: of the overrides, by key; for a part its name.
        num_steps: T.
        figures: as in ``result.json``.
    """

    values: Mapping[str, Any]
    num_steps: int | str
    figures: Mapping[str, float | None]


def evaluate(tests: Sequence[Job], new_folder: Callable[[str], Path]) -> Path | None:
    """Run each of ``tests`` on the weights of one run, and print the results beside the recorded ones.

    Several tests write a table, and a figure if ``num_steps`` has several values, into a folder that ``new_folder``
    creates in an ``output_dir``. Returns the folder; None if nothing was written.

    Raises:
        ConfigError: if the weights do not fit.
        DataError: if they are missing or damaged.
    """
    folder = tests[0].folder
    path = checkpoint.tested_weights(folder)
    weights = checkpoint.load(path)
    faults = [fault for test in tests if (fault := _misfit(test, weights))]
    if faults:
        raise ConfigError(say.faults(faults))
    keys = [key for key in tests[0].words if key.partition(".")[0] not in WHERE]
    recorded = _run_values(folder)
    choices = browse.read(folder).choices
    before = {key: _value(tests[0].config, key, choices.get(key)) for key in keys}
    if any(_splits_anew(test.local["task"], test.config["task"]) for test in tests):
        say.say("warning: the data are split anew, so that the test set may hold samples of the training", error=True)
    # Created first, so that nothing is computed if nothing can be written.
    where = new_folder(tests[0].settings.output_dir) if len(tests) > 1 else None
    try:
        results = [
            EvaluationResult(
                {key: _value(test.local, key, test.words[key]) for key in keys},
                test.settings.num_steps,
                _figures(evaluate_run(test, path).to_json()),
            )
            for test in tests
        ]
    except BaseException:
        if where is not None:
            with suppress(OSError):
                where.rmdir()
        raise
    if keys:
        changes = ", ".join(f"{key}={','.join(dict.fromkeys(test.words[key] for test in tests))}" for key in keys)
        was = ", ".join(f"{key}={quote(before[key])}" for key in keys)
        what = "with" if any(test.values == before for test in results) else "not the recorded test, but with"
        say.say(f"{what} {changes}; the recorded test is that with {was}", prose=True)
    else:
        say.say(
            "the recorded test, computed otherwise: " + " ".join(f"{k}={v}" for k, v in tests[0].words.items()),
            prose=True,
        )
    values = [{**test.values, **test.figures} for test in results]
    say.say(table_of(keys, values, {**before, **recorded} if recorded else {}))
    if where is None:
        return None
    content = {
        "what": "another test than the recorded one, with the weights that were tested",
        **manifest_start(tests[0].command, record=where),
        "run": {
            **continuation.reference(folder, where),
            fingerprint.KEY: fingerprint.recorded_hash(folder),
            "weights_sha256": checkpoint.weights_sha256(weights),
        },
        "recorded": {**before, **recorded},
        "tests": values,
    }
    with storing(where):
        files.write_json(where / NAME, content)
        files.write_text(where / "evaluation.csv", _csv(results, keys))
        if len({test.num_steps for test in results}) > 1:
            _draw(results, keys, recorded, tests[0].config.get("num_steps"), where, tests[0].settings.style)
    return where


def _splits_anew(task: Any, recorded: Any) -> bool:
    """True if a task has the data of the recorded one with another split."""
    if not isinstance(recorded, Mapping) or task.get("_target_") != recorded.get("_target_"):
        return False
    return any(task.get(key) != recorded.get(key) for key in SPLIT)


def _misfit(test: Job, weights: Mapping[str, Tensor]) -> str | None:
    """The reason why the weights do not fit the test's model, or None."""
    import torch

    model = build.build_model(test.parts, test.settings, Streams(test.settings.seed, torch.device("cpu")))
    needed = {name: list(each.shape) for name, each in model.state_dict().items()}
    have = {name: list(each.shape) for name, each in weights.items()}
    for name in [*needed, *have]:
        if needed.get(name) != have.get(name):
            there, here = (f"shape {shapes[name]}" if name in shapes else "none" for shapes in (have, needed))
            words = " ".join(f"{key}={value}" for key, value in test.words.items())
            return (
                f"{words}: the weights of this run depend on what is changed: {printable(name, 80)} has {there}, and "
                f"would need {here}; train a run with {words} instead"
            )
    return None


def _figures(result: Mapping[str, Any]) -> dict[str, float | None]:
    return {key: number(result.get(key)) for key in FIGURES if key in result}


def _run_values(folder: Path) -> dict[str, float | None]:
    """The values in ``result.json``."""
    try:
        return _figures(safe_read.json_object(folder, "result.json"))
    except Unreadable:
        return {}


def _value(config: Mapping[str, Any], key: str, choice: str | None) -> Any:
    """The value at a dotted key, for JSON; for a part its name, ``choice``, or if that is unknown its class."""
    node = at(config, key)
    if isinstance(node, Mapping):
        return choice or str(node.get("_target_")).rpartition(".")[2]
    return json.loads(json.dumps(node, default=str))


def _csv(results: Sequence[EvaluationResult], keys: Sequence[str]) -> str:
    out = io.StringIO()
    names = [name for name in FIGURES if any(name in test.figures for test in results)]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*keys, *names])
    for test in results:
        cells = [test.figures.get(name) for name in names]
        writer.writerow([*map(_cell, test.values.values()), *("" if cell is None else repr(cell) for cell in cells)])
    return out.getvalue()


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _draw(
    results: Sequence[EvaluationResult],
    keys: Sequence[str],
    recorded: Mapping[str, float | None],
    num_steps: Any,
    folder: Path,
    style: Style,
) -> None:
    """``accuracy``, or else ``loss``, against the number of steps."""
    measure = "accuracy" if all(test.figures.get("test_accuracy") is not None for test in results) else "loss"
    varying = [key for key in keys if key != "num_steps" and len({_cell(test.values[key]) for test in results}) > 1]
    curves: dict[str, list[tuple[int, float | None]]] = {}
    for test in results:
        label = ", ".join(f"{key}={quote(value)}" for key, value in test.values.items() if key in varying)
        if isinstance(test.num_steps, int):  # max has no place on the axis
            curves.setdefault(label, []).append((test.num_steps, test.figures.get(f"test_{measure}")))
    was = recorded.get(f"test_{measure}")
    point = (num_steps, was) if isinstance(num_steps, int) and was is not None else None
    report.evaluation_figure(curves, measure, folder, style, recorded=point)
