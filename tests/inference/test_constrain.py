"""A constrained answer is of the form that was asked for, or it is said not to be."""

import builtins
import json
import random
import re
from typing import Any

import pytest
import torch

from tests.inference.reference import HashRunner
from tests.inference.schedules import serve
from waman.errors import ExtraError, PromptError, RecipeError
from waman.inference.constrain import KEPT, Constrainer, Matcher
from waman.inference.engine import Engine, Limits
from waman.inference.generation import Completion, Request
from waman.inference.llm import LLM
from waman.inference.recipe import Bias, Constraint, Grammar, JsonSchema, Regex, Sampling
from waman.tokens.chat import Turn

END = frozenset({2, 259})
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}


@pytest.fixture
def constrainer(llm: LLM) -> Constrainer:
    return Constrainer(llm.tokenizer, vocab_size=430)


def written(llm: LLM, constraint: Constraint, seed: int, *, max_tokens: int = 60, **options: Any) -> Completion:
    """By a model of random logits."""
    runner = HashRunner(num_pages=40, page_tokens=4, vocab_size=430)
    engine = Engine(runner, llm.tokenizer, Limits(context_length=120, vocab_size=430, page_bytes=1))
    sampling = Sampling(max_tokens=max_tokens, temperature=1.0, seed=seed, constraint=constraint, **options)
    (served,) = serve(engine, [Request([1, seed], sampling, END, begins_text=True)], random.Random(0), cancel_share=0)
    return served.completions[0]


@pytest.mark.parametrize("pattern", ["(ab|cd)[0-9]{2,5}", "[가-힣]{3}!?", " ?x*y", "[0-9]+[.][0-9]+"])
def test_an_answer_matches_its_regular_expression(llm: LLM, pattern: str) -> None:
    whole = 0
    for seed in range(30):
        found = written(llm, Regex(pattern), seed)
        whole += found.is_whole
        assert found.finish in ("end", "length")
        assert (re.fullmatch(pattern, found.text) is not None) or not found.is_whole
    assert whole > 15


def test_an_answer_is_json_of_its_schema(llm: LLM) -> None:
    whole = 0
    for seed in range(30):
        found = written(llm, JsonSchema(json.dumps(SCHEMA)), seed)
        if found.is_whole:
            whole += 1
            table = json.loads(found.text)
            assert set(table) == {"name", "age"}
            assert len(table["name"]) <= 8
            assert 0 <= table["age"] <= 150
    assert whole > 15


def test_json_may_be_laid_out_but_not_be_white_space_for_ever(constrainer: Constrainer, llm: LLM) -> None:
    def fits(text: str) -> bool:
        matcher = constrainer.compile(JsonSchema('{"x-guidance": {"lenient": true}}'), end_ids=END)
        byte = {spelt: index for index, spelt in reversed(list(enumerate(llm.tokenizer.token_bytes)))}
        return all(matcher.take(byte[bytes([one])]) for one in text.encode()) and matcher.may_end

    for text in ('{"a":[1,2]}', '{"a": [1, 2]}', json.dumps({"a": [{"b": 1}, "안녕"]}, indent=4, ensure_ascii=False)):
        assert fits(text)
    assert not fits('{"a":' + " " * 17 + "1}")
    assert not fits('{"a":\n\n1}')
    with pytest.raises(RecipeError, match="Unimplemented keys"):
        constrainer.compile(JsonSchema('{"type": "string", "not": {}, "x-guidance": {"lenient": true}}'), end_ids=END)


def test_an_answer_is_a_sentence_of_its_grammar(llm: LLM) -> None:
    grammar = Grammar('start: sum\nsum: NUMBER | "(" sum "+" sum ")"\nNUMBER: /[0-9]/')
    texts = [one.text for one in (written(llm, grammar, seed) for seed in range(30)) if one.is_whole]
    assert len(set(texts)) > 5
    for text in texts:
        while (shorter := re.sub(r"\(\d\+\d\)", "1", text)) != text:
            text = shorter
        assert re.fullmatch(r"\d", text)


def test_an_answer_that_is_cut_off_is_said_to_be(llm: LLM) -> None:
    found = written(llm, Regex("[a-z]{30}"), 0, max_tokens=5)
    assert (found.finish, found.is_whole, len(found.token_ids)) == ("length", False, 5)
    with pytest.raises(PromptError, match="the answer was cut off after 5 tokens, before its constraint was fulfilled"):
        llm.answer([[Turn("user", "hi")]], Sampling(max_tokens=5, constraint=Regex("[a-z]{30}")))
    with pytest.raises(PromptError, match="was cut off after 5 tokens"):
        list(llm.stream("hi", Sampling(max_tokens=5, constraint=Regex("[a-z]{30}"))))


def test_it_ends_with_the_last_token_that_can_follow(llm: LLM) -> None:
    """No end token has to be drawn where nothing else is left: max_tokens is enough for the text alone."""
    found = written(llm, Regex("ab"), 0, max_tokens=2)
    assert (found.text, found.finish) == ("ab", "end")


