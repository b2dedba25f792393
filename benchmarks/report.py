"""Puts what was measured into ``docs/performance.md``: the tables and the figure, made from the JSON file alone.

``python -m benchmarks.report [FILE]``, by default of docs/performance.json; with ``--check`` nothing is written, and it
ends with 1 where the page is stale.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.account import PARTS
from benchmarks.statistic import Summary, ratio, summary

DOCS = Path(__file__).resolve().parents[1] / "docs"
NUMBERS, PAGE, FIGURE = DOCS / "performance.json", DOCS / "performance.md", DOCS / "images" / "performance.png"
BEGIN, END = "<!-- begin: made by python -m benchmarks.report -->", "<!-- end -->"
BUSY = 0.5  # load before the start from which the numbers are in doubt
STEPS = ("", "", "time of a step", "snnrun is faster by")
OURS, OURS_BF16, SNNTORCH = "snnrun", "snnrun, bf16", "snnTorch"


def main(words: Sequence[str]) -> int:
    check = "--check" in words
    files = [word for word in words if word != "--check"]
    result = json.loads(Path(files[0] if files else NUMBERS).read_text(encoding="utf-8"))
    before = PAGE.read_text(encoding="utf-8")
    after = filled(before, tables(result))
    if check:
        if before != after:
            print("docs/performance.md is stale: run python -m benchmarks.report", file=sys.stderr)
        return int(before != after)
    PAGE.write_text(after, encoding="utf-8")
    from benchmarks.plot import draw  # matplotlib, which the tables need not wait for

    draw(result, FIGURE)
    return 0


def filled(page: str, lines: Sequence[str]) -> str:
    """The page with other lines between its marks."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    if not tail:
        raise SystemExit(f"{PAGE.name}: expected the lines {BEGIN!r} and {END!r}")
    return "\n".join([head + BEGIN, "", *lines, "", END + tail])


def tables(result: dict[str, Any]) -> list[str]:
    """All tables, as lines of Markdown."""
    blocks = [machine(result["machine"])]
    for entry in result.get("job", []):
        blocks.append(["### " + _title(entry["job"]), "", *job(entry)])
    if "job" in result:
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
    if "start" in result:
        own = result["start"]
        blocks.append(["### Short runs", "", *machine(own["machine"]), "", *start(own["seconds"])])
    if "busy" in result:
        blocks.append(["### On a busy machine", "", *busy(result["busy"])])
    return "\n\n".join("\n".join(block) for block in blocks).splitlines()


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
                _spread(summary([images / seconds for seconds in numbers["seconds"]]), "{:,.0f}"),
                *(
                    _spread(ratio(contenders[ours]["seconds"], numbers["seconds"]), "{:.2f}")
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
                    _spread(summary([1000 * seconds for seconds in numbers["seconds"]]), "{:.1f} ms"),
                    _spread(ratio(contenders[OURS]["seconds"], numbers["seconds"]), "{:.2f}"),
                    f"{numbers['bytes'] / 1e6:,.0f} MB" if numbers["bytes"] is not None else "",
                    f"{100 * numbers['bytes'] / theirs:.0f} %" if theirs and numbers["bytes"] is not None else "",
                ]
            )
            case = ""
    return table(["", "", "time", "snnrun is faster by", "peak memory added", "of snnTorch's"], rows)


def alone(entries: list[dict[str, Any]]) -> list[str]:
    rows = [
        [
            str(entry["shape"]),
            *(
                _spread(summary([1000 * s for s in entry["seconds"][name]]), "{:.2f} ms")
                for name in ("fused", "reference")
            ),
            _spread(ratio(entry["seconds"]["fused"], entry["seconds"]["reference"]), "{:.1f}"),
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
            _spread(summary([1000 * s for s in values]), "{:.2f} ms"),
            f"{100 * ratio(seconds[first], values).median * first / steps:.0f} %",
        ]
        for steps, values in seconds.items()
    ]
    return table(
        [f"T, of {entry['batch']} x {entry['width']} neurons", "fused", f"per step, of that at T = {first}"], rows
    )


def _steps(title: str, seconds: dict[str, list[float]]) -> list[list[str]]:
    """The rows of a case, the first one with its title, below ``STEPS``."""
    rows = []
    for name, values in seconds.items():
        times = _spread(summary([1000 * each for each in values]), "{:.1f} ms")
        rows.append([title, name, times, _spread(ratio(seconds[OURS], values), "{:.2f}")])
        title = ""
    return rows


def recurrent(cases: list[dict[str, Any]]) -> list[str]:
    """Milliseconds of a training step, and how many times as fast snnrun is."""
    rows: list[list[str]] = []
    for case in cases:
        share = f"{100 * case['share']:.0f} % spikes" if case["share"] else "numbers"
        title = f"{case['inputs']}-{case['hidden']}(rec)-{case['outputs']}, {case['neuron']}"
        title += f", T = {case['steps']}, batch {case['batch']}, {share}"
        rows += _steps(title, case["seconds"])
    return table(STEPS, rows)


def convolutional(cases: list[dict[str, Any]]) -> list[str]:
    """Milliseconds of a training step, and how many times as fast snnrun is."""
    rows: list[list[str]] = []
    for case in cases:
        first, second = case["channels"]
        if case["network"] == "snntorch_tutorial_6":
            title = f"{first}c5-mp2-{second}c5-mp2-10, LIF"
        else:
            title = f"{first}c3-mp2-{second}c3-mp2-{16 * second}-10 with batch norm, IF"
        kind = {"rate": "rate coded", "constant": "constant input"}[case["input"]]
        title += f", T = {case['steps']}, batch {case['batch']}, {kind}, {case['precision']}"
        rows += _steps(title, case["seconds"])
    return table(STEPS, rows)


def start(seconds: dict[str, list[float]]) -> list[str]:
    """Seconds of every command."""
    return table(
        ["command", "time"],
        [[f"`{name}`", _spread(summary(values), "{:.2f} s")] for name, values in seconds.items()],
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Markdown; all columns but the first to the right."""
    return [f"| {' | '.join(cells)} |" for cells in _with_rule(head, rows)]


def _with_rule(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[Sequence[str]]:
    yield head
    yield ["---", *["---:"] * (len(head) - 1)]
    yield from rows


def _spread(values: Summary, form: str) -> str:
    median, low, high = (form.format(value) for value in values)
    return median if low == high else f"{median} ({_bare(low)} to {_bare(high)})"


def _bare(text: str) -> str:
    """A number without its unit of time."""
    return text.removesuffix(" ms").removesuffix(" s")


def _range(shares: Sequence[float]) -> str:
    return f"{100 * min(shares):.1f} to {100 * max(shares):.1f}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _title(facts: dict[str, Any]) -> str:
    return {"constant": "The whole job, constant input", "rate": "The whole job, rate coded"}[facts["input"]]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
