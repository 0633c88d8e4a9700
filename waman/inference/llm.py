"""A model with its tokenizer: completes, chats and scores."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from waman.errors import PromptError, RecipeError
from waman.inference.about import About
from waman.inference.collect import Collector
from waman.inference.engine import Engine, Limits
from waman.inference.foreign_chat import render_foreign_prompt
from waman.inference.generation import Completion, Request
from waman.inference.memory import free_bytes, pages_for
from waman.inference.recipe import Sampling
from waman.inference.runner import PAGE_TOKENS, Runner, page_bytes
from waman.inference.runner_choice import build_runner, usual_kv_bits
from waman.inference.scoring import Query, Score, score
from waman.model.config import require_vocab_size
from waman.model.decoder import Decoder
from waman.tokens.bpe import ASSISTANT, USER
from waman.tokens.chat import Turn, render_prompt
from waman.tokens.tokenizer import Tokenizer
from waman.weights.adapters import read_adapter

MAX_ROWS = 64


class LLM:
    """What `waman.load` gives. Texts are encoded with special tokens off: a prompt cannot forge them.

    All that is asked for at a time shares the passes of one engine. One thread at a time may use it.
    """

    def __init__(
        self,
        decoder: Decoder,
        tokenizer: Tokenizer,
        *,
        end_ids: frozenset[int],
        about: About,
        cache_bytes: int | None = None,
        kv_bits: int | None = None,
        deterministic: bool = False,
    ) -> None:
        """cache_bytes: for keys and values; absent: what some full contexts need, at most half of what is free.

        kv_bits: of a number in the cache; absent: of the type that the decoder computes in. deterministic: an answer
        is the same to the bit alone and in any batch; slower. The cache is made when first needed.
        """
        self.decoder = decoder.eval()
        self.tokenizer = tokenizer
        self.end_ids = end_ids
        """Tokens that end a completion."""
        self.about = about
        self._own_chat_form = {USER, ASSISTANT} <= tokenizer.special_ids.keys()
        self._first_ids = [tokenizer.bos_id] if tokenizer.begins_with_bos else []
        self._cache_bytes, self._kv_bits, self._deterministic = cache_bytes, kv_bits, deterministic
        self._adapters: set[int] = set()
        self._runner: Runner | None = None
        self._collector: Collector | None = None

    @property
    def context_length(self) -> int:
        """Tokens that the model can see at once, prompt and completion together."""
        return self.decoder.config.context_length

    @property
    def engine(self) -> Engine:
        """What computes answers: for those who submit, step and cancel themselves."""
        return self._collect().engine

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
        return [samples[0].text for samples in self.complete(prompts, sampling)]

    def complete(
        self, prompts: Sequence[str], sampling: Sampling | None = None, *, adapter: int | None = None
    ) -> list[list[Completion]]:
        """The samples of each prompt, with why they ended and the log-probabilities that were asked for.

        adapter: what `add_adapter` gave. Errors as in `generate`.
        """
        if isinstance(prompts, str):
            raise PromptError("found one text, expected a list of prompts: write [prompt]")
        sampling = sampling or Sampling()
        return self._collect().complete(
            [self._request(one, sampling, name=f"prompt {n}", adapter=adapter) for n, one in enumerate(prompts)]
        )

    def stream(self, prompt: str, sampling: Sampling | None = None, *, adapter: int | None = None) -> Iterator[str]:
        """The completion of a prompt, piece by piece: together what `generate` gives.

        A piece is whole characters; a stop string, or its beginning, is never shown. Who stops reading cancels it.
        Raises PromptError at once where it does not fit, and at the end where a constrained answer is not whole.
        """
        return self._stream(self._request(prompt, sampling or Sampling(), name="the prompt", adapter=adapter))

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

    def answer(
        self, conversations: Sequence[Sequence[Turn]], sampling: Sampling | None = None, *, adapter: int | None = None
    ) -> list[str]:
        """The assistant's answer to each conversation, whose last turn is the user's.

        Raises PromptError where a conversation does not fit, or a constrained answer is not whole.
        """
        sampling = sampling or Sampling()
        _require_text_alone(sampling)
        found = [samples[0] for samples in self.complete_chats(conversations, sampling, adapter=adapter)]
        for completion in found:
            _require_whole(completion, sampling)
        return [completion.text for completion in found]

    def complete_chats(
        self, conversations: Sequence[Sequence[Turn]], sampling: Sampling | None = None, *, adapter: int | None = None
    ) -> list[list[Completion]]:
        """As `complete`, for conversations whose last turn is the user's."""
        sampling = sampling or Sampling()
        return self._collect().complete(
            [self._chat_request(turns, sampling, adapter=adapter) for turns in conversations]
        )

    def chat_stream(
        self, turns: Sequence[Turn], sampling: Sampling | None = None, *, adapter: int | None = None
    ) -> Iterator[str]:
        """The answer to a conversation, piece by piece. Raises as `stream` does."""
        return self._stream(self._chat_request(turns, sampling or Sampling(), adapter=adapter))

    def add_adapter(self, folder: Path | str) -> int:
        """Makes a PEFT directory's LoRA ready beside the model's own weights; its number, for `adapter`.

        Raises InputError for anything but plain LoRA, or one that does not fit the model.
        """
        self._collect()
        assert self._runner is not None
        number = self._runner.add_adapter(read_adapter(Path(folder)))
        self._adapters.add(number)
        return number

    def room(self, turns: Sequence[Turn]) -> int:
        """Tokens that are left for the answer to a conversation; under 1 it does not fit."""
        return self.context_length - len(self._render_prompt(turns))

    @property
    def chats(self) -> bool:
        """Whether the model has a chat form."""
        return self._own_chat_form or self.tokenizer.chat_template is not None

    def require_chat_form(self) -> None:
        """Raises PromptError where the model was not made to chat."""
        if not self.chats:
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

    def _request(self, prompt: str, sampling: Sampling, *, name: str, adapter: int | None = None) -> Request:
        self._require_added(adapter)
        token_ids = [*self._first_ids, *self.tokenizer.encode(prompt)]
        if not token_ids:
            raise PromptError(f"{name} is empty, and the model has no beginning token: give it a text")
        return Request(token_ids, sampling, self.end_ids, begins_text=False, adapter=adapter, name=name)

    def _chat_request(self, turns: Sequence[Turn], sampling: Sampling, *, adapter: int | None = None) -> Request:
        self._require_added(adapter)
        token_ids, end_ids = self._render_prompt(turns), self.end_ids
        if self._own_chat_form:
            end_ids |= {self.tokenizer.special_ids[name] for name in (USER, ASSISTANT)}
        return Request(token_ids, sampling, end_ids, begins_text=True, adapter=adapter, name="the conversation")

    def _require_added(self, adapter: int | None) -> None:
        if adapter is not None and adapter not in self._adapters:
            raise RecipeError(f"adapter: found {adapter}, expected a number that add_adapter gave")

    def _stream(self, request: Request) -> Iterator[str]:
        """What is wrong is said at once; what costs memory begins with the first piece."""
        _require_text_alone(request.sampling)
        self._collect().engine.check(request)
        return self._pieces(request)

    def _pieces(self, request: Request) -> Iterator[str]:
        for event in self._collect().stream(request):
            if event.text:
                yield event.text
            if event.completion is not None:
                _require_whole(event.completion, request.sampling)

    def _collect(self) -> Collector:
        if self._collector is None:
            config = self.decoder.config
            kv_bits = usual_kv_bits(self.decoder) if self._kv_bits is None else self._kv_bits
            free = free_bytes(next(self.decoder.blocks.parameters()).device)
            num_pages = pages_for(config, kv_bits=kv_bits, cache_bytes=self._cache_bytes, free=free, max_rows=MAX_ROWS)
            self._runner = build_runner(
                self.decoder, num_pages=num_pages, kv_bits=kv_bits, deterministic=self._deterministic
            )
            limits = Limits(
                context_length=config.context_length,
                vocab_size=require_vocab_size(config),
                page_bytes=page_bytes(config, page_tokens=PAGE_TOKENS, kv_bits=kv_bits),
                max_rows=MAX_ROWS,
            )
            self._collector = Collector(Engine(self._runner, self.tokenizer, limits))
        return self._collector

    def _render_prompt(self, turns: Sequence[Turn]) -> list[int]:
        self.require_chat_form()
        render = render_prompt if self._own_chat_form else render_foreign_prompt
        return render(self.tokenizer, turns)

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


def _require_text_alone(sampling: Sampling) -> None:
    if sampling.num_samples > 1 or sampling.logprobs is not None or sampling.prompt_logprobs is not None:
        raise RecipeError("num_samples, logprobs, prompt_logprobs: one text cannot hold them; use complete")


def _require_whole(completion: Completion, sampling: Sampling) -> None:
    if sampling.constraint is None and completion.finish != "failed":
        return
    if completion.finish == "length":
        raise PromptError(
            f"the answer was cut off after {len(completion.token_ids)} tokens, before its constraint was fulfilled: "
            "raise max_tokens, shorten the prompt, or use complete, which gives what there is and why it ended"
        )
    if completion.finish == "failed":
        raise PromptError(f"the answer failed after {len(completion.token_ids)} tokens: {completion.problem}")
