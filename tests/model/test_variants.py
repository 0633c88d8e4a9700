"""Every part, put together into decoders."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from tests.model.variants import TINY, VARIANTS, ListCache, build, tokens
from waman.errors import PromptError
from waman.model.config import Alibi, FanIn, Learned, NoPosition, Normal, Rope, ScaledNormal
from waman.model.count import flops_per_token, num_parameters
from waman.model.decoder import Decoder

every_variant = pytest.mark.parametrize("name", VARIANTS)


@every_variant
def test_cached_decoding_equals_uncached(name: str) -> None:
    decoder, ids = build(VARIANTS[name]).double(), tokens(2, 13)
    cache = ListCache(decoder.config.num_layers, 2)
    steps = [decoder(ids[:, :6], cache=cache), decoder(ids[:, 6:9], cache=cache)]
    steps += [decoder(ids[:, t : t + 1], cache=cache) for t in range(9, 13)]
    torch.testing.assert_close(torch.cat(steps, dim=1), decoder(ids), rtol=1e-10, atol=1e-12)


@every_variant
def test_rows_of_a_cache_may_hold_different_numbers_of_tokens(name: str) -> None:
    decoder, ids = build(VARIANTS[name]).double(), tokens(2, 12)
    cache = ListCache(decoder.config.num_layers, 2)
    decoder(ids[:, :8], cache=cache)
    cache.truncate([8, 5])
    following = torch.stack((ids[0, 8:11], ids[1, 5:8]))
    for step in (slice(0, 2), slice(2, 3)):
        got = decoder(following[:, step], cache=cache)
        alone = torch.stack((decoder(ids[:1])[0, 8:11][step], decoder(ids[1:])[0, 5:8][step]))
        torch.testing.assert_close(got, alone, rtol=1e-10, atol=1e-12)


@every_variant
def test_changing_a_token_changes_later_logits_only(name: str) -> None:
    decoder, ids = build(VARIANTS[name]), tokens(2, 20)
    before = decoder(ids)
    ids[:, 11] = (ids[:, 11] + 1) % 50
    after = decoder(ids)
    assert torch.equal(before[:, :11], after[:, :11])
    assert (before[:, 11:] != after[:, 11:]).any(dim=-1)[:, : min(9, decoder.config.attention.window or 9)].all()


@every_variant
def test_gradients_are_the_numerical_ones_along_a_random_direction_of_each_parameter(name: str) -> None:
    decoder, ids = build(VARIANTS[name]).double(), tokens(2, 9)
    generator = torch.Generator().manual_seed(0)

    def loss() -> Tensor:
        return torch.nn.functional.cross_entropy(decoder(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())

    for parameter in decoder.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    loss().backward()  # type: ignore[no-untyped-call]
    for parameter_name, parameter in decoder.named_parameters():
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        assert parameter.grad is not None, parameter_name
        expected = (parameter.grad * direction).sum().item()
        start, found = parameter.data, []
        for step in (1e-6, -1e-6):
            parameter.data = start + step * direction
            found.append(loss().item())
        parameter.data = start
        assert (found[0] - found[1]) / 2e-6 == pytest.approx(expected, rel=1e-4, abs=1e-7), parameter_name


@every_variant
def test_parameters_are_counted_to_the_last_one(name: str) -> None:
    with torch.device("meta"):
        decoder = Decoder(VARIANTS[name])
    assert num_parameters(VARIANTS[name]) == sum(parameter.numel() for parameter in decoder.parameters())


@every_variant
def test_flops_are_six_per_weight_of_a_product_and_twelve_per_pair_and_head_dimension(name: str) -> None:
    config = VARIANTS[name]
    multiplied = [
        weight.numel()
        for part, weight in build(config).blocks.named_parameters()
        if weight.ndim == 2 and "norm" not in part
    ]
    seen = min(40, config.attention.window or 40)
    pairs = config.num_layers * config.attention.num_heads * config.attention.head_dim * seen
    assert flops_per_token(config, 40) == 6 * (sum(multiplied) + 50 * config.model_dim) + 12 * pairs


def test_a_llama_has_the_names_that_its_checkpoints_have() -> None:
    assert {name.replace("blocks.1.", "") for name in build(TINY).state_dict() if "blocks.0" not in name} == {
        "embedding.weight",
        "attention_norm.weight",
        "attention.query_key_value.weight",
        "attention.output.weight",
        "feed_forward_norm.weight",
        "feed_forward.gate_up.weight",
        "feed_forward.down.weight",
        "norm.weight",
        "unembedding.weight",
    }


def test_parts_that_a_variant_lacks_have_no_weights() -> None:
    falcon, gpt = build(VARIANTS["falcon 7b"]).state_dict(), build(VARIANTS["gpt-1"]).state_dict()
    assert not [name for name in falcon if "feed_forward_norm" in name or "feed_forward.up.bias" in name]
    assert [name for name in falcon if name.startswith("norm.")] == ["norm.weight", "norm.bias"]
    assert not [name for name in gpt if name.startswith(("norm.", "unembedding."))]
    assert gpt["position.weight"].shape == (64, 32)
    assert gpt["blocks.0.attention.query_key_value.bias"].shape == (96,)


@every_variant
def test_autocast_computes_in_bfloat16_near_fp32(name: str) -> None:
    decoder, ids = build(VARIANTS[name]), tokens(2, 20)
    expected = decoder(ids)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = decoder(ids)
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), expected, rtol=0.05, atol=0.04 * expected.std().item())
    logits.float().square().mean().backward()
    assert all(weight.grad is not None and weight.grad.dtype == torch.float32 for weight in decoder.parameters())


@pytest.mark.parametrize("position", [Rope(), Learned()])
def test_positions_beyond_the_context_are_refused_where_there_are_none(position: Rope | Learned) -> None:
    decoder = build(dataclasses.replace(TINY, position=position))
    with pytest.raises(PromptError, match=r"65 tokens, but the model was made for 64 \(context_length\)"):
        decoder(tokens(1, 65))


@pytest.mark.parametrize("position", [Alibi(), NoPosition()])
def test_alibi_and_no_position_read_on_beyond_the_context(position: Alibi | NoPosition) -> None:
    decoder, ids = build(dataclasses.replace(TINY, position=position)).double(), tokens(1, 70)
    torch.testing.assert_close(decoder(ids)[:, :64], decoder(ids[:, :64]), rtol=1e-10, atol=1e-12)


INITIALIZATIONS = [(ScaledNormal(), 0.02), (Normal(), 0.02), (FanIn(), 1 / math.sqrt(192))]


@pytest.mark.parametrize(("initialization", "head_std"), INITIALIZATIONS)
@pytest.mark.parametrize("name", ["llama", "gpt-1", "opt", "falcon 7b", "falcon rw", "palm"])
def test_the_first_loss_is_that_of_normal_logits_of_the_heads_deviation(
    name: str, initialization: ScaledNormal | Normal | FanIn, head_std: float
) -> None:
    """The norm gives the head numbers of variance 1; a token drawn from v, under a softmax of logits of variance s,
    costs ln v + s / 2. A tied head of fan-in weights would first of all expect what it has just read.
    """
    tied = VARIANTS[name].tie_embeddings and not isinstance(initialization, FanIn)
    config = dataclasses.replace(
        VARIANTS[name], vocab_size=1000, model_dim=192, initialization=initialization, tie_embeddings=tied
    )
    logits = build(config)(tokens(4, 64, 1000))
    loss = (logits.logsumexp(dim=-1) - logits.mean(dim=-1)).mean().item()
    assert loss == pytest.approx(math.log(1000) + 192 * head_std**2 / 2, abs=0.03)


@pytest.mark.parametrize(("initialization", "head_std"), INITIALIZATIONS)
def test_each_matrix_has_the_deviation_of_its_initialisation(
    initialization: ScaledNormal | Normal | FanIn, head_std: float
) -> None:
    config = dataclasses.replace(VARIANTS["opt"], vocab_size=300, model_dim=192, initialization=initialization)
    for name, weight in build(config).named_parameters():
        if weight.ndim == 1:
            assert (weight == (0 if name.endswith("bias") else 1)).all(), name
            continue
        match initialization:
            case ScaledNormal():
                expected = 0.02 / 2 if name.endswith(("output.weight", "down.weight")) else 0.02
            case Normal():
                expected = 0.02
            case FanIn():
                expected = 1.0 if name in ("embedding.weight", "position.weight") else weight.shape[1] ** -0.5
        assert weight.std().item() == pytest.approx(expected, rel=0.03), name


def test_a_tied_embedding_is_drawn_as_the_head_that_it_is_and_positions_like_it() -> None:
    config = dataclasses.replace(
        VARIANTS["palm"], vocab_size=300, model_dim=192, tie_embeddings=True, position=Learned(), context_length=256
    )
    weights = dict(build(config).named_parameters())
    for name in ("embedding.weight", "position.weight"):
        assert weights[name].std().item() == pytest.approx(1 / math.sqrt(192), rel=0.03)
