"""Writes ``docs/results.md``: every preset beside what was published, and beside the library that published it.

    python docs/make_results.py FOLDER ...   # renews the rows of these runs and records, and writes the page
    python docs/make_results.py              # writes the page from docs/results.json
    python docs/make_results.py --check      # writes nothing; ends with 1 where the page is stale

The folders are searched for run folders of ``snnrun experiment=NAME`` and for the records of ``python -m
benchmarks.published``. A run counts only if it is finished and its config is that of the preset today, but for keys
that change no result and for what ``docs/results.yaml`` lists as a variant of the preset, which gets a row of its own.
No figure on the page is typed: they come from the JSON file, from the first lines of the presets, and, for zero target,
from ``tests/reference/blog.json``. ``docs/results.yaml`` holds the words: variants, what was not run and why, notes.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from snnrun.config.catalogue import Catalogue
from snnrun.job.compose import ComposeError, composer, plain
from snnrun.run.browse import find
from snnrun.sweep.page.statistics import difference, estimate
from snnrun.system.files import write_json
from snnrun.system.safe_read import flatten

ROOT = Path(__file__).resolve().parents[1]
PRESETS, BLOG = ROOT / "conf" / "experiment", ROOT / "tests" / "reference" / "blog.json"
NUMBERS, WORDS, PAGE = (ROOT / "docs" / name for name in ("results.json", "results.yaml", "results.md"))
# Keys of a run that change none of its results.
NEUTRAL = re.compile(
    r"(seed|name|(task\.)?data_dir|output_dir|device|threads|max_seconds)$|(report|checkpoint|tracker|hydra)\b"
)
LENGTH = re.compile(r"(epochs|max_steps)=\w+$")  # a shorter training, in a row of its own
TRAINING_IMAGES = 60_000  # of MNIST and Fashion-MNIST
PACKAGES = ("torch", "snntorch", "spikingjelly", "snnrun")


class Refused(Exception):
    """A run that may not be in the table, and why."""


class Row(NamedTuple):
    """A preset, or one with overrides, and what was measured of it."""

    preset: str
    words: tuple[str, ...]
    ours: list[dict[str, Any]]
    theirs: list[dict[str, Any]]
    beside: dict[str, Any] | None

    @property
    def command(self) -> str:
        return " ".join([f"experiment={self.preset}", *(f"'{w}'" if "[" in w else w for w in self.words)])


def main(arguments: Sequence[str]) -> int:
    check, folders = "--check" in arguments, [Path(word) for word in arguments if word != "--check"]
    if folders and not check:
        write_json(NUMBERS, {"rows": renew(numbers()["rows"], gather(folders))})
    text = page(numbers())
    if not check:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        print("docs/results.md is stale: run python docs/make_results.py", file=sys.stderr)
        return 1
    return 0


def numbers() -> dict[str, Any]:
    """The content of ``docs/results.json``."""
    content: dict[str, Any] = json.loads(NUMBERS.read_text(encoding="utf-8"))
    return content


# Gathering


def renew(rows: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, in order, with the ``new`` ones instead of those of the same preset and words."""
    by_key = {(row["preset"], tuple(row["words"])): row for row in (*rows, *new)}
    return [by_key[key] for key in sorted(by_key)]


