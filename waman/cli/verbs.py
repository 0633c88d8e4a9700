"""The verbs that are doors: which recipe, which inputs, which function. Read without importing any of them."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Input:
    """One input of a door, given by name (`--documents DIR`) or by place."""

    name: str
    help: str
    kinds: tuple[str, ...] | None = None
    """Kinds of artifact that fit; None: also raw files and directories."""
    many: bool = False
    optional: bool = False
    option: str | None = None
    """The option's name, where the input's own is no good word for it."""
    by_place: bool = True
    """Whether it may be given without its name."""


@dataclass(frozen=True)
class Shortcut:
    """An option of a verb that sets one field of its recipe: what a person types often."""

    name: str
    field: str
    metavar: str
    help: str
    values: Mapping[str, str] | None = None
    """What may be given, with what the field is then set to; None: anything, as it is."""


@dataclass(frozen=True)
class Verb:
    """One door on the command line."""

    name: str
    summary: str
    recipe: str
    """module:Class of the recipe, torch-free."""
    door: str
    """module:function."""
    inputs: tuple[Input, ...] = ()
    shows: "Shows | None" = None
    """What to print of the artifact; None: where it is."""
    shortcuts: tuple[Shortcut, ...] = ()
    foresees: str | None = None
    """module:function from the recipe to what `--dry-run` says beside it; None: nothing."""
    foretells: "Foretells | None" = None
    """How what it will take is reckoned; None: it is not."""
    in_units: bool = False
    """Whether its work is cut into units, so that workers or a cluster can do them: the door takes an executor."""


@dataclass(frozen=True)
class Foretells:
    """What a verb's run takes: printed by `--dry-run`, and set against the outcome after a long one."""

    plan: str
    """module:function from the recipe and the inputs to counts or None, which the door calls as `foretell`."""
    render: str
    """module:function from these counts and the manifest of the run to a line."""


@dataclass(frozen=True)
class Shows:
    """How a verb's artifact is shown: its data, which `--json` prints, and that data for the eye."""

    read: str
    """module:function from the artifact to plain data."""
    render: str
    """module:function from that data to text."""


_DOCUMENTS = Input("documents", "Artifacts of documents.", ("documents",), many=True)
_MIXTURE = Input("mixture", "What `mix` made of them: sampling proportions and held-out groups.", ("mixture",))
_TOKENIZER = Input("tokenizer", "What `train-tokenizer` made, or a model with its own.", ("tokenizer", "weights"))

_WEIGHTS = Input("weights", "A model: a weights artifact or a Hugging Face directory.", ("weights",))
_INSTRUCTIONS = Input("instructions", "What `compose` made.", ("instructions",), many=True)

