import io
import json
import shutil
from pathlib import Path

import pytest

from tests.tokens import material
from waman.errors import InputError, PromptError
from waman.inference.about import About
from waman.inference.chat import chat
from waman.inference.generate import generate
from waman.inference.llm import LLM
from waman.inference.load import load
from waman.inference.recipe import Sampling
from waman.tokens import bpe
from waman.tokens.chat import Turn
from waman.tokens.tokenizer import own_tokenizer


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_generate_writes_the_completion_as_python_gives_it(folder: Path, llm: LLM) -> None:
    output = io.StringIO()
    text = generate(Sampling(max_tokens=20), model=folder, prompt="the cat", output=output)
    assert output.getvalue() == text + "\n"
    assert [text] == llm.generate(["the cat"], max_tokens=20)


def test_generate_reads_a_dash_from_the_input(folder: Path, llm: LLM) -> None:
    output = io.StringIO()
    generate(Sampling(max_tokens=20), model=folder, prompt="-", source=io.StringIO("the cat\n"), output=output)
    assert output.getvalue() == llm.generate(["the cat\n"], max_tokens=20)[0] + "\n"


def test_chat_opens_with_what_the_model_is_and_answers(copy: Path, llm: LLM) -> None:
    about = {"parameters": 1_234_567, "tokens": 45_000_000, "answers": "what functions do", "questions": ["A?", "B?"]}
    (copy / "about.json").write_text(json.dumps(about))
    output = io.StringIO()
    sampling = Sampling(max_tokens=10)
    turns = chat(sampling, model=copy, source=io.StringIO("the cat\n\n  why?  \n"), output=output)
    shown = output.getvalue().split("\n")
    assert shown[0] == "A language model of 1.23 million parameters, trained on 45 million tokens."
    assert shown[1:5] == ["It can answer: what functions do", "Try:", "  A?", "  B?"]
    first = llm.answer([[Turn("user", "the cat")]], sampling)[0]
    assert [turn.text for turn in turns[:3]] == ["the cat", first, "why?"]
    assert turns[3].text == llm.answer([turns[:3]], sampling)[0]
    assert f"> {first}\n> > {turns[3].text}\n" in output.getvalue()


def test_an_unknown_number_of_tokens_is_not_told(copy: Path) -> None:
    (copy / "about.json").write_text('{"parameters": 5000, "tokens": null, "answers": "nothing", "questions": []}')
    assert load(copy).about.lines() == ["A language model of 5,000 parameters.", "It can answer: nothing"]


def test_chat_without_about_counts_the_parameters(folder: Path, llm: LLM) -> None:
    count = sum(parameter.numel() for parameter in llm.decoder.parameters())
    output = io.StringIO()
    assert chat(Sampling(), model=folder, source=io.StringIO(""), output=output) == []
    assert output.getvalue().startswith(f"A language model of {count:,} parameters.\n")


def test_chat_begins_anew_and_ends_when_told(folder: Path) -> None:
    source = io.StringIO("the cat\n/new\nhello\n/quit\nnever read\n")
    turns = chat(Sampling(max_tokens=3), model=folder, source=source, output=io.StringIO())
    assert [turn.text for turn in turns if turn.role == "user"] == ["hello"]
    assert source.read() == "never read\n"


def _user_texts(turns: list[Turn]) -> list[str]:
    return [turn.text for turn in turns if turn.role == "user"]


def test_chat_forgets_the_oldest_turns_when_the_context_is_full_and_says_so_once(folder: Path, llm: LLM) -> None:
    """Each question takes 74 of 160 tokens, each answer up to 10: two questions never fit."""
    output = io.StringIO()
    questions = [digit * 70 for digit in "1234"]
    source = io.StringIO("\n".join([*questions, "/new", *questions[:2]]))
    turns = chat(Sampling(max_tokens=10), model=folder, source=source, output=output)
    assert _user_texts(turns) == [questions[1]]
    assert turns[1].text == llm.answer([[Turn("user", questions[1])]], Sampling(max_tokens=10))[0]
    # once before /new, once after
    told = "(the first turns are forgotten from here on: the model sees 160 tokens)\n"
    assert output.getvalue().count(told) == 2


