"""Whether a run came out again, said of made-up pairs: only what is whole can match."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from snnrun.run.compare import Verdict, compare
from support.made_up import RESULT, epoch, make_run, step

RECORDS = [record for number in (1, 2, 3) for record in (step(number, 10 * number - 5), epoch(number))]


def write_metrics(folder: Path, records: list[dict[str, object]]) -> None:
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A finished run, and the same once more."""
    run = make_run(tmp_path / "run")
    write_metrics(run, RECORDS)
    return run, Path(shutil.copytree(run, tmp_path / "again"))


def change(folder: Path, name: str, **values: object) -> None:
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**content, **values}))


def test_the_same_run_matches(pair: tuple[Path, Path]) -> None:
    verdict = compare(*pair, same_seed=True)
    assert (verdict.exact, verdict.reproduced, verdict.records, verdict.gaps) == (True, True, len(RECORDS), ())
    assert verdict.words().startswith("match: all 6 records")


CLASSES = {"test_accuracy_by_class": {"0": 0.5, "1": 1.0}, "test_confusion": [[1, 1], [0, 2]]}


def test_a_run_of_before_there_were_classes_matches(pair: tuple[Path, Path]) -> None:
    change(pair[1], "result.json", **CLASSES)
    assert compare(*pair, same_seed=True).exact


def test_classes_are_compared_as_all_else(pair: tuple[Path, Path]) -> None:
    for folder in pair:
        change(folder, "result.json", **CLASSES)
    assert compare(*pair, same_seed=True).exact
    change(pair[1], "result.json", test_confusion=[[2, 0], [0, 2]])
    verdict = compare(*pair, same_seed=True)
    assert (verdict.exact, verdict.reproduced) == (False, False)
    assert verdict.results == {"test_confusion": ([[1, 1], [0, 2]], [[2, 0], [0, 2]])}
    (pair[1] / "result.json").write_text(json.dumps({k: v for k, v in RESULT.items() if "class" not in k}))
    assert not compare(pair[1], pair[0], same_seed=True).results, "the earlier run has none"


def interrupt(run: Path) -> None:
    write_metrics(run, RECORDS[:1])
    (run / "result.json").write_text(json.dumps({"status": "interrupted", "error": None, "epochs": 0}))


def damaged_in_the_middle(run: Path) -> None:
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join([*lines[:2], '{"kind": "st\n', *lines[2:]]))


def with_a_huge_line(run: Path) -> None:
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"kind": "note", "text": "x" * (1 << 21)}) + "\n")


def sparse(run: Path) -> None:
    os.truncate(run / "metrics.jsonl", 1 << 40)


def link_metrics(run: Path) -> None:
    (run / "metrics.jsonl").rename(run / "elsewhere.jsonl")
    (run / "metrics.jsonl").symlink_to("elsewhere.jsonl")


#: What is done to the first run, and how many records can be compared then.
NOT_WHOLE: dict[str, tuple[Callable[[Path], object], int]] = {
    "interrupted": (interrupt, 1),
    "no records": (lambda run: write_metrics(run, []), 0),
    "no metrics": (lambda run: (run / "metrics.jsonl").unlink(), 0),
    "metrics are a link": (link_metrics, 0),
    "no result": (lambda run: (run / "result.json").unlink(), 6),
    "result is damaged": (lambda run: (run / "result.json").write_text("[1]"), 6),
    "no status": (lambda run: change(run, "result.json", status=None), 6),
    "no hash of the weights": (lambda run: change(run, "result.json", weights_sha256=None), 6),
    "the end is missing": (lambda run: write_metrics(run, RECORDS[:4]), 4),
    "cut in a line": (lambda run: os.truncate(run / "metrics.jsonl", (run / "metrics.jsonl").stat().st_size - 9), 5),
    "a line is damaged": (damaged_in_the_middle, 2),
    "a line is too much": (lambda run: write_metrics(run, [*RECORDS, epoch(4)]), 6),
    "steps alone": (lambda run: write_metrics(run, [r for r in RECORDS if r["kind"] == "step"]), 1),
    "a line of megabytes": (with_a_huge_line, 6),
    "endless": (sparse, 6),
}


