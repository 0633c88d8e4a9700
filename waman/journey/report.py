"""The demo's report: one self-contained page of HTML, made from values alone. It reads no artifact and no clock."""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from waman import figures
from waman.journey import charts
from waman.journey.charts import Axis, Level, Line, Mark, Point, Row

NGRAM = "5-gram"
EXAMPLE_CHARACTERS = 600
"""How much of a document an example shows."""
LINEAGE_ROW = 46
"""Height of one artifact in the lineage, in CSS pixels."""


@dataclass(frozen=True)
class Estimate:
    """A share of 1 with its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ModelFacts:
    """How large the model is and how much it saw."""

    num_parameters: int
    num_layers: int
    model_dim: int
    context_length: int
    """Tokens."""
    trained_tokens: int
    """Tokens of pretraining, repetitions counted."""


@dataclass(frozen=True)
class Example:
    """One document, kept or dropped."""

    source: str
    origin: str
    """File and place, or address."""
    text: str
    """The text or its beginning."""
    reason: str | None = None
    """The rule that dropped it; None: it was kept."""
    figure: float | None = None
    """What the rule looked at."""


@dataclass(frozen=True)
class WholeLeftOut:
    """A distribution, module or repository of which a stage read nothing."""

    name: str
    """With its version, where it has one."""
    reason: str
    licence: str | None
    num_files: int
    num_bytes: int


@dataclass(frozen=True)
class FunnelStage:
    """What went through one stage."""

    name: str
    what: str
    """One sentence for a reader who does not know the stage."""
    kept: Mapping[str, int]
    """Source -> documents."""
    dropped: Mapping[str, int]
    """Reason -> documents."""
    kept_examples: tuple[Example, ...] = ()
    dropped_examples: tuple[Example, ...] = ()
    left_out: tuple[WholeLeftOut, ...] = ()
    """What was not read at all: no part of the other figures."""

    @property
    def num_kept(self) -> int:
        """Documents of all sources that went on."""
        return sum(self.kept.values())

    @property
    def num_dropped(self) -> int:
        """Documents that did not, for whatever reason."""
        return sum(self.dropped.values())

    @property
    def reasons_to_leave_out(self) -> dict[str, int]:
        """Reason -> how much was left out whole for it, the commonest first."""
        return dict(Counter(one.reason for one in self.left_out).most_common())

    @property
    def num_documents(self) -> int:
        """Documents that came in."""
        return self.num_kept + self.num_dropped


@dataclass(frozen=True)
class SourceTokens:
    """One source as the tokenizer and the mixture see it, training split."""

    source: str
    documents: int
    characters: int
    tokens: int
    proportion: float
    """Share of the training samples."""
    epochs: float | None
    """How often each of its tokens was seen on average; None where no model was trained."""


@dataclass(frozen=True)
class Curve:
    """A figure followed over training."""

    name: str
    points: tuple[tuple[float, float], ...]
    """(tokens seen, value), in order."""


@dataclass(frozen=True)
class SourceBits:
    """Bits per byte of held-out text at the end of training."""

    source: str
    """A source, or "all"."""
    model: float
    others: Mapping[str, float]
    """5-gram, lzma, gzip, ... -> bits per byte."""

    @property
    def rival(self) -> str | None:
        """What the model is to stay below: the 5-gram model, or else what needs the fewest bits."""
        best = min(self.others, key=lambda name: self.others[name], default=None)
        return NGRAM if NGRAM in self.others else best


@dataclass(frozen=True)
class Cloze:
    """Choosing the true continuation among four by what the context adds to its log-likelihood, over training."""

    questions: int
    model: Estimate
    """The final model's accuracy on these questions."""
    checkpoints: tuple[tuple[int, Estimate], ...]
    """(tokens seen, accuracy), in order, on `checkpoint_questions` of them."""
    checkpoint_questions: int
    scorers: Mapping[str, Estimate]
    """What needs no training of ours: word overlap, 5-gram, untrained network -> accuracy."""
    best: str
    """Which of the scorers does best."""
    difference: Estimate
    """The final model's accuracy less the best scorer's, paired by question."""
    chance: float = 0.25
    seen_ngrams: float | None = None
    """Share of the held-out 13-grams that stand in the training text."""
    without_seen: Estimate | None = None
    """Accuracy of the final model without the documents that hold such 13-grams."""
    per_character: Mapping[str, Estimate] = field(default_factory=dict)
    """The model's and the others' accuracy where options are ranked by log-likelihood per character alone, whatever the
    context adds."""


