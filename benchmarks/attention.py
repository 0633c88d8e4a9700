"""Is attention in panels faster on a CPU than PyTorch's own? `python -m benchmarks.attention`, about a minute.

Forward and backward pass of one layer, both in turn, CPU seconds of one thread (so that other load counts little).
Prints the median ratio of their times, PyTorch's over ours, with the range of the middle 80% of the pairs.
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from waman.model.attention import attend
from waman.model.masks import Causal

SHAPES = [(16, 4, 2, 256, 48), (16, 4, 2, 512, 48), (16, 6, 6, 256, 32), (8, 4, 4, 512, 64)]
PAIRS = 15


def main() -> None:
    torch.set_num_threads(1)
    print("batch heads kv_heads context head_dim dtype: ours in ms, PyTorch / ours [80% of pairs]")
    for dtype in (torch.float32, torch.bfloat16):
        for shape in SHAPES:
            print(*shape, str(dtype).removeprefix("torch."), _compare(*_draw(*shape, dtype)), flush=True)


def _draw(
    batch: int, heads: int, kv_heads: int, context: int, head_dim: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(batch, heads, context, head_dim)] + 2 * [(batch, kv_heads, context, head_dim)]
    queries, keys, values = (torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes)
    gradient = torch.randn(batch, context, heads, head_dim, generator=generator).to(dtype).transpose(1, 2)
    return queries, keys, values, gradient


def _compare(queries: Tensor, keys: Tensor, values: Tensor, gradient: Tensor) -> str:
    def ours() -> None:
        torch.autograd.grad(attend(queries, keys, values, Causal()), (queries, keys, values), gradient)

    def theirs() -> None:
        found = F.scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=True)
        torch.autograd.grad(found, (queries, keys, values), gradient)

    ours()
    theirs()
    pairs = [(_seconds(ours), _seconds(theirs)) for _ in range(PAIRS)]
    ratios = statistics.quantiles([b / a for a, b in pairs], n=10)
    median = statistics.median(a for a, _ in pairs)
    return f"{1000 * median:.0f} ms, {ratios[4]:.2f} [{ratios[0]:.2f}, {ratios[-1]:.2f}]"


def _seconds(run: Callable[[], None]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


if __name__ == "__main__":
    main()
