import pytest

from waman import settings
from waman.errors import RecipeError
from waman.inference.recipe import Bias, Grammar, JsonSchema, Regex, Sampling


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
        ({"top_k": 0}, "top_k: found 0, expected at least 1"),
        ({"min_p": 1.5}, r"min_p: found 1\.5, expected 0 to 1"),
        ({"repetition_penalty": 0.0}, r"repetition_penalty: found 0\.0, expected above 0; 1 is none"),
        ({"presence_penalty": float("inf")}, "presence_penalty: found inf, expected a finite number"),
        ({"frequency_penalty": float("nan")}, "frequency_penalty: found nan"),
        ({"logit_bias": (Bias(7, float("-inf")),)}, "logit_bias: found -inf for token 7, expected a finite number"),
        ({"num_samples": 0}, "num_samples: found 0, expected at least 1"),
        ({"logprobs": -1}, "logprobs: found -1, expected how many alternatives to tell, 0 or more"),
        ({"prompt_logprobs": -2}, "prompt_logprobs: found -2"),
        ({"stop": ("a",), "constraint": Regex("a+")}, "they would end an answer before its constraint is fulfilled"),
        ({"stop_ids": (3,), "constraint": JsonSchema("{}")}, "leave out one of the two"),
    ],
)
def test_a_wrong_option_says_what_was_expected(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Sampling(**wrong)  # type: ignore[arg-type]


def test_a_recipe_with_everything_is_read_back_as_it_was_written() -> None:
    for constraint in (None, JsonSchema("{}"), Regex("a+"), Grammar("start: /a/")):
        whole = Sampling(
            temperature=0.5, top_k=3, logit_bias=(Bias(1, -2.0), Bias(5, 1.0)), logprobs=2, constraint=constraint
        )
        assert settings.parse(Sampling, settings.to_table(whole)) == whole
