"""Puts what was measured into ``docs/performance.md`` and ``docs/gpu.md``: tables and figure, from their JSON files.

``python -m benchmarks.report``, from docs/performance.json and docs/gpu.json; with ``--check`` nothing is written, and
it ends with 1 where a page is stale.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.account import PARTS
from benchmarks.gpu import page
from benchmarks.statistic import ratio, summary
from benchmarks.table import memory, spread, table

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES, FIGURE = ("performance", "gpu"), DOCS / "images" / "performance.png"
BEGIN, END = "<!-- begin: made by python -m benchmarks.report -->", "<!-- end -->"
BUSY = 0.5  # load before the start from which the numbers are in doubt
STEPS = ("", "", "time of a step", "snnrun is faster by")
SIZES = ["peak memory added", "of snnTorch's"]
OURS, OURS_BF16, SNNTORCH = "snnrun", "snnrun, bf16", "snnTorch"


def main(words: Sequence[str]) -> int:
    stale = []
    for name in PAGES:
        page = DOCS / f"{name}.md"
        result = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
        before = page.read_text(encoding="utf-8")
        after = filled(page.name, before, tables(result))
        if before != after:
            stale.append(page.name)
        if "--check" in words:
            continue
        page.write_text(after, encoding="utf-8")
        if name == "performance":
            from benchmarks.plot import draw  # matplotlib, which the tables need not wait for

            draw(result, FIGURE)
    if "--check" in words and stale:
        print(f"{', '.join(stale)}: stale; run python -m benchmarks.report", file=sys.stderr)
    return int("--check" in words and bool(stale))


def filled(name: str, page: str, lines: Sequence[str]) -> str:
    """The page with other lines between its marks."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    if not tail:
        raise SystemExit(f"{name}: expected the lines {BEGIN!r} and {END!r}")
    return "\n".join([head + BEGIN, "", *lines, "", END + tail])


def tables(result: dict[str, Any]) -> list[str]:
    """All tables, as lines of Markdown."""
    # A compiler's results depend on no load.
    blocks = [machine(result["machine"] | ({"load_before": None} if "gpu" in result else {}))]
    blocks += jobs(result)
    if "start" in result:
        own = result["start"]
        blocks.append(["### Short runs", "", *machine(own["machine"]), "", *start(own["seconds"])])
    if "gpu" in result:
        blocks += [*page.blocks(result["gpu"]), *jobs(result["gpu"])]
    if "busy" in result:
        blocks.append(["### On a busy machine", "", *busy(result["busy"])])
    return "\n\n".join("\n".join(block) for block in blocks).splitlines()


def jobs(result: dict[str, Any]) -> list[list[str]]:
    """The tables of what is measured on a CPU and on a GPU."""
    blocks = []
    for entry in result.get("job", []):
        blocks.append(["### " + _title(entry["job"]), "", *job(entry)])
    if any(entry["account"] for entry in result.get("job", [])):
        blocks.append(["### Where a training step goes", "", *accounts(result["job"])])
    if "layer" in result:
        blocks.append(["### One layer", "", *layers(result["layer"])])
    if "alone" in result:
        blocks.append(["### LIF neurons alone", "", *alone(result["alone"])])
    if "growth" in result:
        blocks.append(["### Growth with the number of steps", "", *growth(result["growth"])])
    if "recurrent" in result:
        own = result["recurrent"]
        blocks.append(["### Recurrent networks", "", *machine(own["machine"]), "", *recurrent(own["cases"])])
    if "convolutional" in result:
        own = result["convolutional"]
        blocks.append(["### Convolutional networks", "", *machine(own["machine"]), "", *convolutional(own["cases"])])
    if "convolutional_memory" in result:
        own = result["convolutional_memory"]
        facts = own["machine"] | {"load_before": None}  # memory depends on no load
        head = ["### Memory of convolutional networks", "", *machine(facts), ""]
        blocks.append([*head, *convolutional_memory(own["cases"])])
    return blocks


