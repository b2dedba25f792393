"""The zero-target experiment through the command, and the NaN that its published form runs into."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.forked import snnrun
from support.shell import CommandResult

WORDS = ("experiment=zero_target",)
#: As published: the gradient runs through the reset, and grows without bound in neurons that fire at every step.
PUBLISHED = ("experiment=zero_target_article", "report.figures=false", "epochs=4")
STOP = "on_nonfinite=stop"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[CommandResult]:
    commands = [WORDS, (*PUBLISHED, STOP), PUBLISHED]
    folders = [tmp_path_factory.mktemp("zeros") for _ in commands]  # not in the threads: the first call makes the base
    with ThreadPoolExecutor(2) as pool:  # a process for each of two cores
        return list(pool.map(lambda words, folder: snnrun(*words, cwd=folder), commands, folders))


@pytest.fixture(scope="module")
def zeros(runs: list[CommandResult]) -> CommandResult:
    return runs[0]


@pytest.fixture(scope="module")
def failure(runs: list[CommandResult]) -> CommandResult:
    return runs[1]


@pytest.fixture(scope="module")
def warning_run(runs: list[CommandResult]) -> CommandResult:
    return runs[2]


def test_the_loss_falls(zeros: CommandResult) -> None:
    assert zeros.code == 0, zeros.err
    result = zeros.run.result
    assert result["parameters"] == 150_500
    assert re.search(r"Total params: 150,500\n", zeros.run.text("summary.txt"))
    assert result["test_accuracy"] is None
    assert 0 <= result["test_loss"] < 1e-4
    assert not [key for record in zeros.run.metrics("step") for key in record if "accuracy" in key]
    assert zeros.run.metrics("epoch")[0]["layers"]["output"]["neurons"] == 500


def test_there_is_no_accuracy_to_draw(zeros: CommandResult) -> None:
    figures = {path.name for path in (zeros.run.folder / "figures").iterdir()}
    assert figures == {"loss.png", "raster.png", "membrane.png", "firing_rate.png", "raster.npz"}


def test_as_published_it_stops(failure: CommandResult) -> None:
    assert failure.code == 4
    match = re.search(
        r"iteration (\d+): not finite: the gradient of layers\.output\.synapse\.weight in (\d+) of 500 neurons",
        failure.err,
    )
    assert match is not None, failure.err
    assert 1 <= int(match[1]) <= 40
    assert 1 <= int(match[2]) < 50
    assert "neuron.detach_reset=true" in failure.err
    assert "Traceback" not in failure.err
    result = failure.run.result
    assert result["status"] == "failed"
    assert match[0] in result["error"]
    assert match[0] in failure.run.text("run.log")
    steps = failure.run.metrics("step")
    assert len(steps) == int(match[1]) - 1, "the steps before it are on record"


def test_the_remedy_that_is_named_helps(zeros: CommandResult, failure: CommandResult) -> None:
    assert "neuron.detach_reset=true" in failure.err
    words = (*PUBLISHED, STOP, "neuron.detach_reset=true", "report.summary=false")
    outcome = snnrun(*words, cwd=failure.cwd / "remedied")
    assert outcome.code == 0, outcome.err
    assert outcome.run.result["test_loss"] < 1e-3


def test_warn_goes_on(warning_run: CommandResult, failure: CommandResult) -> None:
    assert warning_run.code == 0
    assert warning_run.run.result["status"] == "finished"
    assert warning_run.run.result["test_loss"] >= 0, "silent, and so the loss falls all the same"
    warnings = warning_run.run.metrics("warning")
    first = re.search(r"iteration (\d+)", failure.err)
    assert first is not None
    assert warnings[0]["step"] == int(first[1])
    texts = [
        re.search(r"the values of layers\.output\.synapse\.weight in (\d+) of 500", w["message"]) for w in warnings
    ]
    counts = [int(match[1]) for match in texts if match]
    assert [warning["lost"]["layers.output.synapse.weight"] for warning in warnings] == counts
    assert len(counts) == len(warnings)
    assert counts == sorted(counts)
    for warning in warnings:
        assert f"warning: {warning['message']}" in warning_run.err.splitlines()
        assert f"warning: {warning['message']}" in warning_run.run.text("run.log").splitlines()
        assert "neuron.detach_reset=true" in warning["message"]
