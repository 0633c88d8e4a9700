"""What is going on from an English model worth for Korean? `python -m benchmarks.continuing`, ten minutes on two cores.

Takes the model of a finished `waman demo` (English pages and Python), adds tokens for Korean to it and goes on with
public-domain Korean prose: magazines of 1926 to 1941 and statutes. Beside it a fresh model of the same shape with the
same tokenizer takes as many steps over the same tokens, so both spend the same floating-point operations; each with and
without a share of English and Python among the sequences. Prints bits per byte of held-out text, and what going on
gains over from scratch with its 95% interval over held-out groups. Stopped, the same command goes on where it was.
"""

import argparse
import dataclasses
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import waman
from waman.artifact import Artifact, open_artifact, open_input
from waman.corpus.recipe import HeldOut, MixRecipe
from waman.crawl.recipe import ExtractRecipe
from waman.document import Document, document_files
from waman.evaluation.bits import document_bits
from waman.evaluation.held_out import SplitDocuments
from waman.evaluation.likelihood import Network
from waman.evaluation.metrics import Floats, ratio
from waman.evaluation.prepare import encode_texts
from waman.journey.recipe import DemoRecipe
from waman.model.count import flops_per_token
from waman.tokens.recipe import ExtendTokenizerRecipe, TokenizeRecipe
from waman.tokens.tokenizer import Tokenizer
from waman.training.recipe import Evenly, PretrainRecipe
from waman.weights.configuration import load_config
from waman.weights.huggingface import load_decoder

KOREAN = ("magazines_samcholli_donggwang.jsonl.zst", "law_articles.jsonl.zst")
"""Of the folder korean/prose: what stands under no one's copyright."""
SEED = 0


@dataclass(frozen=True)
class Arm:
    """One way to spend the operations."""

    name: str
    continued: bool
    replayed: bool


ARMS = (
    Arm("from scratch", continued=False, replayed=False),
    Arm("from scratch, with replay", continued=False, replayed=True),
    Arm("going on", continued=True, replayed=False),
    Arm("going on, with replay", continued=True, replayed=True),
)


