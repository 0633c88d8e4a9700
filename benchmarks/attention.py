"""From which length on is PyTorch's causal kernel faster on a CPU than panels? And what do masks save?

`python -m benchmarks.attention`, about ten minutes on an idle core; `--quick`, two.

One layer of 256 dimensions, 4096 tokens in rows of each length, CPU seconds of one thread (so that other load counts
little), both in turn. Prints the median ratio of their times, PyTorch's over ours, with the range of the middle 80% of
the pairs; then the shortest length from which the kernel's median wins, for `attention.CPU_KERNEL_FROM`. Last, rows of
packed documents and conversation trees against causal rows of the same length, both in panels.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from waman.model.attention import CPU_KERNEL_FROM, Attend, MaskedAttention, Path
from waman.model.masks import Causal, Mask, Tree
from waman.model.trees import tree_layout

WIDTH = 256
TOKENS = 4096
LENGTHS = (256, 512, 1024, 2048, 4096)
HEAD_DIMS = (32, 64, 128)
PAIRS = 11


def main(arguments: list[str]) -> None:
    torch.set_num_threads(1)
    quick = "--quick" in arguments
    for dtype in (torch.float32, torch.bfloat16):
        for head_dim in (64,) if quick else HEAD_DIMS:
            for training in (True, False):
                _compare_lengths(dtype, head_dim, training=training, pairs=5 if quick else PAIRS)
    for dtype in (torch.float32, torch.bfloat16):
        _compare_masks(dtype, pairs=5 if quick else PAIRS)


def _compare_lengths(dtype: torch.dtype, head_dim: int, *, training: bool, pairs: int) -> None:
    name = f"{_name(dtype)}, head_dim {head_dim}, {'forward and backward' if training else 'forward'}"
    print(f"\n{name}\nlength: ours in ms, PyTorch / ours [80% of pairs]")
    wins = []
    for length in LENGTHS:
        inputs = _draw(length, head_dim, dtype)
        ours, theirs = (_runner(Causal(), path, inputs, training=training) for path in ("panels", "causal kernel"))
        ratio, line = _ratio(ours, theirs, pairs=pairs)
        wins.append(ratio < 1)
        print(f"{length:>6}: {line}", flush=True)
    won = [length for place, length in enumerate(LENGTHS) if all(wins[place:])]
    print(f"the kernel wins from {won[0]} on" if won else f"panels win up to {LENGTHS[-1]}", end="")
    print(f"; now set: {CPU_KERNEL_FROM.get(dtype)}")


def _compare_masks(dtype: torch.dtype, *, pairs: int) -> None:
    """Time over that of causal rows, beside the share of pairs that the mask allows of theirs."""
    length, head_dim = 2048, 64
    inputs = _draw(length, head_dim, dtype)
    print(f"\n{_name(dtype)}, rows of {length} in panels: causal in ms, mask / causal [80% of pairs], allowed pairs")
    for name, mask in _masks(TOKENS // length, length).items():
        plain, masked = (_runner(one, "panels", inputs, training=True) for one in (Causal(), mask))
        ends = mask.ends.clamp(max=length)
        share = float((ends - torch.arange(length)).sum()) / (len(ends) * length * (length + 1) / 2)
        print(f"{name}: {_ratio(plain, masked, pairs=pairs)[1]}, {share:.0%}", flush=True)


def _masks(batch: int, length: int) -> dict[str, Tree]:
    documents = tree_layout([None] * (length // 256), [256] * (length // 256))
    # A question of 128 tokens with 5 answers of 256, two of them with a reply of 320 tokens.
    tree = tree_layout([None, 0, 0, 0, 0, 0, 1, 2], [128, *[256] * 5, 320, 320])
    return {
        "documents of 256": Tree(documents.ends.expand(batch, -1)),
        "a tree of 8 comments": Tree(tree.ends.expand(batch, -1)),
    }


def _draw(length: int, head_dim: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    heads = WIDTH // head_dim
    shapes = [(TOKENS // length, count, length, head_dim) for count in (heads, heads // 2, heads // 2)]
    queries, keys, values = (torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes)
    return queries, keys, values


def _runner(mask: Mask, path: Path, inputs: tuple[Tensor, Tensor, Tensor], *, training: bool) -> Callable[[], None]:
    queries, keys, values = inputs
    compute: Attend = MaskedAttention(mask).prepare(path, queries, keys)
    batch, heads, length, head_dim = queries.shape
    gradient = torch.randn(batch, length, heads, head_dim, dtype=queries.dtype).transpose(1, 2)

    def train() -> None:
        torch.autograd.grad(compute(queries, keys, values), inputs, gradient)

    @torch.inference_mode()
    def infer() -> None:
        compute(queries.detach(), keys.detach(), values.detach())

    return train if training else infer


def _ratio(ours: Callable[[], None], theirs: Callable[[], None], *, pairs: int) -> tuple[float, str]:
    ours()
    theirs()
    times = [(_seconds(ours), _seconds(theirs)) for _ in range(pairs)]
    ratios = statistics.quantiles([b / a for a, b in times], n=10)
    median = statistics.median(a for a, _ in times)
    return ratios[4], f"{1000 * median:.0f} ms, {ratios[4]:.2f} [{ratios[0]:.2f}, {ratios[-1]:.2f}]"


def _seconds(run: Callable[[], None]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


if __name__ == "__main__":
    main(sys.argv[1:])
