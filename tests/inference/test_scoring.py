import pytest
import torch

from waman.errors import PromptError
from waman.inference import scoring
from waman.inference.llm import LLM
from waman.inference.scoring import Query, Score, score

CONTEXTS = ["def encode(self, o):", "The cat sat on", "", "import json\n" * 5 + "import json"]
OPTIONS = [" the mat", " return json.dumps(o)", " x", "\n    pass\n" * 3]


def _by_hand(llm: LLM, context: list[int], continuation: list[int]) -> Score:
    logs = torch.log_softmax(llm.logits([*context, *continuation]).double(), dim=-1)
    total, greedy = 0.0, True
    for place, token in enumerate(continuation, start=len(context) - 1):
        total += float(logs[place, token])
        greedy = greedy and int(logs[place].argmax()) == token
    return Score(total, greedy)


def test_scores_are_those_worked_out_from_the_logits(llm: LLM) -> None:
    pairs = [(context, option) for context in CONTEXTS for option in OPTIONS] + [("The dog", " ran past")]
    for (context, option), found in zip(pairs, llm.score(pairs), strict=True):
        shared = [1, *llm.tokenizer.encode(context)]
        whole = [1, *llm.tokenizer.encode(context + option)]
        assert whole[: len(shared)] == shared
        expected = _by_hand(llm, shared, whole[len(shared) :])
        assert found.log_likelihood == pytest.approx(expected.log_likelihood, abs=1e-4)
        assert found.is_greedy == expected.is_greedy


def test_the_models_own_greedy_choice_is_recognised(llm: LLM) -> None:
    ids = [1, *llm.tokenizer.encode("The cat")]
    start = len(ids)
    for _ in range(6):
        ids.append(int(llm.logits(ids)[-1].argmax()))
    wrong = [*ids[start:-1], (ids[-1] + 1) % 420]
    found = llm.score_tokens([(ids[:start], ids[start:]), (ids[:start], wrong), (ids[:start], ids[start:])])
    assert [one.is_greedy for one in found] == [True, False, True]
    assert found[0] == found[2]
    assert found[0].log_likelihood > found[1].log_likelihood


def test_a_shared_context_is_read_once(llm: LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    hidden = llm.decoder.hidden

    def counting(token_ids: torch.Tensor, **options: object) -> torch.Tensor:
        read.append(token_ids.numel())
        return hidden(token_ids, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(llm.decoder, "hidden", counting)
    context = (1, *range(10, 110))
    score(llm.decoder, [Query(context, (5, 6, 7)), Query(context, (8, 9)), Query(context, (5,)), Query(context, (9,))])
    assert read == [101, 4 * 2]


def test_batches_of_unequal_contexts_change_nothing(llm: LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.Generator().manual_seed(0)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(3, 420, (count,), generator=draw).tolist())

    contexts = [ids(1 + 7 * number) for number in range(20)]
    queries = [Query(context, ids(1 + (number + n) % 9)) for number, context in enumerate(contexts) for n in range(4)]
    queries += [Query(ids(1 + 11 * number), ids(13)) for number in range(10)]
    together = score(llm.decoder, queries)
    monkeypatch.setattr(scoring, "BATCH_TOKENS", 1)
    for one, other, query in zip(together, score(llm.decoder, queries), queries, strict=True):
        assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-4)
        expected = _by_hand(llm, list(query.context), list(query.continuation))
        assert one.log_likelihood == pytest.approx(expected.log_likelihood, abs=1e-4)


def test_continuations_may_fill_the_context_to_its_end(llm: LLM) -> None:
    full, short = tuple(range(3, 3 + 150)), tuple(range(3, 3 + 20))
    queries = [Query(full, tuple(range(200, 211))), Query(full, (7,)), Query(short, (8, 9)), Query(short, (5,) * 60)]
    for found, query in zip(score(llm.decoder, queries), queries, strict=True):
        sequence = [*query.context, *query.continuation]
        logs = torch.log_softmax(llm.logits(sequence[:-1]).double(), dim=-1)[len(query.context) - 1 :]
        expected = logs.gather(1, torch.tensor(query.continuation)[:, None]).sum()
        assert found.log_likelihood == pytest.approx(float(expected), abs=1e-4)


def test_a_token_across_the_border_is_scored_whole(llm: LLM) -> None:
    context, continuation = "The cat s", "elf"
    before, whole = llm.tokenizer.encode(context), llm.tokenizer.encode(context + continuation)
    same = len(before) - 1
    assert (before[:same], before[same] == whole[same]) == (whole[:same], False)
    expected = _by_hand(llm, [1, *whole[:same]], whole[same:])
    assert llm.score([(context, continuation)])[0].log_likelihood == pytest.approx(expected.log_likelihood, abs=1e-4)


def test_nothing_to_score_costs_nothing(llm: LLM) -> None:
    assert llm.score([("a", ""), ("", "")]) == [Score(0.0, True), Score(0.0, True)]
    assert llm.score([]) == []


def test_pairs_that_do_not_fit_are_refused_with_their_figures(llm: LLM) -> None:
    with pytest.raises(PromptError, match=r"pair 1 has 203 tokens \(202 of context\), the model sees 160"):
        llm.score([("a", "b"), ("1" * 200, " b")])
    with pytest.raises(PromptError, match="pair 0 has an empty context, and the model has no beginning token"):
        llm.score_tokens([([], [3])])


def test_logits_are_of_the_stated_shape_and_other_shapes_are_refused(llm: LLM) -> None:
    assert llm.logits([1, 5]).shape == (2, 420)
    assert llm.logits(torch.tensor([1, 5])).dtype == torch.float32
    with pytest.raises(PromptError, match=r"found token ids of shape \(1, 2\), expected \(time,\)"):
        llm.logits(torch.tensor([[1, 5]]))
    with pytest.raises(PromptError, match="161 tokens, but the model was made for 160"):
        llm.logits([1] * 161)
