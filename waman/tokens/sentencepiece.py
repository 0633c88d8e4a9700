"""SentencePiece's `.model` files (Kudo and Richardson 2018) as tokenizer.json, to the same ids."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, processors

from waman.dataflow import Counts
from waman.errors import ExtraError, InputError
from waman.manifest import write_whole
from waman.tokens.bpe import SPACE

MODEL_FILE = "tokenizer.model"
_UNIGRAM, _BPE = 1, 2
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _UNUSED, _BYTE = range(1, 7)
_NOT_IN_TEXT = (_UNKNOWN, _CONTROL, _BYTE)
_NEVER = 1e4
_ENDS = ("bos", "eos", "unk", "pad")


def convert_model(path: Path, folder: Path, *, nearest: bool = False) -> Counts:
    """Writes tokenizer.json and tokenizer_config.json with which `tokenizers` gives SentencePiece's ids.

    Raises InputError for a file that is no SentencePiece model, or of a form that `tokenizers` does not express; one
    that it expresses but for rare characters is written where `nearest`. Raises ExtraError without the packages.
    """
    proto = _parse(path)
    if proto.normalizer_spec.precompiled_charsmap and not nearest:
        raise InputError(
            f"{path}: it rewrites characters first ({proto.normalizer_spec.name}), which `tokenizers` does a little "
            "otherwise where marks follow a rewritten character: --set format.ids=nearest writes it all the same"
        )
    backend = build(proto, str(path))
    write_whole(folder / "tokenizer.json", backend.to_str(pretty=True) + "\n")
    names = {f"{role}_token": name for role, name in _ends(proto).items()}
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **names,
        "add_bos_token": "bos_token" in names,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
    }
    write_whole(folder / "tokenizer_config.json", json.dumps(settings, indent=1, ensure_ascii=False) + "\n")
    return {"vocab_size": len(proto.pieces), "form": "BPE" if proto.trainer_spec.model_type == _BPE else "Unigram"}


def build(proto: Any, where: str) -> tokenizers.Tokenizer:
    """The tokenizer of a parsed `ModelProto`. Raises InputError where there is none."""
    problems = _problems(proto)
    if problems:
        raise InputError(f"{where}: cannot be expressed in tokenizer.json: {'; '.join(problems)}")
    trainer, form = proto.trainer_spec, proto.normalizer_spec
    model: Any
    if trainer.model_type == _BPE:
        vocab = {piece.piece: index for index, piece in enumerate(proto.pieces)}
        model = models.BPE(
            vocab, _merges(proto), unk_token=trainer.unk_piece, fuse_unk=True, byte_fallback=trainer.byte_fallback
        )
    else:
        model = models.Unigram(_scored(proto), trainer.unk_id, trainer.byte_fallback)
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = _normalizer(form)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(SPACE, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            *([decoders.Strip(" ", 1, 0)] if form.add_dummy_prefix else []),
        ]
    )
    _add_special(tokenizer, proto)
    assert tokenizer.get_vocab_size() == len(proto.pieces)
    return tokenizer


def _parse(path: Path) -> Any:
    try:
        from google.protobuf.message import DecodeError
        from sentencepiece import sentencepiece_model_pb2
    except ImportError as error:
        raise ExtraError("SentencePiece models need two packages more: pip install 'waman[sentencepiece]'") from error
    proto: Any = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    try:
        proto.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise InputError(f"{path}: not a SentencePiece model, or cut short ({error})") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected a SentencePiece model") from error
    if not proto.pieces:
        raise InputError(f"{path}: not a SentencePiece model: it holds no pieces")
    return proto


def _problems(proto: Any) -> list[str]:
    problems, trainer, form = [], proto.trainer_spec, proto.normalizer_spec
    if trainer.model_type not in (_UNIGRAM, _BPE):
        problems.append("its model is neither unigram nor byte-pair encoding")
    if trainer.treat_whitespace_as_suffix:
        problems.append("spaces end words (treat_whitespace_as_suffix)")
    if not form.escape_whitespaces:
        problems.append("spaces are not written as ▁ (escape_whitespaces)")
    defined = [piece.piece for piece in proto.pieces if piece.type == _USER_DEFINED]
    if defined and form.add_dummy_prefix:
        problems.append(f"it puts a space before a text and has symbols of its user ({', '.join(defined[:5])})")
    if trainer.byte_fallback and sum(piece.type == _BYTE for piece in proto.pieces) != 256:
        problems.append("it spells in bytes and has not all 256")
    return problems


def _merges(proto: Any) -> list[tuple[str, str]]:
    """Every pair of pieces that spells a piece, best score first: SentencePiece joins any of them."""
    joinable = {piece.piece for piece in proto.pieces if piece.type in (_NORMAL, _UNUSED, _USER_DEFINED)}
    made = [piece for piece in proto.pieces if piece.type in (_NORMAL, _UNUSED) and len(piece.piece) > 1]
    order = sorted(made, key=lambda piece: -piece.score)  # stable: of equal scores the first
    return [
        (text[:cut], text[cut:])
        for text in (piece.piece for piece in order)
        for cut in range(1, len(text))
        if text[:cut] in joinable and text[cut:] in joinable
    ]


def _scored(proto: Any) -> list[tuple[str, float]]:
    """Pieces with their scores; those that no text is spelt with get one at which any other way is better."""
    never = min(piece.score for piece in proto.pieces) - _NEVER
    return [(piece.piece, never if piece.type in _NOT_IN_TEXT else piece.score) for piece in proto.pieces]


def _normalizer(form: Any) -> normalizers.Normalizer:
    steps: list[normalizers.Normalizer] = []
    if form.precompiled_charsmap:
        steps.append(normalizers.Precompiled(form.precompiled_charsmap))
    if form.remove_extra_whitespaces:
        steps += [
            normalizers.Replace(tokenizers.Regex(r"\A +| +\z"), ""),
            normalizers.Replace(tokenizers.Regex(" {2,}"), " "),
        ]
    if form.add_dummy_prefix:
        steps.append(normalizers.Prepend(SPACE))
    steps.append(normalizers.Replace(" ", SPACE))
    return normalizers.Sequence(steps)


def _ends(proto: Any) -> Mapping[str, str]:
    trainer = proto.trainer_spec
    ids = {role: getattr(trainer, f"{role}_id") for role in _ENDS}
    return {role: proto.pieces[index].piece for role, index in ids.items() if 0 <= index < len(proto.pieces)}


def _add_special(tokenizer: tokenizers.Tokenizer, proto: Any) -> None:
    special = [piece.piece for piece in proto.pieces if piece.type in (_UNKNOWN, _CONTROL)]
    tokenizer.add_special_tokens([tokenizers.AddedToken(name, special=True, normalized=False) for name in special])
    defined = [piece.piece for piece in proto.pieces if piece.type == _USER_DEFINED]
    tokenizer.add_tokens([tokenizers.AddedToken(name, normalized=True) for name in defined])
    ends = _ends(proto)
    if "bos" in ends:
        bos = ends["bos"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, proto.trainer_spec.bos_id)]
        )
