import tomllib

import pytest

from waman import settings
from waman.errors import RecipeError
from waman.model.config import ModelConfig
from waman.model.recipe import Bfloat16
from waman.training.recipe import Constant, EverySteps, PretrainRecipe


def test_a_recipe_survives_being_written_and_read() -> None:
    recipe = PretrainRecipe(
        schedule=Constant(warmup_share=0.0),
        precision=Bfloat16(),
        checkpoints=EverySteps(7),
        proportions={"web": 2.0, "github": 1.0},
        keep=3,
    )
    for each in (recipe, PretrainRecipe()):
        assert settings.parse(PretrainRecipe, tomllib.loads(settings.render(each))) == each


def test_the_optimizer_is_set_as_llama_sets_it() -> None:
    optimizer = PretrainRecipe().optimizer
    assert (optimizer.beta1, optimizer.beta2, optimizer.weight_decay, optimizer.clip_norm) == (0.9, 0.95, 0.1, 1.0)


def test_the_last_step_is_rounded_up_to_a_whole_batch() -> None:
    recipe = PretrainRecipe(model=ModelConfig(context_length=256), num_tokens=4097, batch_tokens=1024)
    assert (recipe.num_steps, recipe.batch_sequences(256)) == (5, 4)


def test_a_batch_that_holds_no_whole_number_of_sequences_is_refused() -> None:
    expected = r"batch_tokens = 1000 is not a multiple of model.context_length = 256; a batch holds whole sequences"
    with pytest.raises(RecipeError, match=expected):
        PretrainRecipe(model=ModelConfig(), batch_tokens=1000)
    expected = r"batch_tokens = 4096 is not a multiple of sequence_length = 100; a batch holds whole sequences"
    with pytest.raises(RecipeError, match=expected):
        PretrainRecipe(model=ModelConfig(), sequence_length=100)
    with pytest.raises(RecipeError, match=r"sequence_length = 512; expected at most the model's context_length, 256"):
        PretrainRecipe(model=ModelConfig(), sequence_length=512)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("num_tokens=0", "num_tokens = 0; expected more than 0"),
        ("batch_tokens=0", "batch_tokens = 0; expected more than 0"),
        ("micro_batch_sequences=0", "micro_batch_sequences = 0; expected more than 0"),
        ("keep=0", "keep = 0; expected more than 0"),
        ("sequence_length=0", "sequence_length = 0; expected more than 0"),
        ("replay_share=1.0", "replay_share = 1.0; expected more than 0 and under 1"),
        ("proportions.web=-1.0", "proportions.web = -1.0; expected 0 or more"),
        ("optimizer.learning_rate=0.0", "optimizer.learning_rate = 0.0; expected more than 0"),
        ("optimizer.beta1=1.0", "optimizer.beta1 = 1.0; expected 0 or more and under 1"),
        ("optimizer.beta2=-0.1", "optimizer.beta2 = -0.1; expected 0 or more and under 1"),
        ("optimizer.eps=0.0", "optimizer.eps = 0.0; expected more than 0"),
        ("optimizer.weight_decay=-1.0", "optimizer.weight_decay = -1.0; expected 0 or more"),
        ("optimizer.clip_norm=0.0", "optimizer.clip_norm = 0.0; expected more than 0"),
        ("schedule.warmup_share=1.0", "schedule.warmup_share = 1.0; expected 0 or more and under 1"),
        ("schedule.floor_share=2.0", "schedule.floor_share = 2.0; expected 0 to 1"),
        ("checkpoints.number=0", "checkpoints.number = 0; expected more than 0"),
    ],
)
def test_a_figure_out_of_range_is_refused_by_name(override: str, message: str) -> None:
    kinds = ["schedule.kind=cosine", "checkpoints.kind=evenly"]
    with pytest.raises(RecipeError) as caught:
        settings.load(PretrainRecipe, None, [*kinds, override])
    assert message in str(caught.value)


def test_variants_refuse_figures_out_of_range() -> None:
    with pytest.raises(RecipeError, match=r"schedule.warmup_share = -0.5; expected 0 or more and under 1"):
        Constant(warmup_share=-0.5)
    with pytest.raises(RecipeError, match=r"checkpoints.steps = 0; expected more than 0"):
        EverySteps(0)