def gather(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """The rows of the runs and records in the folders; what is left out is said on stderr."""
    rows = dict[tuple[str, tuple[str, ...]], Row]()
    told = spoken()

    def row(preset: str, words: Sequence[str]) -> Row:
        key = (preset, tuple(words))
        return rows.setdefault(key, Row(*key, [], [], None))

    with composer(Catalogue()) as hydra:
        for folder in sorted(found for each in folders for found in find(each)):
            try:
                preset, words = asked(folder, told, lambda words: plain(hydra.compose(words)))
                if preset is not None:
                    now = plain(hydra.compose([f"experiment={preset}", *words]))
                    add(row(preset, words).ours, ours(folder, now), folder)
            except (Refused, ComposeError, OSError) as fault:
                print(f"left out: {folder}: {fault}", file=sys.stderr)
    for path in sorted(found for each in folders for found in each.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if "theirs" in record:
            key = (record["preset"], tuple(record["overrides"]))
            names = ("seed", "ours", "theirs", "gradients_apart", "seconds_per_update")
            rows[key] = row(*key)._replace(beside={name: record[name] for name in names})
        elif "library" in record:
            add(row(record["preset"], record["overrides"]).theirs, theirs(record), path)
    for each in rows.values():
        same_data(each)
    return [each._asdict() for each in rows.values()]


def asked(
    folder: Path, told: Mapping[str, Any], compose: Callable[[list[str]], Mapping[str, Any]] | None = None
) -> tuple[str | None, list[str]]:
    """The preset that a run was asked for, and what else that could matter; None for a run without a preset.

    With ``compose``, which returns a config, words that repeat what the preset has do not matter.
    """
    path = folder / ".hydra" / "overrides.yaml"
    words = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else []
    presets = [word.partition("=")[2] for word in words if word.startswith("experiment=")]
    if len(presets) != 1:
        return None, []
    rest = [re.sub(r",\s+", ",", word) for word in words if not word.startswith("experiment=")]
    rest = [word for word in rest if not NEUTRAL.match(word.lstrip("+").partition("=")[0])]
    if rest and compose is not None:
        plain_preset = compose([f"experiment={presets[0]}"])
        rest = [word for word in rest if compose([f"experiment={presets[0]}", word]) != plain_preset]
    variants = told["presets"].get(presets[0], {}).get("variants", {})
    if strange := [word for word in rest if word not in variants and not LENGTH.match(word)]:
        raise Refused(f"not the preset as it is: {', '.join(strange)}")
    return presets[0], sorted(rest, key=lambda word: (bool(LENGTH.match(word)), word))


def ours(folder: Path, now: Mapping[str, Any]) -> dict[str, Any]:
    """What a run folder says, if it may be in the table.

    Raises:
        Refused: it is not finished, or its config is not ``now``'s.
    """
    result = _json(folder / "result.json")
    if result.get("status") != "finished":
        raise Refused(f"not finished: {result.get('status', 'no result.json')}")
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    was, today = flatten(config), flatten(dict(now))
    # A run that finished with on_nonfinite=stop met nothing that is not finite, so the key changed nothing.
    never = {"on_nonfinite"} if was.get("on_nonfinite") == "stop" else set()
    if differing := [key for key in was if not NEUTRAL.match(key) and was[key] != today.get(key) and key not in never]:
        raise Refused(f"not the preset of today: {', '.join(f'{key}={was[key]}' for key in differing)}")
    manifest, metrics = _json(folder / "manifest.json"), _lines(folder / "metrics.jsonl")
    epochs = [line for line in metrics if line["kind"] == "epoch"]
    return {
        "seed": config["seed"],
        "accuracy": result["test_accuracy"],
        "loss": result["test_loss"],
        "last_step_loss": [line["loss"] for line in metrics if line["kind"] == "step"][-1],
        "lost": _lost(metrics),
        "updates": epochs[-1]["step"],
        "seconds_training": sum(line["seconds"] for line in epochs),
        "seconds": result["seconds"],
        "weights_sha256": result["weights_sha256"],
        "data": manifest["data"],
        "backend": manifest["backend"],
        "commit": (manifest["git"] or {}).get("commit"),
        "machine": _machine(
            manifest["cpu"], manifest["threads"], manifest["memory_bytes"], manifest["python"], manifest["packages"]
        ),
    }


def theirs(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a library's record says."""
    facts = record["machine"]
    cpu, python = {"model": facts["processor"], "count": facts["cores"]}, {"version": facts["python"]}
    names = ("seed", "library", "settings", "accuracy", "loss", "updates", "seconds_training", "seconds", "data")
    return {
        **{name: record[name] for name in names},
        "machine": _machine(cpu, facts["threads"], facts["memory_bytes"], python, facts["packages"]),
    }


def add(entries: list[dict[str, Any]], entry: dict[str, Any], path: Path) -> None:
    """Keep an entry; of two with one seed the later one, so that a repeated run replaces the first."""
    for i, before in enumerate(entries):
        if before["seed"] == entry["seed"]:
            print(f"seed {entry['seed']}: {path} replaces an earlier one", file=sys.stderr)
            entries[i] = entry
            return
    entries.append(entry)
    entries.sort(key=lambda each: each["seed"])


def same_data(row: Row) -> None:
    """Raise unless all in a row saw the same data."""
    hashes = {json.dumps(entry["data"], sort_keys=True) for entry in [*row.ours, *row.theirs]}
    if len(hashes) > 1:
        raise SystemExit(f"{row.command}: expected the same data in all runs, got {', '.join(sorted(hashes))}")


def _machine(
    cpu: Mapping[str, Any], threads: int, memory: int | None, python: Mapping[str, Any], packages: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "processor": cpu["model"],
        "cores": cpu["count"],
        "threads": threads,
        "memory_bytes": memory,
        "python": python["version"],
        "packages": {name: packages[name] for name in PACKAGES if packages.get(name)},
    }


def _lost(metrics: Sequence[Mapping[str, Any]]) -> int:
    """Neurons that training has broken, as the last warning counts them."""
    counts = [line.get("lost") or {} for line in metrics if line["kind"] == "warning"]
    return max(counts[-1].values(), default=0) if counts else 0


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# The page

HEAD = """\
# Published results, repeated

Made by `python docs/make_results.py` from run folders and from the records of `python -m benchmarks.published`; do
not edit it. [How the table is made](#how-the-table-is-made) lists the commands.

Each preset in `conf/experiment/` repeats a published experiment. *Published* is the result in its source. *snnrun* is
our result with the preset, and *library* the result of the source's library, with the source's settings, on the same
data: mean ± standard deviation over n seeds. *Difference* is snnrun minus library, with its 95 % interval (Welch's t).
It is in bold if the interval does not contain zero: the difference is then larger than chance over seeds explains.

*Same start* compares more closely: both get the same weights, batches and encoded input. The first number is the
difference of their gradients, relative to the length, before the first update and with snnrun's weights after the last,
whichever is larger. The second is the largest difference of their losses in a number of updates, each side with its own
updates. Time is the duration of the training alone, in seconds.
"""


def page(numbers: Mapping[str, Any]) -> str:
    """The whole page."""
    told = spoken()
    rows = [Row(**{**each, "words": tuple(each["words"])}) for each in numbers["rows"]]
    presets = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    parts = [HEAD, "\n".join(table(presets, rows, told)), "\n".join(machines(rows)), "\n".join(data(rows))]
    parts.append("\n".join(["## Not run", "", *not_run(presets, rows, told)]))
    parts.append("## Notes")
    parts += [notes(preset, rows, told) for preset in presets]
    parts.append(told["making"].strip())
    return "\n\n".join(part.strip() for part in parts) + "\n"


def table(presets: Sequence[str], rows: Sequence[Row], told: Mapping[str, Any]) -> list[str]:
    """A row for each preset, and one for each variant of it that was run."""
    lines = ["| preset | data | published | snnrun | library | difference | time: snnrun, library | same start |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for preset in presets:
        of_it = [row for row in rows if row.preset == preset]
        if not any(row.words == () for row in of_it):
            of_it.insert(0, Row(preset, (), [], [], None))
        lines += ["| " + " | ".join(cells(row, told)) + " |" for row in of_it]
    return lines


def cells(row: Row, told: Mapping[str, Any]) -> Iterator[str]:
    """The columns of a row."""
    loss = is_loss(row.preset)
    name = f"[{row.preset}](experiments/{row.preset}.md)" + "".join(f" `{word}`" for word in row.words)
    yield name
    yield (", ".join((row.ours or row.theirs)[0]["data"]) or "generated") if row.ours or row.theirs else ""
    yield published(row, told)
    yield spread(row.ours, loss) if row.ours else "not run"
    yield spread(row.theirs, loss) if row.theirs else reference(row)
    yield apart(row, loss)
    yield times(row)
    yield agreement(row.beside)


def is_loss(preset: str) -> bool:
    """Whether the published figure of a preset is a loss: where it has nothing to be right about."""
    return preset.startswith("zero_target")


def header(preset: str) -> tuple[str, str]:
    """The published figure and the source, as the first lines of a preset have them."""
    text = (PRESETS / f"{preset}.yaml").read_text(encoding="utf-8")
    figure = re.search(r"^# .*; published: (.+)\.$", text, re.M)
    source = re.search(r"^# Source: (.+)$", text, re.M)
    if figure is None or source is None:
        raise SystemExit(f"conf/experiment/{preset}.yaml: expected lines '# ...; published: ....' and '# Source: ...'")
    return figure[1], source[1]


def published(row: Row, told: Mapping[str, Any]) -> str:
    """What the source says: of the preset, its first lines; of less, or of a variant, ``docs/results.yaml``."""
    if not row.words:
        return header(row.preset)[0]
    figures: Mapping[str, str] = told["presets"].get(row.preset, {}).get("published", {})
    return figures.get(" ".join(row.words), "-")


def spread(entries: Sequence[Mapping[str, Any]], loss: bool) -> str:
    """Mean ± sd, and over how many seeds."""
    found = estimate(entry["last_step_loss" if loss else "accuracy"] for entry in entries)
    assert found is not None
    if loss:
        lost = sorted({entry["lost"] for entry in entries})
        broken = (
            f"; {' to '.join(str(n) for n in dict.fromkeys((lost[0], lost[-1])))} neurons lost" if any(lost) else ""
        )
        return (
            f"loss {found.mean:.2g}" + ("" if found.sd is None else f" ± {found.sd:.1g}") + f" (n = {found.n}){broken}"
        )
    return f"{100 * found.mean:.2f}" + ("" if found.sd is None else f" ± {100 * found.sd:.2f}") + f" % (n = {found.n})"


def reference(row: Row) -> str:
    """Zero target has no library: the blog's own code, one seed, as ``tests/reference/blog.json`` has it."""
    names = {"zero_target": "article_detached.float32", "zero_target_article": "article.float32"}
    if row.words or row.preset not in names:
        return ""
    name = f"blog.zero_target/{names[row.preset]}"
    entry = next(each for each in _json(BLOG)["entries"] if each["id"] == name)
    return spread([{"last_step_loss": entry["loss"][-1], "lost": entry["neurons_not_finite"][-1]}], loss=True)


def apart(row: Row, loss: bool) -> str:
    """The difference of the means, in points, with its interval; bold where that leaves out zero."""
    if loss or not row.ours or not row.theirs:
        return ""
    # Never in pairs: seed 0 of the one and seed 0 of the other have nothing in common.
    left = {("ours", entry["seed"]): entry["accuracy"] for entry in row.ours}
    found = difference(left, {("theirs", entry["seed"]): entry["accuracy"] for entry in row.theirs})
    text = f"{100 * found.mean:+.2f}"
    if found.low is None or found.high is None:
        return text
    text += f" ({100 * found.low:+.2f} to {100 * found.high:+.2f})"
    return f"**{text}**" if found.significant else text


def times(row: Row) -> str:
    """Seconds of training, without tests: the mean of either side."""
    both = (row.ours, row.theirs)
    if not any(both):
        return ""
    means = [statistics.fmean(entry["seconds_training"] for entry in side) if side else None for side in both]
    return ", ".join("-" if mean is None else f"{mean:.1f}" if mean < 10 else f"{mean:.0f}" for mean in means)


def agreement(beside: Mapping[str, Any] | None) -> str:
    """How far gradients and losses are apart, at most, of those that started together."""
    if beside is None:
        return ""
    pairs = list(zip(beside["ours"], beside["theirs"], strict=True))
    losses = max(abs(theirs / ours - 1) for ours, theirs in pairs)
    said = ["equal" if not apart else f"{apart:.0e}" for apart in (max(beside["gradients_apart"]), losses)]
    return f"{said[0]}; {said[1]} in {len(pairs)}"


def machines(rows: Sequence[Row]) -> list[str]:
    """What it all ran on."""
    found = dict[str, None]()
    for row in rows:
        for who, side in (("snnrun", row.ours), ("libraries", row.theirs)):
            for entry in side:
                facts = entry["machine"]
                memory = f", {facts['memory_bytes'] / 2**30:.0f} GiB" if facts["memory_bytes"] else ""
                versions = ", ".join(f"{name} {v}" for name, v in facts["packages"].items() if name != "snnrun")
                line = f"- {who}: {facts['processor']}, {facts['cores']} cores, {facts['threads']} thread(s){memory}; "
                found[f"{line}Python {facts['python']}, {versions}"] = None
    return ["## Machine", "", *found]


def data(rows: Sequence[Row]) -> list[str]:
    """What identifies the data: the hashes of the runs' manifests."""
    hashes = {name: sha for row in rows for entry in [*row.ours, *row.theirs] for name, sha in entry["data"].items()}
    lines = ["## Data", "", "SHA-256 of images and labels as they were read, from the runs' `manifest.json`:", ""]
    return [*lines, *(f"- {name}: `{sha}`" for name, sha in sorted(hashes.items()))]


def not_run(presets: Sequence[str], rows: Sequence[Row], told: Mapping[str, Any]) -> list[str]:
    """The presets that were not run as they are, and why."""
    lines = []
    for preset in presets:
        if any(row.preset == preset and not row.words and row.ours for row in rows):
            continue
        why = told["presets"].get(preset, {}).get("not_run", "no run of it was given to the script.")
        lines.append(f"- **{preset}**: {' '.join(why.split())}{duration(preset, rows)}")
    return lines or ["Everything was run."]


def duration(preset: str, rows: Sequence[Row]) -> str:
    """How long the preset would take here, from the updates that were run beside the library."""
    row = next((row for row in rows if row.preset == preset and not row.words and row.beside), None)
    if row is None or row.beside is None:
        return ""
    with composer(Catalogue()) as hydra:
        config = plain(hydra.compose([f"experiment={preset}"]))
    updates = config["epochs"] * (TRAINING_IMAGES // config["batch_size"])
    sides = zip(("snnrun", "the library"), row.beside["seconds_per_update"], strict=True)
    said = [f"{each * updates / 3600:.1f} hours with {who} ({each:.2g} s each)" for who, each in sides]
    return f" Its {updates:,} updates would take {' and '.join(said)}."


def notes(preset: str, rows: Sequence[Row], told: Mapping[str, Any]) -> str:
    """What is to be said of a preset."""
    of_it = told["presets"].get(preset, {})
    lines = [f"### {preset}", "", f"Source: {header(preset)[1]}"]
    lines += [f"`{word}`: {said}" for word, said in of_it.get("variants", {}).items()]
    if text := of_it.get("notes"):
        lines.append(text.strip())
    return "\n\n".join(line for line in lines if line)


def spoken() -> dict[str, Any]:
    """What was written by hand."""
    found: dict[str, Any] = yaml.safe_load(WORDS.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