@dataclass(frozen=True)
class HeldOutText:
    """What a language is measured on."""

    documents: Sequence[Document]

    def bits(self, weights: Path) -> Floats:
        """Bits of each document under a model, which reads it with its own tokenizer."""
        decoder = load_decoder(weights).eval()
        sequences = encode_texts(Tokenizer.load(weights), [one.text for one in self.documents])
        length = decoder.config.context_length
        return document_bits(Network(decoder), sequences, context_length=length, overlap=length // 4)

    @property
    def num_bytes(self) -> Floats:
        """UTF-8 bytes of each document."""
        return np.array([len(one.text.encode()) for one in self.documents], dtype=np.float64)


@dataclass(frozen=True)
class Texts:
    """Documents of a language with their mixture."""

    documents: tuple[Artifact, ...]
    mixture: Artifact

    def held_out(self, max_bytes: int, source: str | None = None) -> HeldOutText:
        """A draw of the held-out documents."""
        files = tuple(path for one in self.documents for path in document_files(one))
        found = SplitDocuments(files, self.mixture.path).read_at_most("held_out", max_bytes=max_bytes, seed=SEED)
        return HeldOutText([one for one in found if source in (None, one.source)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, default=Path("out/demo"), help="a finished demo")
    parser.add_argument("--shared-data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("out/continuing"))
    parser.add_argument("--num-tokens", type=int, default=1_600_000, help="tokens that each arm trains on")
    parser.add_argument("--new-tokens", type=int, default=2048)
    parser.add_argument("--replay-share", type=float, default=0.25)
    parser.add_argument("--max-bytes", type=int, default=60_000, help="of held-out text per language")
    arguments = parser.parse_args()
    base = open_input(arguments.demo / "base" / "final", "weights")
    korean = make_korean(arguments.shared_data / "korean" / "prose", arguments.out)
    english = open_english(arguments.demo)
    extended = waman.extend_tokenizer(
        ExtendTokenizerRecipe(num_tokens=arguments.new_tokens), weights=base, documents=korean.documents,
        mixture=korean.mixture, out=arguments.out / "extended",
    )  # fmt: skip
    tokens, replay = (
        waman.tokenize(
            TokenizeRecipe(), documents=texts.documents, mixture=texts.mixture, tokenizer=extended,
            out=arguments.out / f"tokens-{name}",
        )
        for name, texts in (("korean", korean), ("english", english))
    )  # fmt: skip
    made = {}
    for arm in ARMS:
        recipe = recipe_of(arm, extended, num_tokens=arguments.num_tokens, replay_share=arguments.replay_share)
        made[arm.name] = waman.pretrain(
            recipe, tokens=tokens, replay=replay if arm.replayed else None,
            tokenizer=None if arm.continued else extended, start=extended if arm.continued else None,
            out=arguments.out / arm.name.replace(", ", "-").replace(" ", "-"),
        )  # fmt: skip
    measured = {
        "Korean": korean.held_out(arguments.max_bytes),
        "English": english.held_out(arguments.max_bytes, "web"),
        "Python": english.held_out(arguments.max_bytes, "github"),
    }
    models = {"the English model": base.path, "its tokens extended, untrained": extended.path}
    report(models | {name: run.path / "final" for name, run in made.items()}, measured, arguments.out)
    describe(extended, made["going on"], arguments)


def make_korean(folder: Path, out: Path) -> Texts:
    """The Korean prose as documents, a tenth of them held out."""
    files = [open_input(folder / name) for name in KOREAN]
    documents = waman.extract(ExtractRecipe(name="korean"), archives=files, out=out / "documents")
    mixture = waman.mix(MixRecipe(held_out=HeldOut(share=0.1)), documents=[documents], out=out / "mixture")
    return Texts((documents,), mixture)


def open_english(demo: Path) -> Texts:
    """What the demo's model was trained on, and what it was not, as the demo split them."""
    documents = tuple(open_artifact(demo / f"documents-{name}", "documents") for name in ("web", "github"))
    if (demo / "corpus").is_dir():
        documents = (open_artifact(demo / "corpus", "documents"),)
    return Texts(documents, open_artifact(demo / "mixture", "mixture"))


def recipe_of(arm: Arm, extended: Artifact, *, num_tokens: int, replay_share: float) -> PretrainRecipe:
    """The demo's recipe, warm-up and peak included, for both: the learning rate climbs anew to where it was."""
    return dataclasses.replace(
        DemoRecipe().pretrain,
        model=None if arm.continued else dataclasses.replace(load_config(extended.path), vocab_size=None),
        num_tokens=num_tokens,
        replay_share=replay_share if arm.replayed else None,
        checkpoints=Evenly(2),
        keep=1,
        seed=SEED,
    )


def report(models: dict[str, Path], measured: dict[str, HeldOutText], out: Path) -> None:
    """Prints a row per model and a row per gain, and keeps the bits of every document."""
    bits = {name: {language: text.bits(place) for language, text in measured.items()} for name, place in models.items()}
    print(f"| bits per byte, held out | {' | '.join(measured)} |")
    print(f"|---|{'---|' * len(measured)}")
    for name, found in bits.items():
        cells = [f"{found[language].sum() / text.num_bytes.sum():.3f}" for language, text in measured.items()]
        print(f"| {name} | {' | '.join(cells)} |")
    for ending in ("", ", with replay"):
        cells = []
        for language, text in measured.items():
            gain = bits[f"going on{ending}"][language] - bits[f"from scratch{ending}"][language]
            figure = ratio(gain, text.num_bytes, [one.group for one in text.documents], seed=SEED)
            interval = figure.interval and f" [{figure.interval[0]:+.3f}, {figure.interval[1]:+.3f}]"
            cells.append(f"{figure.value:+.3f}{interval or ''}")
        print(f"| going on less from scratch{ending} | {' | '.join(cells)} |")
    table = {name: {language: list(each) for language, each in found.items()} for name, found in bits.items()}
    (out / "bits.json").write_text(json.dumps(table, indent=1), encoding="utf-8")


def describe(extended: Artifact, run: Artifact, arguments: argparse.Namespace) -> None:
    """What stands behind the table."""
    config = load_config(run.path / "final")
    flops = run.counts["tokens"] * flops_per_token(config, config.context_length)
    measured = extended.counts["held_out"]["korean"]
    before, after = (measured[name]["tokens_per_character"] for name in ("before", "after"))
    print(
        f"\n{arguments.new_tokens} new tokens: {before:.2f} tokens per Korean character before, {after:.2f} after. "
        f"Each arm: {run.counts['tokens']:,} tokens, {flops / 1e12:.1f} TFLOP, {run.counts['parameters']:,} parameters;"
        f" with replay, {arguments.replay_share:.0%} of the sequences."
    )


if __name__ == "__main__":
    started = time.monotonic()
    main()
    print(f"{time.monotonic() - started:.0f} s, without what was finished before")
