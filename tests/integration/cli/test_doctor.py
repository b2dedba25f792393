"""``snnrun doctor``: what is right works, and what is wrong is named."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from snnrun.cli import doctor
from snnrun.model.products import events
from snnrun.sequence import run
from snnrun.sequence.kernel import llvm
from support.command import Command


def rows(out: str) -> dict[str, str]:
    """The text of each row by its name."""
    return {line[:18].rstrip(): line[18:].strip() for line in out.splitlines()}


def test_all_works_here(command: Command) -> None:
    code, out, err = command("doctor")
    assert (code, err) == (0, "")
    page = rows(out)
    assert set(doctor.CHECKS) <= set(page)
    for name in doctor.CHECKS:
        assert page[name].startswith("works "), page[name]
    assert f"torch {torch.__version__.split('+')[0]}" in page["packages"]
    assert f"{torch.get_num_threads()} of torch" in page["threads"]
    assert "device=auto is cpu" in page["device"] or torch.cuda.is_available()


def test_a_wrong_execution_is_named(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    product = events.product
    monkeypatch.setattr(events, "product", lambda *arguments: 1.001 * product(*arguments))
    code, out, err = command("doctor")
    assert code == 1
    page = rows(out)
    assert page["products of spikes"].startswith("FAILS") and "1e-03" in page["products of spikes"]
    assert page["neurons, fused"].startswith("works")
    assert "products of spikes" in err


def test_an_execution_that_raises_is_named(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("no compiler\nat all")

    monkeypatch.setattr(llvm, "call", refused)
    code, out, err = command("doctor")
    assert code == 1
    assert rows(out)["neurons, fused"] == "FAILS  RuntimeError: no compiler"
    assert "Traceback" not in out + err


def test_other_spikes_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    right = run

    def wrong(neuron: Any, x: Any, backend: str) -> Any:
        trace, state = right(neuron, x, backend=backend)
        return (trace._replace(spikes=1 - trace.spikes) if backend == "fused" else trace), state

    monkeypatch.setattr(doctor, "run", wrong)
    row = doctor.check("neurons", doctor.CHECKS["neurons, fused"], torch.device("cpu"))
    assert row.works is False and "LIF" in row.text and "spikes" in row.text


def test_it_takes_no_words(command: Command) -> None:
    code, out, err = command("doctor", "all")
    assert (code, out) == (2, "") and "doctor" in err and "all" in err
    assert command("doctor", "--help").out.count("snnrun doctor") >= 2
    assert command("doctr").code == 2
