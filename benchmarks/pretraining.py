"""How fast is a step of pretraining here? `python -m benchmarks.pretraining`, about two minutes.

For small models (vocabulary 4096, context 256, tied head, batches of 4096 tokens with documents of 2000 tokens) takes
steps in float32 and bfloat16 in turn. Prints tokens per second of the median step, the share of a large matrix
product's floating-point operations that this is, and the ratio of the two speeds with the range of the middle 80% of
the pairs. Other load on the machine lowers all but the ratios: its average is printed.
"""

import argparse
import os
import statistics

import torch

from waman.model.config import Attention, ModelConfig, Swiglu
from waman.model.count import num_parameters
from waman.model.decoder import Decoder
from waman.model.initialize import initialize
from waman.model.recipe import Bfloat16, Float32, Precision
from waman.training.batches import Batch
from waman.training.loop import Trainer
from waman.training.recipe import AdamW, Cosine
from waman.training.throughput import matrix_flops_per_second, throughput

# model_dim, hidden_dim, num_layers
SIZES = [(128, 352, 4), (192, 512, 6), (256, 704, 6), (256, 704, 8)]
PAIRS = 10
BATCH_SEQUENCES, CONTEXT, VOCAB_SIZE, DOCUMENT_TOKENS = 16, 256, 4096, 2000


class RandomBatches:
    """Random tokens in documents of random length."""

    def batch(self, step: int) -> Batch:
        generator = torch.Generator().manual_seed(step)
        tokens = torch.randint(3, VOCAB_SIZE, (BATCH_SEQUENCES, CONTEXT + 1), generator=generator)
        ends = torch.rand(BATCH_SEQUENCES, CONTEXT + 1, generator=generator) < 1 / DOCUMENT_TOKENS
        documents = ends.cumsum(dim=1)
        same = documents[:, 1:] == documents[:, :-1]
        return Batch(tokens[:, :-1], tokens[:, 1:], same, documents[:, :-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--micro-batch-sequences", type=int, default=4)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{arguments.threads} threads, micro-batches of {arguments.micro_batch_sequences} sequences")
    print("| dim, layers | parameters | float32 tokens/s | share | bfloat16 tokens/s | share | ratio | load |")
    print("|---|---|---|---|---|---|---|---|")
    for model_dim, hidden_dim, num_layers in SIZES:
        print(_row(_config(model_dim, hidden_dim, num_layers), arguments.micro_batch_sequences), flush=True)


def _config(model_dim: int, hidden_dim: int, num_layers: int) -> ModelConfig:
    return ModelConfig(
        vocab_size=VOCAB_SIZE,
        context_length=CONTEXT,
        model_dim=model_dim,
        num_layers=num_layers,
        attention=Attention(num_heads=4, num_kv_heads=2, head_dim=model_dim // 4),
        feed_forward=Swiglu(hidden_dim=hidden_dim),
        tie_embeddings=True,
    )


def _row(config: ModelConfig, micro_batch_sequences: int) -> str:
    precise, short = (_trainer(config, each, micro_batch_sequences) for each in (Float32(), Bfloat16()))
    precise.step()
    short.step()
    pairs = [(precise.step().tokens_per_second, short.step().tokens_per_second) for _ in range(PAIRS)]
    ratios = statistics.quantiles([b / a for a, b in pairs], n=10)
    cells = [f"{config.model_dim}, {config.num_layers}", f"{num_parameters(config) / 1e6:.2f} M"]
    for trainer, speeds in zip((precise, short), zip(*pairs, strict=True), strict=True):
        speed = statistics.median(speeds)
        matrix_flops = matrix_flops_per_second(trainer.dtype, trainer.device)
        share = throughput(config, tokens=round(speed), seconds=1.0, matrix_flops=matrix_flops).flop_share
        cells += [f"{speed:,.0f}", f"{share:.0%}"]
    cells += [f"{ratios[4]:.2f} [{ratios[0]:.2f}, {ratios[-1]:.2f}]", f"{os.getloadavg()[0]:.1f}"]
    return f"| {' | '.join(cells)} |"


def _trainer(config: ModelConfig, precision: Precision, micro_batch_sequences: int) -> Trainer:
    decoder = Decoder(config)
    initialize(decoder, 0)
    return Trainer(
        decoder,
        RandomBatches(),
        num_steps=1000,
        optimizer=AdamW(),
        schedule=Cosine(),
        precision=precision,
        micro_batch_sequences=micro_batch_sequences,
    )


if __name__ == "__main__":
    main()
