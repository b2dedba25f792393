"""Valid commands and YAML files, spoilt at random: typos, wrong types, nulls, broken YAML, absurd sizes, odd letters.

The same seed makes the same spoilt command on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

QUIET = ("report.figures=false", "report.summary=false", "report.progress=false")
TINY = ("epochs=1", "num_steps=2", "batch_size=1200", "model.hidden=[3]", *QUIET)

#: Each is valid, and takes a second.
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("neuron=if", "surrogate=sigmoid", "surrogate.alpha=4", *TINY),
    ("neuron=lif", "neuron.beta=0.9", "neuron.threshold=0.5", "seed=3", *TINY),
    ("encoder=latency", "loss=ce_membrane", "readout=li", "optimizer=sgd", "optimizer.lr=0.1", *TINY),
    ("convention=snntorch", "neuron.learn_beta=true", "scheduler=cosine", "clip_grad_norm=1.5", *TINY),
    ("model.dropout=0.25", "optimizer.betas=[0.8,0.99]", "early_stopping=2", "loss.population=1", *TINY),
    ("task=digits", "task.test=0.3", "regulariser=rate_bounds", "checkpoint.every_steps=1", "max_seconds=60", *TINY),
    ("task=zeros", "encoder=none", "neuron=if", "epochs=1", "num_steps=3", "task.steps_per_epoch=2", *QUIET),
    ("model=convnet", "model.layers=[2c3p1,mp2]", "epochs=1", "num_steps=1", "batch_size=1200", *QUIET),
    ("-m", "neuron=if,lif", "output_dir=out", "device=cpu", *TINY),
    ("--config-dir", "own", "trust=[mine_of_fuzz]", "neuron=mine", "neuron.leak=0.1", *TINY),
    ("--config-dir", "own", "experiment=short", *QUIET),
    ("--config-dir", "own", "experiment=short", "data_dir=data", "output_dir=out", *QUIET),
    ("--config-dir", "own", "trust=[mine_of_fuzz]", "simulate", "neuron=mine", "num_steps=9", "style.format=png"),
    ("--config-dir", "own", "list", "neuron", "mine"),
    ("simulate", "neuron=lapicque", "input=step", "input.amplitude=0.3", "num_steps=20", "style.format=png"),
    ("plot", "surrogate=atan,sigmoid", "style.format=[svg]", "style.theme=dark"),
    ("--cfg", "job", "--resolve", "convention=norse", "seed=1"),
    ("list", "neuron", "lif"),
    ("runs", "own"),
)
OWN = {
    "mine_of_fuzz.py": '''"""A neuron of one's own."""

from snnrun import check
from snnrun.neuron import LinearNeuron, LinearUpdate


class Mine(LinearNeuron):
    """Integrate-and-fire with a constant leak."""

    def __init__(self, *, leak=0.02, **options):
        super().__init__(**options)
        self.leak = check.number("leak", leak, low=0)

    def linear(self):
        return LinearUpdate(decay=1.0, offset=-self.leak)
