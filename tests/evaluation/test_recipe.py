import subprocess
import sys
import tomllib

import pytest

from waman import settings
from waman.errors import RecipeError
from waman.evaluation.recipe import BitsPerByte, Cloze, EvaluateRecipe, Instructions, Ngram, Overlap
from waman.model.recipe import Float32
from waman.settings import Off


@pytest.mark.parametrize(
    "recipe",
    [
        EvaluateRecipe(),
        EvaluateRecipe(bits=Off(), cloze=Cloze(scorers=(), num_questions=50), overlap=Off(), seed=3),
        EvaluateRecipe(instructions=Off(), ngram=Ngram(order=3)),
        EvaluateRecipe(precision=Float32()),
    ],
)
def test_a_recipe_survives_being_written_and_read(recipe: EvaluateRecipe) -> None:
    assert settings.parse(EvaluateRecipe, tomllib.loads(settings.render(recipe))) == recipe


def test_a_part_is_switched_off_by_its_kind() -> None:
    recipe = settings.load(EvaluateRecipe, None, ["cloze.kind=off", "bits.scorers=[]"])
    assert recipe.cloze == Off()
    assert recipe.bits == BitsPerByte(scorers=())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("bits.max_bytes=0", "bits: max_bytes: found 0, expected at least 1"),
        ("bits.max_priming_bytes=-1", "max_priming_bytes: found -1, expected at least 0"),
        ("bits.overlap=1.0", "overlap: found 1.0, expected a share of at least 0 and below 1"),
        ("cloze.num_questions=0", "num_questions: found 0"),
        ("cloze.max_per_document=0", "max_per_document: found 0"),
        ("cloze.min_context_tokens=0", "min_context_tokens: found 0"),
        ("cloze.max_context_tokens=31", "max_context_tokens: found 31, expected at least 32"),
        ("cloze.min_option_tokens=0", "min_option_tokens: found 0"),
        ("cloze.max_option_tokens=31", "max_option_tokens: found 31, expected at least 32"),
        ("instructions.num_questions=0", "num_questions: found 0"),
        ("instructions.num_written=-1", "num_written: found -1, expected at least 0"),
        ("instructions.max_answer_tokens=0", "max_answer_tokens: found 0"),
        ("ngram.order=0", "order: found 0"),
        ("ngram.max_bytes=-1", "ngram: max_bytes: found -1"),
        ("max_held_out_bytes=0", "max_held_out_bytes: found 0"),
        ("overlap.words=0", "words: found 0"),
        ("overlap.threshold=0.0", "threshold: found 0.0, expected a share above 0, at most 1"),
        ('cloze.scorers=["gzip"]', "expected one of 'word_overlap', 'ngram', 'untrained'"),
    ],
)
def test_a_field_out_of_range_is_named_with_what_was_expected(override: str, message: str) -> None:
    with pytest.raises(RecipeError) as error:
        settings.load(EvaluateRecipe, None, [override])
    assert message in str(error.value)


def test_every_field_is_documented() -> None:
    for part in (EvaluateRecipe, BitsPerByte, Cloze, Instructions, Ngram, Overlap):
        assert settings.documentation(part).keys() == part.__dataclass_fields__.keys()


def test_the_recipe_loads_no_torch() -> None:
    program = "import sys, waman.evaluation.recipe; assert not {'torch', 'pyarrow', 'numpy'} & sys.modules.keys()"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
