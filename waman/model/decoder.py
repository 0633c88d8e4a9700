"""The language model: token ids in, logits out. It knows no file, no loss and no cache owner."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from waman.errors import PromptError
from waman.model.attention import MaskedAttention
from waman.model.block import Block
from waman.model.cache import KeyValueCache
from waman.model.config import ModelConfig, Sequential, require_vocab_size
from waman.model.masks import Cached, Causal, Mask
from waman.model.norm import build_norm
from waman.model.position import build_position

CAUSAL = Causal()


class Decoder(nn.Module):
    """A decoder of the config's parts. Fresh weights are PyTorch's own until `initialize` draws them."""

    def __init__(self, config: ModelConfig) -> None:
        """Raises RecipeError if the config has no vocab_size."""
        super().__init__()
        vocab_size = require_vocab_size(config)
        self.config = config
        self.embedding = nn.Embedding(vocab_size, config.model_dim)
        self.position = build_position(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        # Blocks that end with a norm need none before the head.
        after = config.block == Sequential(norm="after")
        self.norm = nn.Identity() if after else build_norm(config.norm, config.model_dim)
        self.unembedding: nn.Module | None = None
        if not config.tie_embeddings:
            self.unembedding = nn.Linear(config.model_dim, vocab_size, bias=False)

    def forward(
        self,
        token_ids: Tensor,
        *,
        mask: Mask = CAUSAL,
        positions: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """token_ids: (batch, time) -> logits: (batch, time, vocab_size). Arguments as in `hidden`."""
        return self.head(self.hidden(token_ids, mask=mask, positions=positions, cache=cache))

    def hidden(
        self,
        token_ids: Tensor,
        *,
        mask: Mask = CAUSAL,
        positions: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """token_ids: (batch, time) -> (batch, time, model_dim), normalised, ready for the head.

        positions: (batch, time); absent: 0, 1, 2, ... or, with a cache, from the number of tokens each row holds.
        A window and ALiBi count distances in positions, beside a cache in tokens.
        Raises PromptError if a position lies beyond the context length, where positions are rotary or learned; the
        others know no longest one.
        """
        starts = cache.lengths if cache is not None else None
        places = self._places(token_ids, positions, starts)
        x, rotation, slopes = self.position(self.embedding(token_ids), places)
        attention = MaskedAttention(
            _with_starts(mask, starts),
            window=self.config.attention.window,
            slopes=slopes,
            # A cache does not know where its tokens were: beside one, distances are counted in tokens.
            positions=positions if cache is None else None,
        )
        for layer, block in enumerate(self.blocks):
            x = block(x, attention=attention, rotation=rotation, layer=layer, cache=cache)
        normalised: Tensor = self.norm(x)
        return normalised

    def head(self, hidden: Tensor) -> Tensor:
        """hidden: (..., model_dim) -> logits: (..., vocab_size)."""
        if self.unembedding is None:
            return F.linear(hidden, self.embedding.weight)
        logits: Tensor = self.unembedding(hidden)
        return logits

    def _places(self, token_ids: Tensor, positions: Tensor | None, starts: Tensor | None) -> Tensor | slice:
        time = token_ids.shape[1]
        if positions is None and starts is not None:
            positions = starts[:, None] + torch.arange(time, device=token_ids.device)
        longest = self.position.longest
        if longest is not None:
            last = time - 1 if positions is None else int(positions.max())
            if last >= longest:
                raise PromptError(
                    f"{last + 1} tokens, but the model was made for {longest} (context_length); give it fewer"
                )
        return slice(0, time) if positions is None else positions


def _with_starts(mask: Mask, starts: Tensor | None) -> Mask:
    """A causal mask over rows of unequal length needs to know where each begins."""
    if starts is None or not isinstance(mask, Causal) or bool((starts == starts[0]).all()):
        return mask
    return Cached(starts)