''',
    "neuron/mine.yaml": """# Integrate-and-fire with a constant leak.
_target_: mine_of_fuzz.Mine
_partial_: true
leak: 0.02
surrogate: ${surrogate}
threshold: 1.0
learn_threshold: false
per_neuron: false
v_reset: 0.0
fires_at: ${convention.fires_at}
reset: ${convention.reset}
reset_timing: ${convention.reset_timing}
detach_reset: ${convention.detach_reset}
""",
    "experiment/short.yaml": """# @package _global_
# A short run.
defaults:
  - override /neuron: if
  - override /encoder: latency
num_steps: 2
epochs: 1
batch_size: 1200
model:
  hidden: [3]
optimizer:
  lr: 0.01
""",
}

# No folder outside the current one: runs would be left in it.
VALUES = (
    *(
        "",
        "null",
        "true",
        "false",
        "no",
        "0",
        "-1",
        "1",
        "1.5",
        "-0.0",
        "1e-320",
        "1e39",
        "1e400",
        "nan",
        "inf",
        "-inf",
    ),
    *(
        "abc",
        "'abc'",
        '"abc"',
        "[]",
        "{}",
        "[null]",
        "[1,2,3]",
        "[[1]]",
        "{a:1}",
        "{a:{b:[1]}}",
        "[a,b]",
        "a,b",
        "1,2,null",
    ),
    *("9223372036854775807", "9223372036854775808", "1" + "0" * 12, "1" + "0" * 30, "0x7fffffff", "1_000", "9" * 5000),
    *(
        "${seed}",
        "${nope}",
        "${",
        "${oc.env:NOPE}",
        "${surrogate}",
        "???",
        "*x",
        "&x",
        "!!python/object:os",
        "%",
        "@",
        "`x`",
    ),
    *(
        "学",
        "β=1",
        "🧠",
        "e\u0301",
        "\u202egnp",
        "\x1b[31m",
        "a\nb",
        "\udcff",
        "\t",
        " ",
        "\\",
        "x" * 5000,
    ),
    *(
        "choice(1,2)",
        "range(0,3)",
        "interval(0,1)",
        "glob(*)",
        "uniform(0,1)",
        "range(0,1e12)",
        "1;2",
        "a=b",
        "a:b",
        "--",
        "(",
    ),
    *(
        "os.system",
        "snnrun.neuron.LIF",
        "torch.nn.Linear",
        "builtins.exec",
        "lif",
        "atan",
        "digits",
        "mlp",
        "/dev/null",
    ),
)
FLAGS = (
    "-m",
    "--cfg",
    "--cfg=job",
    "--resolve",
    "--debgu",
    "--config-dir",
    "--config-dir=nowhere",
    "-x",
    "--",
    "-",
    "--help",
)
LINES = (
    *("\t", "  ", "a: b: c", "- x", "null", "leak:", "leak: null", "epochs: [1]", "a: &a [*a]", "b: *b", "? x", "---"),
    *(
        "%YAML 9.9",
        "!!python/object/apply:os.system [ls]",
        "_target_: os.system",
        "_partial_: 3",
        "_target_: [1]",
        "...",
    ),
    *("_target_:", "defaults: 3", "defaults: [null]", "  - override /nope: x", "# @package nope", "a: '", 'a: "\\x"'),
    *("a: {", "a: ]", "\x00", "\ufeff", "学: β", "x" * 3000 + ": 1", "surrogate: null", "num_steps: 1" + "0" * 12),
    *("threshold: .nan", "shape: [3]"),
)


@dataclass
class Mutant:
    """A spoilt command, and the files of the folder ``own`` that it may name."""

    words: list[str]
    own: dict[str, bytes] = field(default_factory=dict)
    how: list[str] = field(default_factory=list)


def mutant(number: int) -> Mutant:
    """The spoilt command of that number."""
    random = Random(number)
    words = list(random.choice(COMMANDS))
    case = Mutant(words, {name: text.encode() for name, text in OWN.items()})
    for _ in range(random.choice((1, 1, 1, 1, 2))):
        if "--config-dir" in words and random.random() < 0.7:
            spoil_file(case, random)
        else:
            spoil_words(case, random)
    return case


def spoil_words(case: Mutant, random: Random) -> None:
    words = case.words
    i = random.randrange(len(words)) if words else 0
    kind = random.choice(
        ("value", "value", "value", "value", "key", "letters", "letters", "drop", "twice", "sign", "flag", "new")
    )
    case.how.append(kind)
    if kind == "flag" or not words:
        flag = random.choice((*FLAGS, f"--config-dir={random.choice(VALUES)}", f"--cfg={random.choice(VALUES)}"))
        words.insert(random.randrange(len(words) + 1), flag)
    elif kind == "new":
        other = random.choice(random.choice(COMMANDS))
        words.insert(random.randrange(len(words) + 1), other)
    elif kind == "drop":
        # A run without its small sizes would be a valid run that takes long.
        if words[i] not in TINY:
            del words[i]
    elif kind == "twice":
        words.insert(i, words[random.randrange(len(words))])
    elif kind == "sign":
        words[i] = random.choice(("+", "++", "~", "=", "-", "hydra.", "_")) + words[i]
    elif kind == "letters":
        words[i] = typo(words[i], random)
    else:
        key, equals, value = words[i].partition("=")
        if kind == "key":
            words[i] = typo(key, random) + equals + value
        else:
            inner = random.choice(("", "", "", "._target_", ".x", ".0", "."))
            words[i] = f"{key}{inner}={random.choice(VALUES)}"


def typo(word: str, random: Random) -> str:
    if not word:
        return random.choice("=x,")
    i = random.randrange(len(word))
    return random.choice(
        (
            word[:i] + word[i + 1 :],
            word[:i] + word[i] + word[i:],
            word[:i] + word[i : i + 2][::-1] + word[i + 2 :],
            word[:i] + random.choice("abz09_-.,=+~[]{}()'\"$:\\ βé") + word[i:],
            word.upper(),
            word[:i] + random.choice("abz09_-.,=") + word[i + 1 :],
        )
    )


def spoil_file(case: Mutant, random: Random) -> None:
    name = random.choice(sorted(case.own))
    if name.endswith(".py"):  # a fault in a user's program is the program's to tell
        name = sorted(case.own)[-1]
    if "experiment=short" in case.words and "experiment/short.yaml" in case.own:
        name = "experiment/short.yaml"
    lines = case.own[name].split(b"\n")
    i = random.randrange(len(lines))
    kind = random.choice(
        ("line", "line", "delete", "letters", "value", "value", "indent", "bytes", "cut", "gone", "twice")
    )
    case.how.append(f"{name} {kind}")
    if kind == "line":
        lines.insert(i, random.choice(LINES).encode())
    elif kind == "delete":
        del lines[i]
    elif kind == "letters":
        lines[i] = typo(lines[i].decode(errors="surrogateescape"), random).encode(errors="surrogateescape")
    elif kind == "value":
        key, colon, _ = lines[i].partition(b":")
        lines[i] = key + (colon or b":") + b" " + random.choice(VALUES).encode(errors="surrogateescape")
    elif kind == "indent":
        lines[i] = random.choice((b" ", b"   ", b"\t")) + lines[i]
    elif kind == "bytes":
        lines[i] += random.choice((b"\xff", b"\x00", b"\x1b", b"\xed\xa0\x80", b"\r"))
    elif kind == "cut":
        lines = lines[:i]
    elif kind == "twice":
        lines.insert(i, lines[random.randrange(len(lines))])
    if kind == "gone":
        del case.own[name]
        if not case.own:
            case.own["notes.txt"] = b""
    else:
        case.own[name] = b"\n".join(lines)
