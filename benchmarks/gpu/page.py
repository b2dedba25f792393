"""The tables of ``docs/gpu.md``, from the numbers of this benchmark."""

from __future__ import annotations

from typing import Any

from benchmarks.statistic import ratio, summary
from benchmarks.table import memory, spread, table

BANDWIDTH = 4.8e12  # bytes per second of an H200


def blocks(own: dict[str, Any]) -> list[list[str]]:
    """The headed tables of the part ``gpu``, but for the jobs."""
    found = [[f"### The machine code for {own['target']}, float32", "", *machine_code(own["machine_code"])]]
    for job in dict.fromkeys(entry["job"] for entry in own["launches"]):
        entries = [entry for entry in own["launches"] if entry["job"] == job]
        found.append([f"### A training step of the {job} job, {entries[0]['sizes']}", "", *launches(entries)])
    found.append(["### The least time of a training step", "", *least(own["launches"])])
    if "neurons" in own:
        found.append(["### Where it was measured", "", *device(own)])
        found.append(["### Neurons alone, forwards and backwards", "", *neurons(own["neurons"])])
        found.append(["### Convolutions of a ResNet-18's size, forwards and backwards", ""])
        found[-1] += convolutions(own["convolutions"])
    return found


def machine_code(rows: list[dict[str, Any]]) -> list[str]:
    """A line for each neuron: forwards, then backwards."""
    names = ("registers", "spilt", "bytes")
    directions = {(row["neuron"], row["direction"]): [str(row[name]) for name in names] for row in rows}
    head = [
        "neuron",
        *(f"{name}, {way}" for way in ("forward", "backward") for name in ("registers", "spilt", "bytes")),
    ]
    neurons = dict.fromkeys(row["neuron"] for row in rows)
    return table(head, [[name, *directions[name, "forward"], *directions[name, "backward"]] for name in neurons])


def launches(entries: list[dict[str, Any]]) -> list[str]:
    """Launches, and bytes for a number of the part's output, of each part of each network."""
    rows = []
    for entry in entries:
        name = entry["network"]
        for part in entry["parts"]:
            per = [f"{size / part['values']:.1f}" if part["values"] else "" for size in part["bytes"]]
            rows.append([name, part["part"], *map(str, part["launches"]), *per])
            name = ""
        rows.append(["", "**sum**", *(f"**{sum(p['launches'][i] for p in entry['parts'])}**" for i in (0, 1)), "", ""])
    return table(["", "part", "launches, forward", "backward", "bytes, forward", "backward"], rows)


def least(entries: list[dict[str, Any]]) -> list[str]:
    """All launches and bytes of a step, and how long the bytes take at least."""
    rows = []
    for entry in entries:
        count = sum(sum(part["launches"]) for part in entry["parts"])
        total = sum(sum(part["bytes"]) for part in entry["parts"])
        own = sum(sum(part["bytes"]) for part in entry["parts"] if part["part"].startswith("neurons"))
        times = [f"{1e6 * size / BANDWIDTH:,.0f} µs" for size in (total, own)]
        rows.append([entry["job"], entry["network"], str(count), memory(total), *times])
    return table(["job", "", "launches", "moved", "least time", "of it the neurons"], rows)


def device(own: dict[str, Any]) -> list[str]:
    """The GPU, and the kernels of the peers."""
    facts = own["device"]
    name = f"{facts['name']}, {facts['memory_bytes'] / 2**30:.0f} GiB, CUDA {facts['cuda']}" if facts else "the CPU"
    taken = [f"{peer} runs its neurons by {kernels}" for peer, (kernels, _) in own["implementations"].items()]
    return [". ".join([name, *taken]) + "."]


def neurons(rows: list[dict[str, Any]]) -> list[str]:
    """Time and memory of both executions."""
    lines = []
    for row in rows:
        sizes = [row["neuron"], *(str(row[name]) for name in ("steps", "batch", "width"))]
        if row["difference"]:
            lines.append([*sizes, row["difference"], "", "", "", ""])
            continue
        fused, reference = (row["seconds"][name] for name in ("fused", "reference"))
        times = [spread(summary([1000 * each for each in seconds]), "{:.2f} ms") for seconds in (fused, reference)]
        sizes += [*times, spread(ratio(fused, reference), "{:.1f}")]
        lines.append([*sizes, *(memory(row["bytes"].get(name)) for name in ("fused", "reference"))])
    head = ["neuron", "T", "batch", "n", "fused", "reference", "faster by", "memory of fused", "of reference"]
    return table(head, lines)


def convolutions(cases: list[dict[str, Any]]) -> list[str]:
    """Time and memory of every contender, and the share of its spikes that differ from the reference's."""
    rows = []
    for case in cases:
        title = f"{case['size']}x{case['size']}x{case['channels']}, T = {case['steps']}, batch {case['batch']}"
        for name, seconds in case["seconds"].items():
            differ = case["differ"].get(name)
            cells = [title, name, spread(summary([1000 * each for each in seconds]), "{:.2f} ms")]
            cells += [spread(ratio(case["seconds"]["snnrun"], seconds), "{:.2f}"), memory(case["bytes"].get(name))]
            rows.append([*cells, "" if differ is None else f"{100 * differ:.3f} %"])
            title = ""
    return table(["", "", "time", "snnrun is faster by", "peak memory added", "spikes that differ"], rows)
