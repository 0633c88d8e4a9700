import pytest

from waman.errors import RecipeError
from waman.inference.recipe import Sampling


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_tokens": 0}, "max_tokens: found 0, expected at least 1"),
        ({"temperature": -0.1}, r"temperature: found -0\.1, expected 0 or more"),
        ({"temperature": float("nan")}, "temperature: found nan"),
        ({"top_p": 0.0}, r"top_p: found 0\.0, expected above 0, at most 1"),
        ({"top_p": 1.5}, r"top_p: found 1\.5"),
        ({"seed": -1}, "seed: found -1, expected 0 to"),
        ({"stop": ("a", "")}, "stop: found an empty text"),
    ],
)
def test_a_wrong_option_says_what_was_expected(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Sampling(**wrong)  # type: ignore[arg-type]