@dataclass(frozen=True)
class InstructionResult:
    """Accuracy on held-out questions of one task or cluster."""

    name: str
    trained: bool
    """Whether the tuning had questions of this kind."""
    questions: int
    before: Estimate
    after: Estimate
    scorers: Mapping[str, Estimate]
    """Majority answer, unigram scorer, ... -> accuracy."""


@dataclass(frozen=True)
class Answer:
    """One held-out question, and what the tuned model said."""

    task: str
    prompt: str
    answer: str
    expected: str
    correct: bool


@dataclass(frozen=True)
class ArtifactNode:
    """One artifact of the run."""

    name: str
    kind: str
    identity: str
    inputs: tuple[str, ...] = ()
    """Names of artifacts that stand earlier in the list."""


@dataclass(frozen=True)
class StageCost:
    """What one stage took on this machine."""

    stage: str
    seconds: float
    peak_memory_bytes: int
    wrote: str
    """What came out, in a few words."""


@dataclass(frozen=True)
class Command:
    """Something to type next."""

    command: str
    purpose: str


@dataclass(frozen=True)
class ReportData:
    """All that the report shows. What is empty or None was not measured, and the page says so."""

    title: str
    made_by: str
    """Version, interpreter, threads, machine: one line."""
    vocab_size: int
    funnel: tuple[FunnelStage, ...]
    sources: tuple[SourceTokens, ...]
    lineage: tuple[ArtifactNode, ...]
    """Inputs before what is made of them."""
    costs: tuple[StageCost, ...]
    commands: tuple[Command, ...]
    model: ModelFacts | None = None
    """None where none was trained: the page then ends with the tokens, and says nothing of what follows."""
    losses: tuple[Curve, ...] = ()
    """Nats per token."""
    bits_curves: tuple[Curve, ...] = ()
    """Bits per byte of the first `curve_bytes` of held-out text, by source."""
    bits: tuple[SourceBits, ...] = ()
    """The last row is that of all sources together, on `bits_bytes` of held-out text."""
    curve_bytes: int = 0
    bits_bytes: int = 0
    cloze: Cloze | None = None
    instructions: tuple[InstructionResult, ...] = ()
    answers: tuple[Answer, ...] = ()
    """Of the quantized model."""
    certificate: tuple[str, ...] = ()
    """What quantizing it changed, a line each."""


