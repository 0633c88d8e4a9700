"""What the presets' publications say of them, and the table of docs/model.md: `python -m tests.model.published`."""

import dataclasses
from pathlib import Path

from waman.model.config import ModelConfig
from waman.model.count import flops_per_token, kv_bytes_per_token, num_parameters
from waman.model.presets import PRESETS

PAGE = Path(__file__).parents[2] / "docs" / "model.md"

EXACT = {
    # the number of weights in the released checkpoints
    "llama-7b": 6_738_415_616,
    "llama-13b": 13_015_864_320,
    "llama-33b": 32_528_943_616,
    "llama-65b": 65_285_660_672,
    "llama2-7b": 6_738_415_616,
    "llama2-13b": 13_015_864_320,
    "llama2-70b": 68_976_648_192,
    "llama3-8b": 8_030_261_248,
    "llama3-70b": 70_553_706_496,
    "llama3.1-8b": 8_030_261_248,
    "llama3.1-70b": 70_553_706_496,
    "llama3.1-405b": 405_853_388_800,
    "mistral-7b": 7_241_732_096,
    "falcon-7b": 6_921_720_704,
    "falcon-40b": 41_303_293_952,
    "falcon-rw-1b": 1_311_625_216,
    "gpt1-117m": 116_534_784,
    "gpt2-124m": 124_439_808,
    "gpt2-355m": 354_823_168,
    "gpt2-774m": 774_030_080,
    "gpt2-1.5b": 1_557_611_200,
}
ROUNDED = {
    # as many digits as the publication gives: Falcon's name, Penedo et al. 2023, Brown et al. 2020 (table D.1), Zhang
    # et al. 2022, Rae et al. 2021, Hoffmann et al. 2022, Chowdhery et al. 2022 (table 1)
    "falcon-180b": (180e9, 10e9),
    "falcon-rw-7b": (7.5e9, 0.1e9),
    "gpt3-125m": (125e6, 1e6),
    "gpt3-350m": (356e6, 1e6),
    "gpt3-760m": (760e6, 1e6),
    "gpt3-1.3b": (1320e6, 10e6),
    "gpt3-2.7b": (2650e6, 10e6),
    "gpt3-6.7b": (6660e6, 10e6),
    "gpt3-13b": (12850e6, 10e6),
    "gpt3-175b": (174_600e6, 100e6),
    "opt-175b": (175e9, 1e9),
    "gopher-280b": (280e9, 10e9),
    "chinchilla-70b": (70e9, 1e9),
    "palm-8b": (8.63e9, 0.01e9),
    "palm-62b": (62.50e9, 0.01e9),
    "palm-540b": (540.35e9, 0.01e9),
}
LAPTOP = {"laptop-1m": (1e6, 1e6), "laptop-3m": (3e6, 1e6), "laptop-5m": (5e6, 1e6)}


def with_vocabulary(name: str) -> ModelConfig:
    """The preset; the laptop shapes, which take theirs from a tokenizer, with 4096 entries."""
    config = PRESETS[name]
    return config if config.vocab_size is not None else dataclasses.replace(config, vocab_size=4096)


def relative_position_weights(name: str) -> int:
    """What Gopher and Chinchilla have more than our presets: Transformer-XL's projection of relative positions."""
    if name not in ("gopher-280b", "chinchilla-70b"):
        return 0
    config = PRESETS[name]
    return config.num_layers * config.model_dim * config.attention.num_heads * config.attention.head_dim


def table() -> str:
    """A row for each preset, in Markdown."""
    lines = [
        "| preset | parameters | published | context | FLOPs per token | key-value bytes per token |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name in PRESETS:
        config = with_vocabulary(name)
        flops = f"{flops_per_token(config, config.context_length):.3g}"
        lines.append(
            f"| `{name}` | {num_parameters(config):,} | {_published(name)} | {config.context_length:,} | {flops} | "
            f"{kv_bytes_per_token(config):,} |"
        )
    return "\n".join(lines)


def _published(name: str) -> str:
    if name in EXACT:
        return "the same"
    if name in LAPTOP:
        return ""
    value, unit = ROUNDED[name]
    scale, letter = (1e9, "B") if value >= 10e9 or unit >= 1e7 else (1e6, "M")
    digits = max(0, len(f"{scale / unit:.0f}") - 1)
    return f"{value / scale:.{digits}f}{letter}"


if __name__ == "__main__":
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition("| preset |")
    _, after = rest.split("\n\n", 1) if begin else ("", rest)
    PAGE.write_text(f"{before}{table()}\n\n{after}", encoding="utf-8")
