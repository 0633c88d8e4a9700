"""Memory against the papers' formulas, and the meshes that were published."""

import dataclasses

import pytest

from waman.costing.devices import device
from waman.costing.memory import MIXED, Mesh, Numbers, serving_memory, training_memory
from waman.costing.mesh import smallest_mesh
from waman.errors import RecipeError
from waman.model.count import num_parameters
from waman.model.presets import preset

GPT = preset("gpt3-175b")
A100 = device("a100-40gb")


@pytest.mark.parametrize(("tensor", "sequence_parallel"), [(1, False), (8, False), (8, True)])
def test_a_gpt_layer_keeps_what_korthikanti_counts(tensor: int, sequence_parallel: bool) -> None:
    """Equations 1, 2 and 4 of Korthikanti et al. 2022 without dropout: 2 of 34 bytes, 3 of 5 for attention."""
    s, h, a = 2048, GPT.model_dim, GPT.attention.num_heads
    shared = 8 / tensor if sequence_parallel else 8
    by_formula = s * h * (shared + 24 / tensor)
    mesh = Mesh(tensor=tensor, sequence_parallel=sequence_parallel)
    kept = training_memory(GPT, mesh, recomputation="selective").activations
    assert kept == pytest.approx(GPT.num_layers * by_formula)
    everything = training_memory(GPT, mesh, recomputation="none").activations
    assert everything - kept == pytest.approx(GPT.num_layers * 2 * a * s * s / tensor)


def test_full_recomputation_keeps_the_input_of_every_layer_and_one_layer_to_work_on() -> None:
    s, h = 2048, GPT.model_dim
    full = training_memory(GPT, Mesh(), recomputation="full").activations
    assert full == pytest.approx(s * h * (2 * GPT.num_layers + 32))


def test_a_pipelines_first_stage_holds_as_many_micro_batches_as_there_are_stages() -> None:
    whole = training_memory(GPT, Mesh(tensor=8)).activations
    assert training_memory(GPT, Mesh(tensor=8, pipeline=8)).activations == pytest.approx(whole)


@pytest.mark.parametrize(("stage", "bytes_per_weight"), [(0, 18), (1, 6 + 12 / 64), (2, 2 + 16 / 64), (3, 18 / 64)])
def test_each_zero_stage_shares_out_more(stage: int, bytes_per_weight: float) -> None:
    """Rajbhandari et al. 2020, figure 1, with gradients in float32."""
    config = preset("llama-7b")
    found = training_memory(config, Mesh(data=64, zero_stage=stage))  # type: ignore[arg-type]
    held = found.weights + found.gradients + found.optimizer
    assert held == pytest.approx(bytes_per_weight * num_parameters(config))


def test_zeros_own_count_is_sixteen_bytes_a_weight() -> None:
    """Rajbhandari et al. 2020, section 3.1: 7.5 billion parameters, 120 GB, and 31.4 GB at stage 1 on 64 devices."""
    bytes_each = Numbers(gradients=2)
    assert 7.5 * (bytes_each.weights + bytes_each.gradients + bytes_each.optimizer) == 120
    assert 7.5 * (4 + bytes_each.optimizer / 64) == pytest.approx(31.4, abs=0.05)
    assert MIXED.gradients == 4


@pytest.mark.parametrize(
    ("name", "devices", "published"),
    [("falcon-7b", 384, (1, 2, 192)), ("falcon-180b", 4096, (8, 8, 64))],
)
def test_falcons_meshes_are_the_smallest_that_fit_on_40_gb(
    name: str, devices: int, published: tuple[int, int, int]
) -> None:
    """Almazrouei et al. 2023 and the model cards: tensor x pipeline x data on A100-40GB."""
    mesh = smallest_mesh(preset(name), A100, num_devices=devices).mesh
    assert (mesh.tensor, mesh.pipeline, mesh.data) == published


def test_falcon_40bs_mesh_fits_and_a_quarter_of_it_just_does() -> None:
    """8 x 4 x 12 leaves two thirds of the card free: it was not chosen for memory alone."""
    config = preset("falcon-40b")
    published = training_memory(config, Mesh(tensor=8, pipeline=4, data=12)).total
    quarter = training_memory(config, Mesh(tensor=8, data=48)).total
    assert published < 0.4 * A100.memory_bytes
    assert 0.85 < quarter / A100.memory_bytes < 1
    assert training_memory(config, Mesh(tensor=4, data=96)).total > A100.memory_bytes


def test_llama_65bs_mesh_is_its_eight_shards() -> None:
    mesh = smallest_mesh(preset("llama-65b"), device("a100-80gb"), num_devices=2048).mesh
    assert (mesh.tensor, mesh.pipeline) == (8, 1)


@pytest.mark.parametrize(("name", "mebibytes"), [("falcon-7b", 16), ("falcon-40b", 240), ("falcon-180b", 320)])
def test_falcons_caches(name: str, mebibytes: int) -> None:
    assert serving_memory(preset(name), context=2048).cache == mebibytes * 2**20


def test_serving_counts_every_sequence_and_only_the_window() -> None:
    config = preset("mistral-7b")
    assert config.attention.window == 4096
    one = serving_memory(config, context=8192)
    assert one.cache == serving_memory(config, context=4096).cache
    assert serving_memory(config, context=8192, sequences=3).cache == 3 * one.cache
    assert one.total == one.weights + one.cache
    assert serving_memory(config, bytes_per_weight=0.5).weights == one.weights // 4


def test_parts_add_up_and_no_mesh_means_the_whole_model() -> None:
    config = preset("falcon-7b")
    found = training_memory(config, Mesh())
    assert found.total == sum(dataclasses.asdict(found).values())
    assert found.weights == 2 * num_parameters(config)
    assert found.logits == 2048 * 65024 * 8


def test_keys_of_fewer_heads_than_devices_are_repeated() -> None:
    config = preset("falcon-40b")  # 8 key-value heads
    eight, sixteen = (training_memory(config, Mesh(tensor=width)).weights for width in (8, 16))
    extra = 2 * 8 * 64 * config.model_dim * config.num_layers * 2 / 16
    assert 2 * sixteen - eight == pytest.approx(2 * extra)


@pytest.mark.parametrize(
    ("mesh", "reason"),
    [
        (Mesh(tensor=2), "71 heads do not share out over 2 devices"),
        (Mesh(pipeline=3), "32 layers do not share out over 3 stages"),
    ],
)
def test_a_mesh_that_cannot_cut_the_model_is_refused(mesh: Mesh, reason: str) -> None:
    with pytest.raises(RecipeError, match=reason):
        training_memory(preset("falcon-7b"), mesh)


def test_a_feed_forward_that_does_not_share_out_is_refused() -> None:
    config = preset("laptop-1m")
    uneven = dataclasses.replace(
        config, vocab_size=64, feed_forward=dataclasses.replace(config.feed_forward, hidden_dim=351)
    )
    with pytest.raises(RecipeError, match="feed-forward width of 351 does not share out over 2"):
        training_memory(uneven, Mesh(tensor=2))


def test_what_fits_nowhere_is_said_with_the_least_that_it_needs() -> None:
    with pytest.raises(RecipeError, match=r"fits on no mesh of 8 x a100-40gb: 8 x 1 x 1 .* needs least, \d+\.\d GB on a"
                       r" device of 42.9 GB \(weights \d.*--recomputation full"):  # fmt: skip
        smallest_mesh(preset("llama-65b"), A100, num_devices=8)