def busy(measured: dict[str, Any]) -> list[str]:
    """Medians in seconds, and in brackets how many times as long as two equal shares of the machine would take."""
    lines = [
        f"| command, on {measured['cores']} cores | alone | beside a busy loop | two at once |",
        "| --- | --- | --- | --- |",
    ]
    for name, kinds in measured["seconds"].items():
        alone, loop, other = (statistics.median(kinds[kind]) for kind in ("alone", "loop", "run"))
        shares = [f"{value:.1f} s ({value / (2 * alone):.2f})" for value in (loop, other)]
        lines.append(f"| `{name}` | {alone:.1f} s | {' | '.join(shares)} |")
    return lines


def machine(facts: dict[str, Any]) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in facts["packages"].items() if version)
    text = f"{facts['processor']}, {facts['cores']} cores, {facts['threads']} threads, "
    text += f"{facts['memory_bytes'] / 2**30:.0f} GiB, " if facts["memory_bytes"] else ""
    text += f"{facts['system']}; Python {facts['python']}, {versions}"
    text += f"; commit {facts['commit'][:10]}" if facts["commit"] else ""
    text += f"; load in the minute before: {facts['load_before']:.1f}" if facts["load_before"] is not None else ""
    if facts["load_before"] is not None and facts["load_before"] > BUSY:
        return [
            f"{text}.",
            "",
            "**The machine was busy with other things meanwhile: take these numbers as provisional.**",
        ]
    return [f"{text}."]


def job(entry: dict[str, Any]) -> list[str]:
    """Images per second, how many times as fast snnrun is, and accuracy."""
    images, contenders = entry["job"]["images"], entry["contenders"]
    rows = []
    for name, numbers in contenders.items():
        accuracy = numbers["accuracy"]
        rows.append(
            [
                name,
                spread(summary([images / seconds for seconds in numbers["seconds"]]), "{:,.0f}"),
                *(
                    spread(ratio(contenders[ours]["seconds"], numbers["seconds"]), "{:.2f}")
                    for ours in (OURS, OURS_BF16)
                ),
                f"{100 * statistics.fmean(accuracy):.1f} % ({_range(accuracy)})" if accuracy else "",
            ]
        )
    head = ["", "images per second", "snnrun is faster by", "snnrun with bf16, by", "test accuracy"]
    means = [statistics.fmean(numbers["accuracy"]) for numbers in contenders.values() if numbers["accuracy"]]
    trained = f"{_count(entry['job']['epochs'], 'epoch')} and {_count(len(entry['job']['seeds']), 'seed')}"
    apart = f"{100 * (max(means) - min(means)):.1f} points"
    return [*table(head, rows), "", f"Over {trained} the mean accuracies lie within {apart} of each other."]


def accounts(entries: list[dict[str, Any]]) -> list[str]:
    """Share of each part in a step of snnrun."""
    rows = [
        [
            f"{entry['job']['input']}, {'bf16' if name == OURS_BF16 else 'fp32'}",
            *(f"{100 * shares[p]:.1f} %" for p in PARTS),
        ]
        for entry in entries
        for name, shares in entry["account"].items()
    ]
    return table(["", *PARTS], rows)


def layers(entries: list[dict[str, Any]]) -> list[str]:
    """Time and memory of every case."""
    rows = []
    for entry in entries:
        contenders = entry["contenders"]
        case = f"n = {entry['width']}, T = {entry['steps']}, batch {entry['batch']}, {entry['input']}"
        theirs = contenders.get(SNNTORCH, {}).get("bytes")
        for name, numbers in contenders.items():
            rows.append(
                [
                    case,
                    name,
                    spread(summary([1000 * seconds for seconds in numbers["seconds"]]), "{:.1f} ms"),
                    spread(ratio(contenders[OURS]["seconds"], numbers["seconds"]), "{:.2f}"),
                    *_sizes(numbers["bytes"], theirs),
                ]
            )
            case = ""
    return table(["", "", "time", "snnrun is faster by", *SIZES], rows)


def alone(entries: list[dict[str, Any]]) -> list[str]:
    rows = [
        [
            str(entry["shape"]),
            *(
                spread(summary([1000 * s for s in entry["seconds"][name]]), "{:.2f} ms")
                for name in ("fused", "reference")
            ),
            spread(ratio(entry["seconds"]["fused"], entry["seconds"]["reference"]), "{:.1f}"),
        ]
        for entry in entries
    ]
    return table(["[T, batch, n]", "fused", "reference", "fused is faster by"], rows)


