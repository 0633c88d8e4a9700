import json
from pathlib import Path

import numpy as np
import pytest

from tests.tokens import material
from waman.artifact import Artifact, verify
from waman.dataflow import Inline, Local
from waman.document import read_documents
from waman.errors import ArtifactError, InputError
from waman.tokens.recipe import TokenizeRecipe
from waman.tokens.shards import ShardWriter, TokenShards, dtype_for
from waman.tokens.tokenize import tokenize
from waman.tokens.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def tokens(
    tmp_path_factory: pytest.TempPathFactory, documents: Artifact, mixture: Artifact, trained: Artifact
) -> Artifact:
    out = tmp_path_factory.mktemp("tokens") / "tokens"
    return tokenize(
        TokenizeRecipe(), documents=[documents], mixture=mixture, tokenizer=trained, out=out, executor=Inline()
    )


def test_every_document_stands_whole_between_its_ends(
    tokens: Artifact, documents: Artifact, tokenizer: Tokenizer
) -> None:
    texts = {d.id: d for d in read_documents(documents)}
    shards = TokenShards.open(tokens)
    seen = set()
    for streams in shards.streams.values():
        for source, stream in streams.items():
            for index, name in enumerate(stream.ids):
                ids = stream.document(index).tolist()
                assert (ids[0], ids[-1]) == (1, 2)
                assert tokenizer.decode(ids) == texts[name].text
                assert (source, stream.groups[index]) == (texts[name].source, texts[name].group)
                assert stream.num_bytes[index] == len(texts[name].text.encode())
                seen.add(name)
    assert seen == set(texts)
    assert set(shards.streams["held_out"]["web"].groups) == {"group-6", "group-7"}
    assert not {"group-6", "group-7"} & set(shards.streams["train"]["github"].groups)


def test_a_stream_is_its_documents_end_to_end(tokens: Artifact) -> None:
    stream = TokenShards.open(tokens).streams["train"]["github"]
    whole = np.concatenate([stream.document(index) for index in range(stream.num_documents)])
    owners = np.repeat(np.arange(stream.num_documents), stream.lengths)
    assert stream.num_tokens == len(whole)
    first = int(stream.lengths[0])
    windows = [
        (0, 0),
        (0, len(whole)),
        (first - 1, first + 1),
        (first, first + 5),
        (7, 3 * first),
        (len(whole) - 1,) * 2,
    ]
    for start, stop in windows:
        ids, documents = stream.read(start, stop)
        assert ids.tolist() == whole[start:stop].tolist()
        assert documents.tolist() == owners[start:stop].tolist()


def test_the_files_are_as_documented(tokens: Artifact, tokenizer: Tokenizer, mixture: Artifact) -> None:
    info = json.loads((tokens.path / "tokens.json").read_text())
    assert info == {"dtype": "uint16", "vocab_size": 640, "bos": 1, "eos": 2, "tokenizer": tokenizer.identity}
    raw = np.fromfile(tokens.path / "train" / "00000.tokens", "<u2")
    assert raw[0] == 1
    assert raw[-1] == 2
    assert (tokens.path / "mixture.json").read_bytes() == (mixture.path / "mixture.json").read_bytes()
    shards = TokenShards.open(tokens)
    assert shards.proportions == {"github": 0.25, "web": 0.75}
    for split, streams in shards.streams.items():
        for source, stream in streams.items():
            counted = tokens.counts[split][source]
            assert counted["tokens"] == stream.num_tokens
            assert counted["documents"] == stream.num_documents
            assert counted["bytes"] == stream.num_bytes.sum()
    assert verify(tokens) == []


def test_workers_write_the_same_bytes(
    tmp_path: Path, tokens: Artifact, documents: Artifact, mixture: Artifact, trained: Artifact
) -> None:
    again = tokenize(
        TokenizeRecipe(),
        documents=[documents],
        mixture=mixture,
        tokenizer=trained,
        out=tmp_path / "again",
        executor=Local(workers=2),
    )
    assert again.manifest is not None
    assert tokens.manifest is not None
    assert again.manifest.files == tokens.manifest.files


def test_a_corpus_without_a_train_split_is_refused(tmp_path: Path, mixture: Artifact, trained: Artifact) -> None:
    held_out = [d for d in material.documents() if d.group == "group-7"]
    written = material.write_artifact(tmp_path / "documents", [held_out])
    with pytest.raises(InputError, match="no document of the train split in 1 units: expected at least one"):
        tokenize(
            TokenizeRecipe(),
            documents=[written],
            mixture=mixture,
            tokenizer=trained,
            out=tmp_path / "o",
            executor=Inline(),
        )


def test_a_wide_vocabulary_takes_four_bytes(tmp_path: Path) -> None:
    assert (dtype_for(65536), dtype_for(65537)) == ("uint16", "uint32")
    with ShardWriter(tmp_path, 3, dtype="uint32") as writer:
        writer.add(material.documents(1)[0], [1, 70000, 2])
    assert (tmp_path / "00003.tokens").read_bytes() == b"\1\0\0\0\x70\x11\1\0\2\0\0\0"


def test_a_truncated_shard_is_refused(
    tmp_path: Path, documents: Artifact, mixture: Artifact, trained: Artifact
) -> None:
    out = tmp_path / "tokens"
    tokenize(TokenizeRecipe(), documents=[documents], mixture=mixture, tokenizer=trained, out=out, executor=Inline())
    path = out / "train" / "00000.tokens"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(ArtifactError, match=r"00000\.tokens holds \d+ bytes, expected \d+: it is damaged"):
        TokenShards.open(out)


def test_a_directory_without_shards_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no token shards: expected tokens\.json"):
        TokenShards.open(tmp_path)