def test_biases_and_greed_do_not_get_past_a_constraint(llm: LLM) -> None:
    biases = tuple(Bias(token_id, 100.0) for token_id in (2, 50, 300))
    for seed in range(10):
        found = written(llm, Regex("[0-9]{4}"), seed, logit_bias=biases)
        assert re.fullmatch("[0-9]{4}", found.text)
    (answer,) = llm.answer([[Turn("user", "hi")]], Sampling(constraint=Regex("[xyz]{7}")))
    assert re.fullmatch("[xyz]{7}", answer)


def test_a_token_is_allowed_only_where_the_text_can_still_be_finished(constrainer: Constrainer, llm: LLM) -> None:
    """Against Python's own expressions: all texts of the language are known."""
    language, reached = {"ab", "abc", "xyz", "x\n "}, set()
    matcher = constrainer.compile(Regex("ab|abc|xyz|x\\n "), end_ids=END)
    spelt = llm.tokenizer.token_bytes

    def walk(matcher: Matcher, so_far: str) -> None:
        allowed = set(matcher.allowed().nonzero()[:, 0].tolist())
        assert bool(allowed & END) == matcher.may_end == (so_far in language)
        if matcher.may_end:
            reached.add(so_far)
        fitting = {
            index
            for index, data in enumerate(spelt)
            if data and any(one.startswith(so_far + data.decode(errors="replace")) for one in language)
        }
        assert allowed - END <= fitting
        for token_id in allowed - END:
            further = matcher.fork()
            assert further.take(token_id)
            text = so_far + spelt[token_id].decode()
            if further.must_end:
                reached.add(text)
            else:
                walk(further, text)

    walk(matcher, "")
    assert reached == language


def test_a_forbidden_token_is_not_taken(constrainer: Constrainer) -> None:
    matcher = constrainer.compile(Regex("a"), end_ids=END)
    assert not matcher.take(3)
    assert "doesn't satisfy the grammar" in matcher.problem


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        (Regex("(ab"), r"regex: cannot be enforced as it is written: .*unclosed group"),
        (Regex("a(?=b)"), r"regex: cannot be enforced as it is written: .*look-around"),
        (Grammar("start: foo"), r'grammar: cannot be enforced as it is written: .*unknown name: "foo"'),
        (JsonSchema("{"), r"json_schema: found '\{', expected a JSON schema: Expecting"),
        (JsonSchema("3"), r"json_schema: found '3', expected a JSON schema: an object, such as \{\}"),
        (JsonSchema('{"type": "strin"}'), r"json_schema: cannot be enforced as it is written: Invalid type: strin"),
        (JsonSchema('{"type": "string", "not": {}}'), r"json_schema: cannot be enforced .*Unimplemented keys"),
    ],
)
def test_what_cannot_be_enforced_is_refused(constrainer: Constrainer, constraint: Constraint, message: str) -> None:
    with pytest.raises(RecipeError, match=re.compile(message, re.DOTALL)):
        constrainer.compile(constraint, end_ids=END)


def test_a_model_that_cannot_end_or_spell_an_answer_is_refused(constrainer: Constrainer) -> None:
    with pytest.raises(RecipeError, match="the model has no token that ends an answer"):
        constrainer.compile(Regex("a"), end_ids=frozenset())

    class Letters:
        token_bytes = (b"", b"", b"", b"a", b"b")

        def encode(self, text: str) -> list[int]:
            return [3 if letter == "a" else 4 for letter in text]

    with pytest.raises(RecipeError, match="regex: the model's tokens can spell no answer that fits it"):
        Constrainer(Letters(), vocab_size=5).compile(Regex("c+"), end_ids=frozenset({2}))


def test_without_the_package_the_extra_is_named(constrainer: Constrainer, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *given: Any, **named: Any) -> Any:
        if name == "llguidance":
            raise ImportError(name)
        return real(name, *given, **named)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ExtraError, match=r"need the package llguidance.*pip install 'waman\[constrain\]'"):
        constrainer.compile(Regex("a"), end_ids=END)


def test_constraints_stay_compiled_but_not_for_ever(constrainer: Constrainer) -> None:
    first = constrainer.compile(Regex("a"), end_ids=END)
    first.take(next(iter(first.allowed().nonzero()[:, 0].tolist())))
    again = constrainer.compile(Regex("a"), end_ids=END)
    assert not again.may_end, "a matcher is at its beginning, whatever became of another"
    for number in range(3 * KEPT):
        constrainer.compile(Regex("a" * number + "b"), end_ids=END)
    assert len(constrainer._compiled) == KEPT


def test_the_models_tokens_beyond_the_tokenizers_are_forbidden(constrainer: Constrainer) -> None:
    allowed = constrainer.compile(Regex("(?s:.*)"), end_ids=END).allowed()
    assert allowed.shape == (430,)
    assert not bool(allowed[420:].any())
    assert torch.equal(allowed[[0, 1, 2, 259, 260]], torch.tensor([False, False, True, True, False]))
