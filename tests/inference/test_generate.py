"""The command `generate`: its options, and the samples that come with the package."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.inference.test_torch_runner import adapter_for
from waman.cli.main import build_app
from waman.errors import InputError, RecipeError, WamanError
from waman.inference.generate import SAMPLES, generate, read_sample, show_sample
from waman.inference.llm import LLM
from waman.inference.recipe import Bias, JsonSchema, Regex, SampleRecipe, Sampling
from waman.tokens.chat import Turn
from waman.weights.adapters import write_adapter

NAMES = ("code", "dialogue", "mail", "shell")


def run(*arguments: str) -> str:
    result = CliRunner().invoke(build_app(), ["generate", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_options_by_name_are_those_of_the_recipe(folder: Path, llm: LLM) -> None:
    options = ["--max-tokens", "20", "--temperature", "1.2", "--top-k", "9", "--min-p", "0.01", "--seed", "5"]
    found = run(str(folder), "the cat", *options, "--repetition-penalty", "1.2", "--set", "presence_penalty=0.5")
    sampling = Sampling(20, 1.2, 0.95, 5, (), 9, 0.01, 1.2, presence_penalty=0.5)
    assert found == llm.complete(["the cat"], sampling)[0][0].text + "\n"


def test_without_options_a_little_is_drawn(folder: Path, llm: LLM) -> None:
    expected = llm.complete(["the cat"], Sampling(max_tokens=128, temperature=0.8, top_p=0.95))[0][0].text
    assert run(str(folder), "the cat") == expected + "\n"


def test_biases_are_set_as_a_list_of_tables(folder: Path, llm: LLM) -> None:
    found = run(
        str(folder),
        "a",
        "--max-tokens",
        "4",
        "--temperature",
        "0",
        "--set",
        "logit_bias=[{token_id = 70, added = 99.0}]",
    )
    assert found == llm.complete(["a"], Sampling(max_tokens=4, logit_bias=(Bias(70, 99.0),)))[0][0].text + "\n"


def test_as_data_all_is_told(folder: Path, llm: LLM) -> None:
    told = json.loads(
        run(str(folder), "the cat", "--json", "--logprobs", "1", "--num-samples", "2", "--max-tokens", "6")
    )
    sampling = Sampling(max_tokens=6, temperature=0.8, top_p=0.95, num_samples=2, logprobs=1)
    (expected,) = llm.complete(["the cat"], sampling)
    assert [one["text"] for one in told] == [one.text for one in expected]
    assert [one["finish"] for one in told] == [one.finish for one in expected]
    assert [one["is_whole"] for one in told] == [one.is_whole for one in expected]
    first = expected[0].logprobs
    assert first is not None
    assert told[0]["logprobs"][0]["token_id"] == first[0].token_id
    assert told[0]["logprobs"][0]["log_probability"] == first[0].log_probability


def test_several_samples_stand_under_their_numbers(folder: Path, llm: LLM) -> None:
    (expected,) = llm.complete(["the cat"], Sampling(max_tokens=6, temperature=0.8, top_p=0.95, num_samples=2))
    found = run(str(folder), "the cat", "--num-samples", "2", "--max-tokens", "6")
    assert found == f"== 0 ==\n{expected[0].text}\n== 1 ==\n{expected[1].text}\n"


@pytest.mark.parametrize("inline", [False, True])
def test_constraints_come_from_files_or_the_line(folder: Path, tmp_path: Path, inline: bool) -> None:
    schema = '{"enum": ["red", "green"]}'
    (tmp_path / "schema.json").write_text(schema)
    (tmp_path / "grammar.lark").write_text('start: "yes" | "no"')
    given = schema if inline else str(tmp_path / "schema.json")
    assert json.loads(run(str(folder), "the cat", "--json-schema", given)) in ("red", "green")
    assert run(str(folder), "the cat", "--grammar", str(tmp_path / "grammar.lark")) in ("yes\n", "no\n")
    assert run(str(folder), "the cat", "--regex", "[0-9]{3}").strip().isdigit()


def test_an_answer_that_was_cut_off_is_an_error_on_the_command_line_too(folder: Path) -> None:
    with pytest.raises(WamanError, match="the answer was cut off after 3 tokens, before its constraint was fulfilled"):
        run(str(folder), "a", "--regex", "[a-z]{30}", "--max-tokens", "3")
    found = run(str(folder), "a", "--regex", "[a-z]{30}", "--max-tokens", "3", "--num-samples", "2")
    assert found.count("(cut off before its constraint was fulfilled)") == 2


def test_an_adapter_is_taken_along(folder: Path, llm: LLM, tmp_path: Path) -> None:
    write_adapter(adapter_for(llm.decoder, seed=3), tmp_path)
    found = run(str(folder), "the cat", "--adapter", str(tmp_path), "--temperature", "0", "--max-tokens", "9")
    expected = llm.complete(["the cat"], Sampling(max_tokens=9), adapter=llm.add_adapter(tmp_path))[0][0].text
    assert found == expected + "\n"
    assert found != run(str(folder), "the cat", "--temperature", "0", "--max-tokens", "9")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ([], InputError, "found neither a prompt and --sample; give one"),
        (["a", "--sample", "mail"], InputError, "found both a prompt and --sample; give one"),
        (["--sample", "mail", "--json"], InputError, "--sample shows texts: leave out --json"),
        (["--sample", "poem"], InputError, "sample: found 'poem', expected one of code, dialogue, mail, shell, or"),
        (["a", "--regex", "a", "--json-schema", "{}"], InputError, "an answer has one form; give one of them"),
        (["a", "--grammar", "nowhere.lark"], InputError, "nowhere.lark cannot be read"),
        (["a", "--logprobs", "2"], InputError, "log-probabilities are told as data: give --json as well"),
        (["a", "--temperature", "-1"], RecipeError, r"temperature: found -1\.0, expected 0 or more"),
        (["a", "--set", "top_j=3"], RecipeError, "top_j"),
        (["--sample", "mail", "--num-samples", "2"], RecipeError, "one text cannot hold them"),
    ],
)
def test_what_cannot_be_meant_is_refused(folder: Path, arguments: list[str], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        run(str(folder), *arguments)


def test_the_samples_are_there_and_say_how_they_are_run() -> None:
    assert sorted(path.stem for path in SAMPLES.glob("*.toml")) == sorted(NAMES)
    for name in NAMES:
        recipe = read_sample(name)
        assert len(recipe.prompts) == 3
        first = (SAMPLES / f"{name}.toml").read_text().splitlines()
        assert first[0] == f"# waman generate DIR --sample {name}"
        assert first[2].startswith("# Expected: ")
        assert all(prompt.text.strip() and prompt.title for prompt in recipe.prompts)


def test_a_model_that_chats_is_asked_where_a_conversation_fits(folder: Path, llm: LLM, monkeypatch: Any) -> None:
    output = io.StringIO()
    found = show_sample("mail", model=folder, change=lambda usual: few(usual, 160), output=output)
    assert output.getvalue() == found
    prompt = read_sample("mail").prompts[0]
    (answer,) = llm.answer([[Turn("user", prompt.question or "")]], few(read_sample("mail").sampling, 160))
    assert found.startswith(f"== {prompt.title} ==\n> {prompt.question}\n{answer}\n\n== ")
    shell = show_sample("shell", model=folder, change=lambda usual: few(usual, 5), output=io.StringIO())
    prompt = read_sample("shell").prompts[2]
    assert prompt.question is None
    assert "(the prompt has 172 tokens, the model sees 160 at once" in shell, "it goes on with what fits"
    text = llm.complete([prompt.text], few(read_sample("shell").sampling, 5))[0][0].text
    assert shell.endswith(f"== {prompt.title} ==\n{prompt.text}{text}\n")


def few(usual: Sampling, max_tokens: int) -> Sampling:
    return Sampling(max_tokens=max_tokens, temperature=usual.temperature, top_p=usual.top_p)


def test_a_sample_of_ones_own_and_options_beside_it(folder: Path, llm: LLM, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[[prompts]]\ntitle = "Mine"\ntext = "the cat"\n[sampling]\nmax_tokens = 90\nseed = 3\n')
    (expected,) = llm.generate(["the cat"], max_tokens=7, temperature=0.0, seed=3)
    assert run(str(folder), "--sample", str(own), "--max-tokens", "7") == f"== Mine ==\nthe cat{expected}\n"


def test_a_sample_without_prompts_is_refused() -> None:
    with pytest.raises(RecipeError, match="prompts: found none, expected at least one with a title and a text"):
        SampleRecipe()


def test_python_takes_the_same_as_the_command_line(folder: Path) -> None:
    with pytest.raises(InputError, match="give --json as well"):
        generate(Sampling(prompt_logprobs=0), model=folder, prompt="a", output=io.StringIO())
    output = io.StringIO()
    text = generate(Sampling(constraint=Regex("[ab]{5}")), model=folder, prompt="a", output=output)
    assert output.getvalue() == text + "\n"
    assert set(text) <= {"a", "b"}
    found = generate(Sampling(constraint=JsonSchema('{"const": 3}')), model=folder, prompt="a", output=io.StringIO())
    assert found == "3"