VERBS: tuple[Verb, ...] = (
    Verb(
        "demo",
        "Make a small language model on this machine, from web pages to a chat answer.",
        "waman.journey.recipe:DemoRecipe",
        "waman.journey.demo:demo",
        (
            Input(
                "corpus",
                "Your own text instead of Python's: WARC, Parquet, JSONL or text files, or directories of them.",
                many=True,
                optional=True,
            ),
        ),
        in_units=True,
    ),
    Verb(
        "fetch",
        "Fetch web pages into WARC files, obeying robots.txt.",
        "waman.crawl.recipe:FetchRecipe",
        "waman.crawl.fetch:fetch",
    ),
    Verb(
        "extract",
        "Turn archives and files into documents with language and licence.",
        "waman.crawl.recipe:ExtractRecipe",
        "waman.crawl.extract:extract",
        (
            Input("archives", "Crawl artifacts, WARC, WET, Parquet, JSONL, text, or directories of them.", many=True),
            Input(
                "blocklists",
                "Domains and URLs whose pages are left out: files of a line each, or folders of them.",
                ("file", "files"),
                many=True,
                optional=True,
                by_place=False,
            ),
        ),
        in_units=True,
    ),
    Verb(
        "refine",
        "Filter and deduplicate documents, with a reason for every drop.",
        "waman.corpus.recipe:RefineRecipe",
        "waman.corpus.refine:refine",
        (
            _DOCUMENTS,
            Input(
                "earlier",
                "Documents whose addresses are not taken again, where url_duplicates is on.",
                ("documents",),
                many=True,
                optional=True,
                by_place=False,
            ),
            Input(
                "classifiers",
                "What `train-classifier` made, for the filters perplexity_third and cited_page.",
                ("classifier",),
                many=True,
                optional=True,
                by_place=False,
            ),
        ),
        in_units=True,
    ),
    Verb(
        "train-classifier",
        "Learn from examples of good text what tells them from pages as they come; refine takes it.",
        "waman.corpus.recipe:ClassifierRecipe",
        "waman.corpus.train_classifier:train_classifier",
        (
            Input("reference", "Documents of the kind that is wanted.", ("documents",), many=True, by_place=False),
            Input("pages", "Documents as they come.", ("documents",), many=True, by_place=False),
        ),
        in_units=True,
    ),
    Verb(
        "overlap",
        "Find the items of benchmarks that stand in documents, by n-grams of words.",
        "waman.corpus.recipe:OverlapRecipe",
        "waman.corpus.overlap:overlap",
        (
            _DOCUMENTS,
            Input(
                "benchmarks",
                "JSONL files, artifacts of documents, or what `compose` made.",
                many=True,
                by_place=False,
            ),
        ),
        in_units=True,
    ),
    Verb(
        "decontaminate",
        "Take out of documents what `overlap` found in them.",
        "waman.corpus.recipe:DecontaminateRecipe",
        "waman.corpus.decontaminate:decontaminate",
        (
            _DOCUMENTS,
            Input("overlap", "What `overlap` measured.", ("overlap",), by_place=False),
        ),
        in_units=True,
    ),
    Verb(
        "mix",
        "Set sampling proportions by source and hold whole groups out for evaluation.",
        "waman.corpus.recipe:MixRecipe",
        "waman.corpus.mix:mix",
        (_DOCUMENTS,),
        in_units=True,
    ),
    Verb(
        "publish",
        "Write documents as the files of a data set: Parquet or JSONL as datatrove reads them.",
        "waman.corpus.recipe:PublishRecipe",
        "waman.corpus.publish:publish",
        (_DOCUMENTS,),
        shortcuts=(Shortcut("form", "form", "FORM", "parquet or jsonl: --set form=FORM."),),
        in_units=True,
    ),
    Verb(
        "train-tokenizer",
        "Train a byte-pair tokenizer by LLaMA's rules.",
        "waman.tokens.recipe:TokenizerRecipe",
        "waman.tokens.train_tokenizer:train_tokenizer",
        (_DOCUMENTS, _MIXTURE),
        in_units=True,
    ),
    Verb(
        "tokenize",
        "Turn documents into memory-mapped token shards.",
        "waman.tokens.recipe:TokenizeRecipe",
        "waman.tokens.tokenize:tokenize",
        (_DOCUMENTS, _MIXTURE, _TOKENIZER),
        in_units=True,
    ),
    Verb(
        "pretrain",
        "Train a decoder on token shards, fresh or from another's weights; run again to resume.",
        "waman.training.recipe:PretrainRecipe",
        "waman.training.pretrain:pretrain",
        (
            Input("tokens", "What `tokenize` made.", ("tokens",)),
            replace(_TOKENIZER, optional=True),
            Input(
                "start",
                "Go on from this model: a weights artifact or a Hugging Face directory.",
                ("weights",),
                optional=True,
                option="from",
                by_place=False,
            ),
            Input(
                "replay",
                "More of what `tokenize` made, read for replay_share of the sequences.",
                ("tokens",),
                optional=True,
                by_place=False,
            ),
        ),
        foretells=Foretells("waman.planning.plan:foretold_counts", "waman.planning.plan:render_outcome"),
    ),
    Verb(
        "ablate",
        "Ask which of several choices is better, over seeds and held-out text: a verdict with its uncertainty.",
        "waman.ablation.recipe:AblateRecipe",
        "waman.ablation.ablate:ablate",
        (
            Input(
                "corpus",
                "Artifacts of documents, or WARC, Parquet, JSONL or text files, instead of Python's documentation.",
                many=True,
                optional=True,
            ),
            Input(
                "earlier",
                "An ablation whose runs are taken over where they would be the same: to go on with more seeds.",
                ("ablation",),
                optional=True,
                by_place=False,
            ),
        ),
        Shows("waman.ablation.results:read_results", "waman.ablation.results:render"),
        foresees="waman.ablation.foresight:foresee",
        in_units=True,
    ),
    Verb(
        "evaluate",
        "Measure a model on held-out text and instructions, beside what needs no model.",
        "waman.evaluation.recipe:EvaluateRecipe",
        "waman.evaluation.evaluate:evaluate",
        (
            Input("weights", "A weights artifact or a Hugging Face directory.", ("weights",)),
            _DOCUMENTS,
            _MIXTURE,
            Input("instructions", "What `compose` made.", ("instructions",), many=True, optional=True),
            Input(
                "overlap",
                "What `overlap` found of the instructions in the training text.",
                ("overlap",),
                optional=True,
                by_place=False,
            ),
        ),
        Shows("waman.evaluation.report:read_scores", "waman.evaluation.report:render"),
        in_units=True,
    ),
    Verb(
        "compose",
        "Make instruction data from documents: tasks, templates, a cluster held out.",
        "waman.instruction.recipe:ComposeRecipe",
        "waman.instruction.compose:compose",
        (_DOCUMENTS, _MIXTURE),
        in_units=True,
    ),
    Verb(
        "tune",
        "Tune a model on instructions, with loss on answers only.",
        "waman.instruction.recipe:TuneRecipe",
        "waman.instruction.tune:tune",
        (_WEIGHTS, _INSTRUCTIONS),
    ),
    Verb(
        "extend-tokenizer",
        "Add tokens for a language to a model: to its tokenizer and to its embeddings.",
        "waman.tokens.recipe:ExtendTokenizerRecipe",
        "waman.weights.extend_tokenizer:extend_tokenizer",
        (
            _WEIGHTS,
            _DOCUMENTS,
            replace(_MIXTURE, help="Only its train split is learned from.", optional=True, by_place=False),
        ),
        Shows("waman.weights.extend_tokenizer:read_measure", "waman.weights.extend_tokenizer:render_measure"),
        (Shortcut("tokens", "num_tokens", "N", "New tokens: --set num_tokens=N."),),
        in_units=True,
    ),
    Verb(
        "quantize",
        "Give a model fewer bits, and prove on held-out tokens what it lost.",
        "waman.quantization.recipe:QuantizeRecipe",
        "waman.quantization.quantize:quantize",
        (
            _WEIGHTS,
            Input(
                "tokens",
                "What `tokenize` made with the model's tokenizer: train calibrates, held_out proves.",
                ("tokens",),
                optional=True,
                by_place=False,
            ),
        ),
        shortcuts=(
            Shortcut(
                "bits",
                "layers.kind",
                "N",
                "4 or 8: --set layers.kind=int4 or int8.",
                MappingProxyType({"4": "int4", "8": "int8"}),
            ),
        ),
    ),
    Verb(
        "convert",
        "Write a model in another form: Hugging Face, Meta, GGUF; merge adapters; read SentencePiece.",
        "waman.weights.recipe:ConvertRecipe",
        "waman.quantization.convert:convert",
        (
            Input("model", "A Hugging Face directory, one of Meta's, a GGUF file, or a SentencePiece model."),
            Input("adapter", "PEFT LoRA directories to merge, in this order.", ("files",), many=True, optional=True),
        ),
    ),
)


def resolve(place: str) -> Any:
    """The object at `module:name`."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
