"""A model with its tokenizer: completes, chats and scores."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from waman.errors import PromptError
from waman.inference.about import About
from waman.inference.foreign_chat import render_foreign_prompt
from waman.inference.generation import Request, complete, stream
from waman.inference.recipe import Sampling
from waman.inference.scoring import Query, Score, score
from waman.model.decoder import Decoder
from waman.tokens.bpe import ASSISTANT, USER
from waman.tokens.chat import Turn, render_prompt
from waman.tokens.tokenizer import Tokenizer


class LLM:
    """What `waman.load` gives. Texts are encoded with special tokens off: a prompt cannot forge them."""

    def __init__(self, decoder: Decoder, tokenizer: Tokenizer, *, end_ids: frozenset[int], about: About) -> None:
        self.decoder = decoder.eval()
        self.tokenizer = tokenizer
        self.end_ids = end_ids
        """Tokens that end a completion."""
        self.about = about
        self._own_chat_form = {USER, ASSISTANT} <= tokenizer.special_ids.keys()
        self._first_ids = [tokenizer.bos_id] if tokenizer.begins_with_bos else []

    @property
    def context_length(self) -> int:
        """Tokens that the model can see at once, prompt and completion together."""
        return self.decoder.config.context_length

    def generate(
        self,
        prompts: Sequence[str],
        *,
        max_tokens: int = 64,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        stop: Sequence[str] = (),
    ) -> list[str]:
        """The completion of each prompt, without the prompt. Every prompt draws from its own generator.

        Raises PromptError where a prompt does not fit, RecipeError where an option is out of range.
        """
        sampling = Sampling(max_tokens, temperature, top_p, seed, tuple(stop))
        if isinstance(prompts, str):
            raise PromptError("found one text, expected a list of prompts: write [prompt]")
        requests = [self._request(prompt, sampling, name=f"prompt {n}") for n, prompt in enumerate(prompts)]
        return complete(self.decoder, self.tokenizer, requests)

    def stream(self, prompt: str, sampling: Sampling | None = None) -> Iterator[str]:
        """The completion of a prompt, piece by piece: together what `generate` gives.

        A piece is whole characters; a stop string, or its beginning, is never shown. Raises PromptError at once.
        """
        request = self._request(prompt, sampling or Sampling(), name="the prompt")
        return (text for _, text in stream(self.decoder, self.tokenizer, [request]))

    def chat(
        self,
        texts: Sequence[str],
        *,
        max_tokens: int = 64,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        stop: Sequence[str] = (),
    ) -> str:
        """The answer to a conversation given as texts: the user's, the assistant's, the user's, ..."""
        turns = [Turn("assistant" if number % 2 else "user", text) for number, text in enumerate(texts)]
        if isinstance(texts, str):
            raise PromptError("found one text, expected a list of turns: write [question]")
        return self.answer([turns], Sampling(max_tokens, temperature, top_p, seed, tuple(stop)))[0]

    def answer(self, conversations: Sequence[Sequence[Turn]], sampling: Sampling | None = None) -> list[str]:
        """The assistant's answer to each conversation, whose last turn is the user's."""
        requests = [self._chat_request(turns, sampling or Sampling()) for turns in conversations]
        return complete(self.decoder, self.tokenizer, requests)

    def chat_stream(self, turns: Sequence[Turn], sampling: Sampling | None = None) -> Iterator[str]:
        """The answer to a conversation, piece by piece. Raises PromptError at once where it does not fit."""
        request = self._chat_request(turns, sampling or Sampling())
        return (text for _, text in stream(self.decoder, self.tokenizer, [request]))

    def room(self, turns: Sequence[Turn]) -> int:
        """Tokens that are left for the answer to a conversation; under 1 it does not fit."""
        return self.context_length - len(self._render_prompt(turns))

    def require_chat_form(self) -> None:
        """Raises PromptError where the model was not made to chat."""
        if not self._own_chat_form and self.tokenizer.chat_template is None:
            raise PromptError("the model has no chat form: it was not tuned to answer; use generate")

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[Score]:
        """For each (context, continuation) the continuation's log-likelihood in nats and whether it is greedy.

        The two are encoded together, as they would be in a text; scored is every token from the first that is not
        the context's own. Equal contexts are read once. Raises PromptError where a pair does not fit.
        """
        wholes = self.tokenizer.encode_batch([context + continuation for context, continuation in pairs])
        contexts = self._encode_contexts([context for context, _ in pairs])
        queries = []
        for number, (context, whole) in enumerate(zip(contexts, wholes, strict=True)):
            same = next((n for n, two in enumerate(zip(context, whole, strict=False)) if two[0] != two[1]), None)
            shared = min(len(context), len(whole)) if same is None else same
            queries.append(Query((*self._first_ids, *whole[:shared]), tuple(whole[shared:])))
            self._check_query(queries[-1], name=f"pair {number}")
        return score(self.decoder, queries)

    def score_tokens(self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[Score]:
        """The same for token ids, taken as they are: a context needs its beginning token."""
        queries = [Query(tuple(context), tuple(continuation)) for context, continuation in pairs]
        for number, query in enumerate(queries):
            self._check_query(query, name=f"pair {number}")
        return score(self.decoder, queries)

    @torch.inference_mode()
    def logits(self, token_ids: Sequence[int] | Tensor) -> Tensor:
        """(time,) -> (time, vocab_size), float32. Raises PromptError beyond the context length."""
        ids = torch.as_tensor(token_ids, dtype=torch.long, device=self.decoder.embedding.weight.device)
        if ids.ndim != 1 or not len(ids):
            raise PromptError(f"found token ids of shape {tuple(ids.shape)}, expected (time,), at least one")
        found: Tensor = self.decoder(ids[None])[0]
        return found.float()

    def _request(self, prompt: str, sampling: Sampling, *, name: str) -> Request:
        token_ids = [*self._first_ids, *self.tokenizer.encode(prompt)]
        return self._fitting(token_ids, sampling, name=name, end_ids=self.end_ids, begins_text=False)

    def _chat_request(self, turns: Sequence[Turn], sampling: Sampling) -> Request:
        token_ids, end_ids = self._render_prompt(turns), self.end_ids
        if self._own_chat_form:
            end_ids |= {self.tokenizer.special_ids[name] for name in (USER, ASSISTANT)}
        return self._fitting(token_ids, sampling, name="the conversation", end_ids=end_ids, begins_text=True)

    def _render_prompt(self, turns: Sequence[Turn]) -> list[int]:
        self.require_chat_form()
        render = render_prompt if self._own_chat_form else render_foreign_prompt
        return render(self.tokenizer, turns)

    def _fitting(
        self, token_ids: list[int], sampling: Sampling, *, name: str, end_ids: frozenset[int], begins_text: bool
    ) -> Request:
        if not token_ids:
            raise PromptError(f"{name} is empty, and the model has no beginning token: give it a text")
        if len(token_ids) >= self.context_length:
            raise PromptError(
                f"{name} has {len(token_ids)} tokens, the model sees {self.context_length} at once and needs room for "
                f"an answer: shorten it to at most {self.context_length - 1}"
            )
        return Request(token_ids, sampling, end_ids, begins_text)

    def _encode_contexts(self, contexts: Sequence[str]) -> list[list[int]]:
        """Encodes each different context once."""
        different = list(dict.fromkeys(contexts))
        known = dict(zip(different, self.tokenizer.encode_batch(different), strict=True))
        return [known[context] for context in contexts]

    def _check_query(self, query: Query, *, name: str) -> None:
        if not query.context:
            raise PromptError(f"{name} has an empty context, and the model has no beginning token: give it a context")
        tokens = len(query.context) + len(query.continuation)
        if tokens - 1 > self.context_length:
            raise PromptError(
                f"{name} has {tokens} tokens ({len(query.context)} of context), the model sees {self.context_length} "
                f"at once: shorten it to at most {self.context_length + 1}"
            )