def growth(entry: dict[str, Any]) -> list[str]:
    seconds = {int(steps): values for steps, values in entry["seconds"].items()}
    first = min(seconds)
    rows = [
        [
            str(steps),
            spread(summary([1000 * s for s in values]), "{:.2f} ms"),
            f"{100 * ratio(seconds[first], values).median * first / steps:.0f} %",
        ]
        for steps, values in seconds.items()
    ]
    return table(
        [f"T, of {entry['batch']} x {entry['width']} neurons", "fused", f"per step, of that at T = {first}"], rows
    )


def steps(cases: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    """Time of the steps of each case, by its title, how many times as fast snnrun is, and memory if it was measured."""
    rows, measured = [], any(case.get("bytes") for _, case in cases)
    for title, case in cases:
        seconds, sizes = case["seconds"], case.get("bytes", {})
        for name, values in seconds.items():
            times = spread(summary([1000 * each for each in values]), "{:.2f} ms" if measured else "{:.1f} ms")
            row = [title, name, times, spread(ratio(seconds[OURS], values), "{:.2f}")]
            rows.append([*row, memory(sizes[name])] if measured else row)
            title = ""
    return table([*STEPS, "peak memory added"] if measured else STEPS, rows)


def recurrent(cases: list[dict[str, Any]]) -> list[str]:
    """Milliseconds of a training step, and how many times as fast snnrun is."""
    entries = []
    for case in cases:
        share = f"{100 * case['share']:.0f} % spikes" if case["share"] else "numbers"
        title = f"{case['inputs']}-{case['hidden']}(rec)-{case['outputs']}, {case['neuron']}"
        title += f", T = {case['steps']}, batch {case['batch']}, {share}"
        entries.append((title, case))
    return steps(entries)


def convolutional(cases: list[dict[str, Any]]) -> list[str]:
    """Milliseconds of a training step, and how many times as fast snnrun is."""
    entries = []
    for case in cases:
        entries.append((_network(case), case))
    return steps(entries)


def _network(case: dict[str, Any]) -> str:
    """The network and the input of a case."""
    first, second = case["channels"]
    if case["network"] == "snntorch_tutorial_6":
        title = f"{first}c5-mp2-{second}c5-mp2-10, LIF"
    elif case["network"] == "residual":
        title = f"{first}c3 and two SEW blocks of {first} and {second} channels with batch norm, IF"
    else:
        title = f"{first}c3-mp2-{second}c3-mp2-{16 * second}-10 with batch norm, IF"
    kind = {"rate": "rate coded", "constant": "constant input"}[case["input"]]
    return title + f", T = {case['steps']}, batch {case['batch']}, {kind}, {case['precision']}"


def convolutional_memory(cases: list[dict[str, Any]]) -> list[str]:
    """Bytes that a training step of a convolutional network adds."""
    rows = []
    for case in cases:
        title = _network(case)
        for name, size in case["bytes"].items():
            rows.append([title, name, *_sizes(size, case["bytes"].get(SNNTORCH))])
            title = ""
    return table(["", "", *SIZES], rows)


def _sizes(size: int | None, theirs: int | None) -> list[str]:
    """The cells below ``SIZES``: the added memory, and its share of snnTorch's."""
    if size is None:
        return ["", ""]
    return [memory(size), f"{100 * size / theirs:.0f} %" if theirs else ""]


def start(seconds: dict[str, list[float]]) -> list[str]:
    """Seconds of every command."""
    return table(
        ["command", "time"],
        [[f"`{name}`", spread(summary(values), "{:.2f} s")] for name, values in seconds.items()],
    )


def _range(shares: Sequence[float]) -> str:
    return f"{100 * min(shares):.1f} to {100 * max(shares):.1f}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _title(facts: dict[str, Any]) -> str:
    return {"constant": "The whole job, constant input", "rate": "The whole job, rate coded"}[facts["input"]]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
