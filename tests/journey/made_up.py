"""A report's data, made up but of the size and kind that a demo gives."""

import hashlib
import math

from waman.journey import report
from waman.journey.report import Estimate

PYDOC = """asyncio.wait_for(fut, timeout)
    Wait for the single Future or coroutine to complete, with timeout.

    Coroutine will be wrapped in Task.

    Returns result of the Future or coroutine. When a timeout occurs, it cancels the task and raises TimeoutError."""

SOURCE = '''def dedent(text):
    """Remove any common leading whitespace from every line in `text`."""
    margin = None
    text = _whitespace_only_re.sub('', text)
'''


def made_up_data() -> report.ReportData:
    """Every part of the report filled in."""
    return report.ReportData(
        title="A language model, made on this machine",
        made_by="waman 0.1.0 at 3f9c2ab81d04 · Python 3.11.7 · torch 2.13.0 · 2 cores, 2 threads · seed 0",
        model=report.ModelFacts(3_412_480, 6, 192, 512, 8_388_608),
        vocab_size=4096,
        funnel=_funnel(),
        sources=(
            report.SourceTokens("web", 271, 2_412_310, 672_204, 0.42, 5.24),
            report.SourceTokens("github", 3_106, 11_630_412, 4_010_884, 0.58, 1.21),
        ),
        losses=(_curve("training", 8.32, 2.61, wobble=0.11, steps=512), _curve("held out", 8.32, 2.93, steps=9)),
        bits_curves=(_curve("web", 4.9, 1.71, steps=9), _curve("github", 5.1, 1.98, steps=9)),
        bits=(
            report.SourceBits("web", 1.712, {"5-gram": 1.934, "lzma, primed": 2.081, "gzip -9": 2.874}),
            report.SourceBits("github", 1.984, {"5-gram": 1.951, "lzma, primed": 1.842, "gzip -9": 2.301}),
            report.SourceBits("all", 1.893, {"5-gram": 1.947, "lzma, primed": 1.918, "gzip -9": 2.472}),
        ),
        cloze=_cloze(),
        instructions=_instructions(),
        answers=_answers(),
        certificate=("5.1 bits per weight, all bytes counted", "  the same most likely token for 98.31%"),
        lineage=_lineage(),
        costs=_costs(),
        commands=(
            report.Command("waman chat out/demo/tuned", "Talk with the tuned model:"),
            report.Command(
                'waman generate out/demo/pretrained/final "import asyncio" --max-tokens 64', "Let it go on:"
            ),
            report.Command("waman demo --corpus my-texts/ --out out/mine", "The same journey on your own text:"),
        ),
    )


def _curve(name: str, start: float, end: float, *, wobble: float = 0.0, steps: int) -> report.Curve:
    tokens = [8_388_608 * (step + 1) / steps for step in range(steps)]
    values = [end + (start - end) * math.exp(-5.5 * t / 8_388_608) + wobble * math.sin(t / 9001.7) for t in tokens]
    return report.Curve(name, tuple(zip(tokens, values, strict=True)))


def _funnel() -> tuple[report.FunnelStage, ...]:
    dropped = (
        report.Example("github", "setuptools 84.2.1: _vendor/jaraco/__init__.py", "", "too few words", 0),
        report.Example("web", "this.html", "Gur Mra bs Clguba, ol Gvz Crgref\n\n" * 9, "stop words", 1),
        report.Example("github", "idna 3.20: uts46data.py", "    (0x1, 'V'),\n" * 60, "duplicate line share", 0.8134),
    )
    kept = (
        report.Example("web", "asyncio.html", PYDOC),
        report.Example("github", "Python 3.11.7: textwrap.py", SOURCE),
    )
    left_out = (
        report.WholeLeftOut("certifi 2026.10.18", "licence", "MPL-2.0", 3, 4_310),
        report.WholeLeftOut("sympy 1.14.0", "recipe", "BSD", 855, 21_000_000),
        report.WholeLeftOut("torch 2.13.0", "recipe", "Apache-2.0 AND BSL-1.0", 2_319, 41_000_000),
        report.WholeLeftOut("nameless", "no_licence", None, 1, 10),
    )
    quality = {"too few words": 702, "symbol to word ratio": 133, "duplicate line share": 287, "stop words": 20}
    duplicates = {"exact duplicate": 391, "near duplicate": 125}
    return tuple(
        report.FunnelStage(*stage)
        for stage in (
            ("fetch", "pages asked of the pydoc server", {"web": 412}, {"robots.txt": 3, "not HTML": 9}),
            (
                "extract",
                "text, licence",
                {"web": 402, "github": 5_218},
                {"empty": 611, "not UTF-8": 4},
                (),
                (),
                left_out,
            ),
            ("quality", "Gopher's rules", {"web": 371, "github": 4_107}, quality, kept, dropped),
            ("duplicates", "exact, then MinHash across sources", {"web": 318, "github": 3_644}, duplicates),
            ("mix", "whole groups held out", {"web": 271, "github": 3_106}, {"held out": 585}),
        )
    )