@pytest.mark.parametrize("case", NOT_WHOLE)
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_run_that_is_not_whole_is_no_match(case: str, elsewhere: bool, pair: tuple[Path, Path]) -> None:
    """Nor in another environment, where a tolerance is granted for the result."""
    harm, count = NOT_WHOLE[case]
    harm(pair[0])
    if elsewhere:
        change(pair[0], "manifest.json", packages={"torch": "1.0.0"})
    verdict = compare(*pair, same_seed=True)
    assert (verdict.exact, verdict.reproduced, verdict.records) == (False, False, count)
    assert verdict.gaps and "no match" in verdict.words() and f"{count} record" in verdict.words()
    verdict.save(pair[1])
    assert json.loads((pair[1] / "reproduction.json").read_text())["gaps"] == list(verdict.gaps)


def test_both_broken_in_the_same_way_are_no_match(pair: tuple[Path, Path]) -> None:
    for run in pair:
        interrupt(run)
    verdict = compare(*pair, same_seed=True)
    assert (verdict.exact, verdict.reproduced, verdict.records) == (False, False, 1)


def test_metrics_of_any_size_are_compared_from_their_begin(pair: tuple[Path, Path]) -> None:
    """Not by their last bytes alone: the first record differs."""
    for number, run in enumerate(pair):
        write_metrics(run, [{**step(1, 1), "loss": float(number)}, *RECORDS])
    verdict = compare(*pair, same_seed=True)
    assert not verdict.exact and verdict.records == 0
    assert verdict.first is not None and verdict.first["values"] == {"loss": (0.0, 1.0)}


@pytest.mark.parametrize(("there", "here"), [(1, 1.0), (True, 1), (0.0, -0.0), ([1], [True])])
def test_numbers_are_compared_as_they_stand(there: object, here: object, pair: tuple[Path, Path]) -> None:
    for run, value in zip(pair, (there, here), strict=True):
        write_metrics(run, [{**step(1, 1), "loss": value}, *RECORDS])
    assert not compare(*pair, same_seed=True).reproduced


def elsewhere_and(pair: tuple[Path, Path], loss: float) -> Verdict:
    change(pair[0], "manifest.json", packages={"torch": "1.0.0"})
    change(pair[0], "result.json", test_loss=loss)
    return compare(*pair, same_seed=True)


def test_another_environment_has_a_tolerance(pair: tuple[Path, Path]) -> None:
    near = elsewhere_and(pair, 0.126)
    assert (near.exact, near.reproduced) == (False, True)
    assert not elsewhere_and(pair, 0.2).reproduced


def test_an_environment_that_is_not_known_has_none(pair: tuple[Path, Path]) -> None:
    (pair[0] / "manifest.json").unlink()
    assert compare(*pair, same_seed=True).exact, "the manifest is no part of what must be the same"
    change(pair[0], "result.json", test_loss=0.126)
    verdict = compare(*pair, same_seed=True)
    assert not verdict.reproduced and verdict.gaps


def test_another_seed_has_its_results_beside_it(pair: tuple[Path, Path]) -> None:
    change(pair[0], "result.json", test_loss=0.5)
    verdict = compare(*pair, same_seed=False)
    assert (verdict.exact, verdict.reproduced, verdict.results) == (False, True, {"test_loss": (0.5, 0.125)})
    interrupt(pair[0])
    assert not compare(*pair, same_seed=False).reproduced, "there is no result to stand beside"


def test_values_of_a_stranger_are_shown_harmlessly(pair: tuple[Path, Path]) -> None:
    record = {
        "kind": "step",
        "epoch": {"a": "\x1b[2J" * 999},
        "step": [["x" * 999] * 99],
        **{f"k{i}": 1 for i in range(5000)},
    }
    write_metrics(pair[0], [record, *RECORDS])
    words = compare(*pair, same_seed=True).words()
    assert "\x1b" not in words and len(words) < 20_000


def test_the_hash_of_the_config_is_no_difference_of_environments(pair: tuple[Path, Path]) -> None:
    change(pair[0], "manifest.json", config_sha256="0" * 64)
    assert compare(*pair, same_seed=True).environment == {}
