import subprocess
import sys
import tomllib

import pytest

from tests.model.variants import VARIANTS
from waman import settings
from waman.errors import RecipeError
from waman.model.config import (
    Attention,
    Linear,
    Llama3,
    ModelConfig,
    Ntk,
    RmsNorm,
    Rope,
    ScaledNormal,
    Swiglu,
    Yarn,
    require_vocab_size,
)
from waman.model.presets import PRESETS, preset


def test_heads_must_divide_into_kv_heads() -> None:
    with pytest.raises(RecipeError, match=r"num_heads = 6 is not a multiple of num_kv_heads = 4"):
        Attention(num_heads=6, num_kv_heads=4)


def test_an_odd_head_dim_is_refused() -> None:
    with pytest.raises(RecipeError, match="head_dim = 33 is odd"):
        Attention(head_dim=33)


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: RmsNorm(eps=0.0), r"norm\.eps = 0\.0"),
        (lambda: Rope(theta=-1.0), r"position\.theta = -1\.0"),
        (lambda: Swiglu(hidden_dim=0), r"feed_forward\.hidden_dim = 0"),
        (lambda: Attention(num_kv_heads=0), r"attention\.num_kv_heads = 0"),
        (lambda: ScaledNormal(std=0.0), r"initialization\.std = 0\.0"),
        (lambda: ModelConfig(vocab_size=0), "vocab_size = 0"),
        (lambda: ModelConfig(num_layers=0), "num_layers = 0"),
    ],
)
def test_sizes_must_be_positive(build, name: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(RecipeError, match=name + "; expected more than 0"):
        build()


def test_a_model_without_vocabulary_asks_for_the_tokenizer() -> None:
    with pytest.raises(RecipeError, match="vocab_size is absent; take it from the tokenizer"):
        require_vocab_size(ModelConfig())


def test_ntk_scaling_of_a_single_pair_is_refused() -> None:
    with pytest.raises(RecipeError, match="head_dim = 2 has only one; take another scaling"):
        ModelConfig(attention=Attention(head_dim=2), position=Rope(scaling=Ntk()))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Yarn(beta_fast=1.0, beta_slow=2.0), r"beta_slow = 2\.0 and beta_fast = 1\.0; expected 0 <"),
        (lambda: Llama3(low_freq_factor=4.0), r"low_freq_factor = 4\.0 and high_freq_factor = 4\.0; expected 0 <"),
        (lambda: Linear(factor=0.0), r"position\.scaling\.factor = 0\.0; expected more than 0"),
        (lambda: Attention(window=0), r"attention\.window = 0; expected more than 0"),
    ],
)
def test_options_that_cannot_be_are_refused(build, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(RecipeError, match=message):
        build()


@pytest.mark.parametrize("name", VARIANTS)
def test_every_part_survives_toml(name: str) -> None:
    assert settings.parse(ModelConfig, tomllib.loads(settings.render(VARIANTS[name]))) == VARIANTS[name]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_toml(name: str) -> None:
    config = preset(name)
    assert settings.parse(ModelConfig, tomllib.loads(settings.render(config))) == config


def test_every_field_is_documented() -> None:
    undocumented = [field.path for field in settings.describe(ModelConfig) if not field.documentation]
    assert undocumented == []


def test_an_unknown_preset_is_refused_with_a_suggestion() -> None:
    with pytest.raises(RecipeError, match="no model preset 'llama-7'; did you mean 'llama-7b'"):
        preset("llama-7")


def test_configs_presets_and_counts_load_no_torch() -> None:
    code = "import sys, waman.model.presets, waman.model.count; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
