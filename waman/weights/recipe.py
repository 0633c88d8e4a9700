"""What can be set of a conversion. Imports no library beside the standard one."""

from dataclasses import dataclass, field
from typing import Literal

from waman.errors import RecipeError

GgufType = Literal["F32", "F16", "BF16", "Q8_0", "Q4_0"]
Dtype = Literal["stored", "float32", "float16", "bfloat16"]


@dataclass(frozen=True)
class HuggingFace:
    """A Hugging Face model directory: `config.json` and safetensors. An adapter is merged into it."""

    dtype: Dtype = "stored"
    """type of the weights; stored: as the source holds them, so that nothing is lost"""


@dataclass(frozen=True)
class Meta:
    """Meta's original form: `params.json` and one `consolidated.NN.pth` per model-parallel rank. LLaMA models only."""

    num_shards: int = 1
    """model-parallel ranks; heads, widths and vocabulary must be multiples of it"""
    dtype: Dtype = "stored"
    """type of the weights; stored: as the source holds them, so that nothing is lost"""

    def __post_init__(self) -> None:
        if self.num_shards < 1:
            raise RecipeError(f"num_shards: found {self.num_shards}, expected at least 1")


@dataclass(frozen=True)
class Gguf:
    """One GGUF file for llama.cpp, tokenizer included."""

    type: GgufType = "F16"
    """type of the matrices; vectors stay F32; rows that are no multiple of 32 stay F16 where it is Q8_0 or Q4_0"""
    tokenizer: Literal["exact", "nearest"] = "exact"
    """exact: refuse a tokenizer that llama.cpp cannot run id for id; nearest: write the most alike"""


@dataclass(frozen=True)
class TokenizerJson:
    """A SentencePiece `.model` as `tokenizer.json`."""

    ids: Literal["exact", "nearest"] = "exact"
    """exact: refuse a model that rewrites characters (nmt_nfkc and kin), whose ids differ at times; nearest: take it"""


@dataclass(frozen=True)
class ConvertRecipe:
    """One form of a model into another. The source's form is read off its files."""

    format: HuggingFace | Meta | Gguf | TokenizerJson = field(default_factory=HuggingFace)
    """the form to write"""
    context_length: int = 2048
    """positions of a model in Meta's form, which does not say it: 2048 LLaMA, 4096 Llama 2, 8192 Llama 3, 131072 3.1"""
    rope_factor: float = 8.0
    """of a model in Meta's form with use_scaled_rope, which does not say it: 8 for Llama 3.1, 32 for Llama 3.2"""

    def __post_init__(self) -> None:
        for name in ("context_length", "rope_factor"):
            if getattr(self, name) <= 0:
                raise RecipeError(f"{name}: found {getattr(self, name)}, expected more than 0")
