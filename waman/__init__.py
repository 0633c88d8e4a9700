"""waman: an open, efficient foundation-language-model stack, from crawl to chat.

Every door is a function of its verb's name; beside them stand the names below. All are loaded when first used, so that
`import waman` takes milliseconds and loads no torch.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_PLACES = {
    "Artifact": "waman.artifact",
    "Completion": "waman.inference.generation",
    "Document": "waman.document",
    "ModelConfig": "waman.model.config",
    "Sampling": "waman.inference.recipe",
    "WamanError": "waman.errors",
    "ablate": "waman.ablation.ablate",
    "choose": "waman.planning.choose",
    "compose": "waman.instruction.compose",
    "convert": "waman.quantization.convert",
    "demo": "waman.journey.demo",
    "evaluate": "waman.evaluation.evaluate",
    "extend_tokenizer": "waman.weights.extend_tokenizer",
    "extract": "waman.crawl.extract",
    "fetch": "waman.crawl.fetch",
    "load": "waman.inference.load",
    "mix": "waman.corpus.mix",
    "open_artifact": "waman.artifact",
    "open_input": "waman.artifact",
    "plan": "waman.planning.plan",
    "presets": "waman.model.presets",
    "pretrain": "waman.training.pretrain",
    "publish": "waman.corpus.publish",
    "quantize": "waman.quantization.quantize",
    "refine": "waman.corpus.refine",
    "tokenize": "waman.tokens.tokenize",
    "train_tokenizer": "waman.tokens.train_tokenizer",
    "tune": "waman.instruction.tune",
}

__all__ = sorted([*_PLACES, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'waman' has no attribute '{name}'")
    module = importlib.import_module(_PLACES[name])
    return module if name == "presets" else getattr(module, name)


def __dir__() -> list[str]:
    return __all__
