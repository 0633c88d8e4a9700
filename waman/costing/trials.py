"""The trainings that a calibration times: small, and each heavy in a few counts of `Work`."""

from waman.costing.calibrate import Trial
from waman.model.config import Alibi, Attention, FeedForward, Gelu, LayerNorm, Learned, ModelConfig, Rope, Swiglu


def _trial(
    model_dim: int,
    num_layers: int,
    vocab_size: int,
    *,
    sequences: int,
    context: int,
    head_dim: int = 64,
    feed_forward: FeedForward | None = None,
    tied: bool = True,
) -> Trial:
    heads = model_dim // head_dim
    config = ModelConfig(
        vocab_size=vocab_size,
        context_length=context,
        model_dim=model_dim,
        num_layers=num_layers,
        attention=Attention(num_heads=heads, num_kv_heads=heads // 2 if heads % 2 == 0 else heads, head_dim=head_dim),
        feed_forward=feed_forward or Swiglu(hidden_dim=model_dim * 11 // 4),
        tie_embeddings=tied,
    )
    return Trial(config, sequences, context)


def _plain(trial: Trial, *, position: Rope | Alibi | Learned) -> Trial:
    import dataclasses

    config = trial.config
    feed_forward = Gelu(hidden_dim=4 * config.model_dim)
    config = dataclasses.replace(config, feed_forward=feed_forward, norm=LayerNorm(), position=position)
    return dataclasses.replace(trial, config=config)


TRIALS: tuple[Trial, ...] = (
    _trial(64, 8, 512, sequences=1, context=64, head_dim=32),
    _trial(128, 1, 256, sequences=1, context=64, head_dim=32),
    _trial(128, 4, 4096, sequences=4, context=256, head_dim=32),
    _trial(256, 4, 1024, sequences=2, context=256),
    _trial(512, 2, 1024, sequences=1, context=256),
    _trial(1024, 1, 512, sequences=1, context=128),
    _trial(128, 2, 32000, sequences=2, context=128, head_dim=32),
    _trial(384, 1, 16384, sequences=2, context=128, tied=False),
    _trial(768, 1, 16384, sequences=1, context=64),
    _trial(256, 2, 1024, sequences=1, context=1024),
    _plain(_trial(192, 1, 1024, sequences=1, context=2048, head_dim=32), position=Alibi()),
    _plain(_trial(384, 3, 4096, sequences=4, context=128), position=Learned()),
    _plain(_trial(320, 3, 8192, sequences=2, context=256), position=Rope()),
    _trial(96, 4, 2048, sequences=2, context=512, head_dim=32),
    _trial(256, 4, 4096, sequences=4, context=256, head_dim=64),
)