def render_report(data: ReportData) -> str:
    """The page as HTML: no script, nothing loaded from anywhere, everything that is not ours escaped."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    for shown in (
        figures.count,
        figures.whole,
        figures.percent,
        figures.points,
        figures.duration,
        figures.size,
        figures.figure,
        excerpt,
    ):
        environment.filters[shown.__name__] = shown
    source = resources.files("waman.journey").joinpath("report.html.jinja").read_text(encoding="utf-8")
    colours = source_colours(data.funnel)
    page = environment.from_string(source).render(
        data=data,
        colours=colours,
        loss_chart=_loss_chart(data.losses),
        bits_chart=_bits_chart(data.bits_curves, data.bits, colours),
        cloze_chart=_cloze_chart(data.cloze),
        instruction_chart=_instruction_chart(data.instructions),
        arcs=_arcs(data.lineage),
        row_height=LINEAGE_ROW,
    )
    return printable(page)


def printable(text: str) -> str:
    """The text with control characters as their pictures, so that HTML may hold it and a reader sees them."""
    return "".join(_picture(character) for character in text)


def excerpt(text: str) -> str:
    """The beginning of a text, EXAMPLE_CHARACTERS at most."""
    return text if len(text) <= EXAMPLE_CHARACTERS else text[:EXAMPLE_CHARACTERS].rstrip() + " …"


def _picture(character: str) -> str:
    if character in "\n\t":
        return character
    match unicodedata.category(character):
        case "Cc" if ord(character) < 0x20:
            return chr(0x2400 + ord(character))
        case "Cc" | "Cs":
            return "\N{REPLACEMENT CHARACTER}"
        case _:
            return character


def source_colours(funnel: Sequence[FunnelStage]) -> dict[str, int]:
    """A colour for each source, in order of appearance, the same in the whole page."""
    sources = list(dict.fromkeys(source for stage in funnel for source in stage.kept))
    return {source: 1 + number % 5 for number, source in enumerate(sources)}


# Charts

_TOKENS = Axis("tokens seen", figures.count, figures.round_count)


def _lines(curves: Sequence[Curve], colours: Mapping[str, int]) -> list[Line]:
    return [
        Line(curve.name, tuple(Point(x, y) for x, y in curve.points), colours.get(curve.name, 6))
        for curve in curves
        if curve.points
    ]


def _loss_chart(curves: Sequence[Curve]) -> Markup | None:
    lines = _lines(curves, {curve.name: 1 + number % 5 for number, curve in enumerate(curves)})
    return charts.line_chart(lines, x=_TOKENS, y=Axis("loss, nats per token", _two_places)) if lines else None


def _bits_chart(curves: Sequence[Curve], bits: Sequence[SourceBits], colours: Mapping[str, int]) -> Markup | None:
    lines = _lines(curves, colours)
    if not lines:
        return None
    taken = max([line.colour for line in lines if line.colour < 6], default=0)
    others = bits[-1].others.items() if bits else ()
    levels = [Level(f"{name} (all)", value, 1 + (taken + number) % 5) for number, (name, value) in enumerate(others)]
    return charts.line_chart(lines, levels, x=_TOKENS, y=Axis("bits per byte", _two_places))


def _cloze_chart(cloze: Cloze | None) -> Markup | None:
    if cloze is None or not cloze.checkpoints:
        return None
    points = tuple(Point(tokens, one.value, one.low, one.high) for tokens, one in cloze.checkpoints)
    levels = [Level(name, one.value, 2 + number % 4) for number, (name, one) in enumerate(cloze.scorers.items())]
    levels.append(Level("chance", cloze.chance, 6))
    shares = Axis("accuracy, with its 95% interval", figures.percent, figures.round_percent)
    return charts.line_chart([Line("the model", points, 1)], levels, x=_TOKENS, y=shares)


def _instruction_chart(results: Sequence[InstructionResult]) -> Markup | None:
    rows = []
    for one in results:
        marks = [_mark("after tuning", one.after, 1), _mark("before tuning", one.before, 1, hollow=True)]
        marks += [_mark(name, scorer, 2 + number % 4) for number, (name, scorer) in enumerate(one.scorers.items())]
        kind = "trained on its kind" if one.trained else "kind never trained on"
        rows.append(Row(one.name, f"{kind} · {one.questions} questions", tuple(marks)))
    return charts.interval_chart(rows, label="accuracy, 95% intervals") if rows else None


def _mark(name: str, estimate: Estimate, colour: int, *, hollow: bool = False) -> Mark:
    return Mark(name, estimate.value, estimate.low, estimate.high, colour, hollow)


def _two_places(value: float) -> str:
    return f"{value:.2f}"


def _arcs(lineage: Sequence[ArtifactNode]) -> list[tuple[int, int, str]]:
    """(input's row, row made of it, path) for each input: half ellipses that bulge to the left with their length."""
    rows = {node.name: row for row, node in enumerate(lineage)}
    arcs = []
    for row, node in enumerate(lineage):
        for name in node.inputs:
            start, end = (rows[name] + 0.5) * LINEAGE_ROW, (row + 0.5) * LINEAGE_ROW
            bulge = min(116.0, 12 + 15.0 * (row - rows[name]))
            path = f"M122 {start:.1f}C{122 - bulge:.1f} {start:.1f} {122 - bulge:.1f} {end:.1f} 122 {end:.1f}"
            arcs.append((rows[name], row, path))
    return arcs
