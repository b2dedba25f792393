"""``snnrun resume``, ``evaluate`` and ``reproduce``: work on a run from the config in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snnrun.cli import usage
from snnrun.cli.show import classes_of
from snnrun.errors import ConfigError, NotReproduced
from snnrun.job.arguments import Arguments, check_words
from snnrun.job.scope import TESTED
from snnrun.run import browse, new_folder, rerun
from snnrun.run.recorded import check_config, recorded_job, recorded_jobs
from snnrun.system import files, safe_read, say
from snnrun.system.layout import fit, page_width
from snnrun.system.safe_read import Unreadable
from snnrun.training.records import RunResult

OUTPUTS = Path("outputs")


def main(arguments: Arguments, command: Sequence[str]) -> int:
    """Run the command; returns the exit code."""
    name, words = arguments.command, arguments.words
    if arguments.help:
        say.say(fit(usage.AGAIN[name], page_width()))
        return 0
    if len(words) != 1 or not arguments.overrides:  # else faults are reported with faults of the overrides
        check_words(arguments, 1, 1, "one run")
    folder = browse.resolve(words[0], OUTPUTS)
    # The user's path may be a link; inside the folder no link is followed.
    run = browse.read(files.without_links(folder))
    if run.command != "train":
        raise ConfigError(f"{name}: expected a training run, got one of `snnrun {run.command}`")
    if name == "resume":
        rerun.resume(run.folder, arguments, command)
    elif name == "evaluate":
        _evaluate(run.folder, arguments, command)
    else:
        repeated, verdict = rerun.reproduce(run.folder, arguments, command)
        say.say(verdict.words(), prose=True)
        if not verdict.reproduced:
            raise NotReproduced(f"{run.folder} was not reproduced; {repeated} holds the other run")
    return 0


def _evaluate(folder: Path, arguments: Arguments, command: Sequence[str]) -> None:
    if arguments.overrides:
        from snnrun.cli import evaluation

        tests = recorded_jobs(folder, arguments, command, TESTED)
        _warn_of_another_config(folder)
        where = evaluation.evaluate(tests, lambda output_dir: new_folder.make_dated(output_dir, "evaluated"))
        if where is not None:
            say.say(str(where))
        return
    job = recorded_job(folder, arguments)
    from snnrun.run.evaluation import evaluate_run

    _warn_of_another_config(folder)
    result = evaluate_run(job)
    before = _result(folder)
    for key in ("test_accuracy", "test_loss", "test_r2"):
        if (value := getattr(result, key)) is not None:
            recorded = before.get(key)
            same = "the same as recorded" if value == recorded else f"recorded: {recorded}"
            say.say(f"{key}: {value:.6g} ({same})")
    if by_class := classes_of(result):
        recorded = RunResult.from_json(before).test_confusion
        alike = "the same as recorded" if result.test_confusion == recorded else "recorded otherwise"
        say.say(f"classes ({alike if 'test_confusion' in before else 'not recorded'})\n{by_class}")


def _warn_of_another_config(folder: Path) -> None:
    try:
        check_config(folder)
    except ConfigError:
        rerun.warn("config.yaml is another one than the run was started with; this is not the test that is recorded")


def _result(folder: Path) -> dict[str, Any]:
    try:
        return safe_read.json_object(folder, "result.json")
    except Unreadable:
        return {}
