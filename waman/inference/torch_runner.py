"""Passes by the decoder's own modules: every architecture, plain or quantized weights, any device.

All rows' tokens stand one after the other in one row of a batch, so that each matrix is read once a pass; attention
alone tells them apart.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from waman.inference.adapting import Adapters
from waman.inference.few_tokens import FewTokens
from waman.inference.flat_rows import FlatRows, into_groups, into_tiles, lay_out, pad_tile
from waman.inference.page_store import PageStore
from waman.inference.runner import PAGE_TOKENS, Row
from waman.inference.tiles import TILE_TOKENS, TileAttention
from waman.model.attention import MaskedAttention
from waman.model.decoder import Decoder
from waman.quantization.linear import set_deterministic
from waman.weights.adapters import Adapter


class TorchRunner:
    """A `Runner` for any decoder. It holds its pages' memory from the start."""

    def __init__(
        self,
        decoder: Decoder,
        *,
        num_pages: int,
        page_tokens: int = PAGE_TOKENS,
        kv_bits: int | None = None,
        deterministic: bool = False,
    ) -> None:
        """kv_bits: 8, or of a floating type; absent: of the type that the decoder computes in.

        deterministic: a row's logits are the same, bit for bit, whatever else is in the pass and however its tokens
        are cut into passes; slower. Raises RecipeError for a number of bits that there is not.
        """
        self.page_tokens = page_tokens
        self.num_pages = num_pages
        self._decoder = decoder.eval()
        self._deterministic = deterministic
        set_deterministic(decoder, deterministic)
        norm = next(decoder.blocks.parameters())
        self._device = norm.device
        self._store = PageStore(
            decoder.config,
            num_pages=num_pages,
            page_tokens=page_tokens,
            kv_bits=kv_bits,
            dtype=norm.dtype,
            device=self._device,
        )
        self._adapters = Adapters(decoder)
        self._few = FewTokens(decoder, self._store) if self._device.type == "cpu" and not deterministic else None

    @property
    def num_bytes(self) -> int:
        """Memory of all pages."""
        return self._store.num_bytes

    def copy_page(self, source: int, target: int) -> None:
        """Makes one page hold what another does."""
        self._store.copy_page(source, target)

    def add_adapter(self, adapter: Adapter) -> int:
        """A number for `Row.adapter`. Raises InputError where the adapter does not fit the model."""
        return self._adapters.add(adapter)

    @torch.inference_mode()
    def run(self, rows: Sequence[Row]) -> Tensor:
        """As `Runner.run`."""
        order = sorted(range(len(rows)), key=lambda n: (len(rows[n].token_ids), rows[n].cached))
        flat = lay_out([rows[n] for n in order], page_tokens=self.page_tokens, device=self._device)
        hidden = self._in_tiles(flat) if self._deterministic else self._at_once(flat)
        starts = dict(zip(order, flat.starts, strict=True))
        chosen = [starts[n] + place for n, row in enumerate(rows) for place in row.wanted]
        adapters = None if flat.adapters is None else flat.adapters[chosen]
        return self._logits(hidden[torch.tensor(chosen, dtype=torch.long, device=self._device)], adapters)

    def _at_once(self, flat: FlatRows) -> Tensor:
        attention = _PagedAttention(self._store, flat, self._decoder)
        few = self._few
        if few and len(flat.token_ids) == len(flat.rows) and flat.adapters is None and few.takes(attention.groups):
            placed = self._decoder.position(self._decoder.embedding(flat.token_ids[None]), flat.positions[None])
            found = few.run(placed.x[0], placed.rotation, placed.slopes, slots=flat.slots, groups=attention.groups)
            return found.to(placed.x.dtype)
        with self._adapters.applied(flat.adapters):
            x, rotation, slopes = self._decoder.position(
                self._decoder.embedding(flat.token_ids[None]), flat.positions[None]
            )
            attention.prepare(slopes)
            for layer, block in enumerate(self._decoder.blocks):
                x = block(x, attention=attention, rotation=rotation, layer=layer, cache=attention)
        normalised: Tensor = self._decoder.norm(x)[0]
        return normalised

    def _in_tiles(self, flat: FlatRows) -> Tensor:
        """Layer by layer, a fixed number of tokens at a time: each product and sum has the same shape in every pass.

        A tile's keys are in the pages before the next tile of the layer reads them.
        """
        tiles = list(into_tiles(flat))
        placed = [
            self._decoder.position(self._decoder.embedding(tile.token_ids[None]), tile.positions[None])
            for tile in tiles
        ]
        xs = [one.x for one in placed]
        window = self._decoder.config.attention.window
        attentions = [
            TileAttention(self._store, tile.tables, tile.positions, tile.slots, window=window, slopes=one.slopes)
            for tile, one in zip(tiles, placed, strict=True)
        ]
        for layer, block in enumerate(self._decoder.blocks):
            for number, (tile, attention) in enumerate(zip(tiles, attentions, strict=True)):
                with self._adapters.applied(tile.adapters):
                    rotation = placed[number].rotation
                    xs[number] = block(xs[number], attention=attention, rotation=rotation, layer=layer, cache=attention)
        return torch.cat([self._decoder.norm(x)[0] for x in xs])

    def _logits(self, hidden: Tensor, adapters: Tensor | None) -> Tensor:
        """hidden: (tokens, model_dim) -> (tokens, vocab_size), float32."""
        if not self._deterministic or not len(hidden):
            return self._adapters.head(hidden, adapters).float()
        found = []
        for start in range(0, len(hidden), TILE_TOKENS):
            part = hidden[start : start + TILE_TOKENS]
            some = None if adapters is None else pad_tile(adapters[start : start + TILE_TOKENS], value=-1)
            found.append(self._adapters.head(pad_tile(part), some)[: len(part)].float())
        return torch.cat(found)


class _PagedAttention:
    """The cache and the attention of a pass: what is new goes into the pages, each group of rows reads its own."""

    def __init__(self, store: PageStore, flat: FlatRows, decoder: Decoder) -> None:
        self._store, self._flat = store, flat
        self._window = decoder.config.attention.window
        self.groups = into_groups(flat, page_tokens=store.page_tokens)
        self._attends: list[MaskedAttention] = []
        self._layer = 0
        self.lengths = flat.positions[:1]

    def prepare(self, slopes: Tensor | None) -> None:
        """What all layers share."""
        self._attends = [MaskedAttention(one.mask, window=self._window, slopes=slopes) for one in self.groups]

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """keys, values: (1, num_kv_heads, tokens, head_dim), given back as they are."""
        self._layer = layer
        self._store.write(layer, self._flat.slots, torch.cat((keys[0], values[0])))
        return keys, values

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """queries: (1, num_heads, tokens, head_dim) -> the same shape."""
        found = []
        for group, attend in zip(self.groups, self._attends, strict=True):
            kept = self._store.read(self._layer, group.tables, queries.dtype)
            keys, values = kept.transpose(0, 1).chunk(2, dim=1)
            heads, dim = queries.shape[1], queries.shape[3]
            own = queries[0, :, group.tokens].reshape(heads, len(group.tables), -1, dim).transpose(0, 1)
            attended = attend(own, keys[:, :, : group.longest], values[:, :, : group.longest])
            found.append(attended.transpose(0, 1).flatten(1, 2))
        return torch.cat(found, dim=1)[None]