def _cloze() -> report.Cloze:
    tokens = [0, 1_048_576, 2_097_152, 3_145_728, 4_194_304, 5_242_880, 6_291_456, 7_340_032, 8_388_608]
    shares = [0.262, 0.371, 0.433, 0.476, 0.509, 0.531, 0.548, 0.556, 0.561]
    return report.Cloze(
        questions=1200,
        model=Estimate(0.572, 0.544, 0.6),
        checkpoint_questions=300,
        checkpoints=tuple((t, Estimate(s, s - 0.027, s + 0.027)) for t, s in zip(tokens, shares, strict=True)),
        scorers={
            "word overlap": Estimate(0.412, 0.384, 0.440),
            "5-gram": Estimate(0.438, 0.410, 0.466),
            "untrained": Estimate(0.262, 0.238, 0.288),
        },
        best="5-gram",
        difference=Estimate(0.123, 0.088, 0.158),
        seen_ngrams=0.061,
        without_seen=Estimate(0.553, 0.519, 0.587),
    )


def _instructions() -> tuple[report.InstructionResult, ...]:
    def of(value: float, reach: float) -> Estimate:
        return Estimate(value, max(0.0, value - reach), value + reach)

    return (
        report.InstructionResult(
            "trained clusters", True, 300, of(0.214, 0.047), of(0.687, 0.052),
            {"majority answer": of(0.203, 0.045), "unigram scorer": of(0.391, 0.055)},
        ),
        report.InstructionResult(
            "unseen cluster", False, 300, of(0.248, 0.049), of(0.307, 0.053),
            {"majority answer": of(0.26, 0.05), "unigram scorer": of(0.33, 0.053)},
        ),
    )  # fmt: skip


def _answers() -> tuple[report.Answer, ...]:
    return (
        report.Answer(
            "module of a function",
            "Which module defines `wait_for`: Wait for the single Future or coroutine to complete, with timeout?",
            "asyncio.tasks",
            "asyncio.tasks",
            correct=True,
        ),
        report.Answer(
            "what a function does",
            f"What does this function do?\n\n{SOURCE}",
            "Remove any leading whitespace from the text.",
            "Remove any common leading whitespace from every line in `text`.",
            correct=False,
        ),
        report.Answer(
            "signature", "Return the base name of a path.", "def basename(p):", "def basename(p):", correct=True
        ),
        report.Answer("module of a function", "Where does `crc_hqx` come from?", "zlib", "binascii", correct=False),
        report.Answer(
            "signature", "Return True if the path is absolute.", "def isabs(s):", "def isabs(s):", correct=True
        ),
    )


def _lineage() -> tuple[report.ArtifactNode, ...]:
    node = report.ArtifactNode
    made = (
        ("pages", "crawl", ()), ("web", "documents", ("pages",)), ("github", "documents", ()),
        ("refined", "documents", ("web", "github")), ("mixture", "mixture", ("refined",)),
        ("tokenizer", "tokenizer", ("refined", "mixture")), ("tokens", "tokens", ("refined", "mixture", "tokenizer")),
        ("pretrained", "run", ("tokens", "tokenizer")), ("instructions", "instructions", ("refined", "mixture")),
        ("tuned", "run", ("pretrained", "instructions")),
        ("scores", "scores", ("tuned", "refined", "mixture", "instructions")),
    )  # fmt: skip
    return tuple(node(name, kind, hashlib.sha256(name.encode()).hexdigest(), inputs) for name, kind, inputs in made)


def _costs() -> tuple[report.StageCost, ...]:
    mebibyte = 2**20
    rows = (
        ("fetch", 21.4, 88, "412 pages, 9.1 MB of HTML"), ("extract", 33.0, 310, "5,620 documents"),
        ("refine", 18.2, 402, "3,962 documents"), ("mix", 0.7, 96, "271 and 3,106 documents"),
        ("train-tokenizer", 6.1, 264, "4,096 pieces"), ("tokenize", 4.4, 190, "4.68 M tokens"),
        ("pretrain", 268.3, 1211, "3.41 M parameters"), ("compose", 3.9, 175, "6,120 questions"),
        ("tune", 61.5, 980, "2 epochs"), ("evaluate", 74.8, 1102, "1,800 questions scored"),
    )  # fmt: skip
    return tuple(report.StageCost(stage, seconds, memory * mebibyte, wrote) for stage, seconds, memory, wrote in rows)