def test_chat_keeps_the_turns_that_leave_room_for_an_answer(folder: Path, llm: LLM) -> None:
    """Questions of 40 tokens, answers of none to 30: as many of the last turns stay as leave 30 tokens free."""
    questions = [digit * 36 for digit in "12345"]
    turns = chat(Sampling(max_tokens=30), model=folder, source=io.StringIO("\n".join(questions)), output=io.StringIO())
    assert _user_texts(turns) == questions[-len(turns) // 2 :]
    assert 2 < len(turns) < 10
    assert llm.room(turns[:-1]) >= 30
    assert turns[-1].text == llm.answer([turns[:-1]], Sampling(max_tokens=30))[0]


def test_a_question_that_does_not_fit_is_refused_and_the_conversation_stays(folder: Path) -> None:
    output = io.StringIO()
    source = io.StringIO(f"the cat\n{'2' * 200}\n")
    turns = chat(Sampling(max_tokens=10), model=folder, source=source, output=output)
    assert _user_texts(turns) == ["the cat"]
    assert "(the conversation has 205 tokens, the model sees 160" in output.getvalue()
    assert "forgotten" not in output.getvalue()


def test_numbers_of_every_size_are_written_short() -> None:
    assert About(999).lines() == ["A language model of 999 parameters."]
    large = About(7_000_000_000, 1_400_000_000_000).lines()
    assert large == ["A language model of 7 billion parameters, trained on 1.4 trillion tokens."]


def test_a_damaged_about_is_refused(copy: Path) -> None:
    (copy / "about.json").write_text('{"parameters": 3}')
    with pytest.raises(InputError, match=r"about\.json: expected a table with parameters, tokens, answers"):
        load(copy)


def test_a_run_opens_its_final_weights(folder: Path, llm: LLM, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "run" / "final")
    assert load(tmp_path / "run").generate(["the"]) == llm.generate(["the"])


def test_a_tokenizer_from_another_model_is_refused(copy: Path) -> None:
    texts = [*material.sources(), material.PROSE]
    own_tokenizer(bpe.build(bpe.learn_pieces(texts, vocab_size=500, character_coverage=0.999))).save(copy)
    with pytest.raises(InputError, match="the tokenizer has 500 tokens, the model 420: it is the tokenizer of another"):
        load(copy)


def test_a_missing_directory_and_a_missing_tokenizer_are_told_apart(copy: Path) -> None:
    with pytest.raises(InputError, match="does not exist: expected a weights artifact or a Hugging Face directory"):
        load(copy / "nowhere")
    (copy / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="holds no tokenizer"):
        load(copy)


def test_several_end_tokens_are_taken_from_the_generation_config(copy: Path, llm: LLM) -> None:
    assert llm.end_ids == {2}
    (copy / "generation_config.json").write_text('{"eos_token_id": [2, 259]}')
    assert load(copy).end_ids == {2, 259}
    (copy / "generation_config.json").unlink()
    assert load(copy).end_ids == {2}


def test_a_model_without_our_chat_tokens_uses_its_template(copy: Path) -> None:
    _rename_chat_tokens(copy)
    template = (
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}[assistant]"
    )
    (copy / "chat_template.jinja").write_text(template)
    foreign = load(copy)
    request = foreign._chat_request([Turn("user", "hi")], Sampling())
    encode = foreign.tokenizer.encode
    assert request.token_ids == [1, *encode("[user] hi"), 2, *encode("[assistant]")]
    (copy / "chat_template.jinja").write_text("{{ raise_exception('only one turn') }}")
    with pytest.raises(PromptError, match="template refuses this conversation: only one turn"):
        load(copy).answer([[Turn("user", "hi")]])
    (copy / "chat_template.jinja").write_text("{% nonsense %}")
    with pytest.raises(PromptError, match="template cannot render this conversation"):
        load(copy).answer([[Turn("user", "hi")]])


def test_a_model_without_any_chat_form_is_refused_before_the_first_question(copy: Path) -> None:
    _rename_chat_tokens(copy)
    (copy / "chat_template.jinja").unlink()
    with pytest.raises(PromptError, match="the model has no chat form: it was not tuned to answer; use generate"):
        chat(Sampling(), model=copy, source=io.StringIO("hi\n"), output=io.StringIO())


def _rename_chat_tokens(folder: Path) -> None:
    path = folder / "tokenizer.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("<|user|>", "<|u|>").replace("<|assistant|>", "<|a|>"), encoding="utf-8")
