"""Keeps an answer within a JSON schema, a regular expression or a grammar, by llguidance.

It fails closed: what cannot be enforced is refused before the first token, and no token is taken that is forbidden.
"""

import json
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from waman.errors import ExtraError, RecipeError
from waman.inference.recipe import Constraint, Grammar, JsonSchema, Regex

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

KEPT = 32
"""Constraints that stay compiled, the last used."""


class Vocabulary(Protocol):
    """What a constraint has to know of a tokenizer."""

    @property
    def token_bytes(self) -> Sequence[bytes]:
        """The bytes that each token stands for; special tokens give none."""
        ...

    def encode(self, text: str) -> list[int]:
        """Token ids of a text."""
        ...


class Matcher:
    """Follows one answer."""

    def __init__(self, matcher: "LLMatcher", *, vocab_size: int, end_ids: frozenset[int]) -> None:
        self._matcher = matcher
        self._vocab_size = vocab_size
        self._end_ids = end_ids

    def fork(self) -> "Matcher":
        """Another answer that goes on from here."""
        return Matcher(self._matcher.deep_copy(), vocab_size=self._vocab_size, end_ids=self._end_ids)

    def allowed(self) -> Tensor:
        """(vocab_size,), bool: the tokens that may come next, those that end an answer among them where it may end."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        found = np.unpackbits(bits, bitorder="little")
        mask = np.zeros(self._vocab_size, dtype=bool)
        size = min(len(found), self._vocab_size)
        mask[:size] = found[:size]
        if not self.may_end:  # at a dead end llguidance lets an answer end that is not whole
            mask[list(self._end_ids)] = False
        return torch.from_numpy(mask)

    def take(self, token_id: int) -> bool:
        """Goes on by a token that does not end the answer; False where it is forbidden."""
        return bool(self._matcher.consume_token(token_id))

    @property
    def may_end(self) -> bool:
        """Whether the answer so far is whole."""
        return bool(self._matcher.is_accepting())

    @property
    def must_end(self) -> bool:
        """Whether nothing can follow."""
        return bool(self._matcher.is_stopped())

    @property
    def problem(self) -> str:
        """Why it cannot go on; empty where it can."""
        return str(self._matcher.get_error()).split("\n<state>")[0]


class Constrainer:
    """Prepares constraints for one model; what the tokenizer costs is paid once for each set of end tokens."""

    def __init__(self, vocabulary: Vocabulary, *, vocab_size: int) -> None:
        """vocab_size: the model's, which may be larger than the tokenizer's."""
        self._vocabulary = vocabulary
        self._vocab_size = vocab_size
        self._prepared: dict[frozenset[int], LLTokenizer] = {}
        self._compiled: OrderedDict[tuple[Constraint, frozenset[int]], Matcher] = OrderedDict()

    def compile(self, constraint: Constraint, *, end_ids: Collection[int]) -> Matcher:
        """A matcher at the beginning of an answer.

        Raises RecipeError for what is no schema, expression or grammar, or cannot be enforced as it is written;
        ExtraError without llguidance.
        """
        key = constraint, frozenset(end_ids)
        if key not in self._compiled:
            self._compiled[key] = self._compile(*key)
            if len(self._compiled) > KEPT:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(key)
        return self._compiled[key].fork()

    def _compile(self, constraint: Constraint, end_ids: frozenset[int]) -> Matcher:
        try:
            import llguidance
        except ImportError as error:
            raise ExtraError(
                "constrained answers need the package llguidance, which is not installed: "
                "pip install 'waman[constrain]'"
            ) from error
        if not end_ids:
            raise RecipeError("constraint: the model has no token that ends an answer, so none could be told as whole")
        if end_ids not in self._prepared:
            wrapper = llguidance.TokenizerWrapper(_Wrapped(self._vocabulary, end_ids))
            self._prepared[end_ids] = llguidance.LLTokenizer(wrapper, eos_token=sorted(end_ids))
        tokenizer = self._prepared[end_ids]
        grammar = _written(constraint, llguidance.LLMatcher)
        failed, said = llguidance.LLMatcher.validate_grammar_with_warnings(grammar, tokenizer)
        if failed or said:
            raise RecipeError(f"{_name(constraint)}: cannot be enforced as it is written: {' '.join(said)}")
        compiled = llguidance.LLMatcher(tokenizer, grammar, log_level=0)
        matcher = Matcher(compiled, vocab_size=self._vocab_size, end_ids=end_ids)
        if matcher.problem:
            raise RecipeError(f"{_name(constraint)}: cannot be enforced as it is written: {matcher.problem}")
        if not bool(matcher.allowed().any()):
            raise RecipeError(f"{_name(constraint)}: the model's tokens can spell no answer that fits it")
        return matcher


# A line's end and indentation, so that JSON may be laid out, but not white space without an end, which weak models
# fall into.
_SPACE = r"\n?[ ]{0,16}"
_ANCHOR = "\x02"
"""A character that no tokenizer joins to the next."""


class _Wrapped:
    """The vocabulary as llguidance asks for it."""

    bos_token_id = None

    def __init__(self, vocabulary: Vocabulary, end_ids: frozenset[int]) -> None:
        self._vocabulary = vocabulary
        self.eos_token_id = min(end_ids)
        self.tokens = list(vocabulary.token_bytes)
        self.special_token_ids = [index for index, spelt in enumerate(self.tokens) if not spelt]
        self._anchor = vocabulary.encode(_ANCHOR)
        self._ids = {spelt: index for index, spelt in reversed(list(enumerate(self.tokens))) if spelt}
        self._longest = max(map(len, self._ids), default=0)

    def __call__(self, text: bytes | str) -> list[int]:
        """Tokens of a piece from within a text: exactly its bytes, where encoding alone would put a space before it."""
        data = text.encode() if isinstance(text, str) else text
        found = self._vocabulary.encode(_ANCHOR + data.decode())
        inner = found[len(self._anchor) :]
        if found[: len(self._anchor)] == self._anchor and b"".join(self.tokens[one] for one in inner) == data:
            return inner
        return self._greedily(data)

    def _greedily(self, data: bytes) -> list[int]:
        """The longest token each time, as far as there are tokens."""
        found = []
        while data:
            size = next((size for size in range(self._longest, 0, -1) if data[:size] in self._ids), None)
            if size is None:
                break
            found.append(self._ids[data[:size]])
            data = data[size:]
        return found


def _written(constraint: Constraint, matcher: "type[LLMatcher]") -> str:
    match constraint:
        case JsonSchema(schema=schema):
            try:
                table = json.loads(schema)
            except ValueError as error:
                raise RecipeError(f"json_schema: found {schema!r}, expected a JSON schema: {error}") from error
            if not isinstance(table, dict):
                raise RecipeError(f"json_schema: found {schema!r}, expected a JSON schema: an object, such as {{}}")
            return str(
                matcher.grammar_from_json_schema(
                    table, defaults={"whitespace_pattern": _SPACE}, overrides={"lenient": False}
                )
            )
        case Regex(pattern=pattern):
            return str(matcher.grammar_from_regex(pattern))
        case Grammar(rules=rules):
            return str(matcher.grammar_from_lark(rules))


def _name(constraint: Constraint) -> str:
    match constraint:
        case JsonSchema():
            return "json_schema"
        case Regex():
            return "regex"
        case Grammar():
            return "grammar"
