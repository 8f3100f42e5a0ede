"""The baselines of a corpus: each score is computed a second way, and has the units of a network's score."""

import bz2
import lzma
import math
import random
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from charlm.data.corpus import Corpus
from charlm.data.documents import DocumentWriter, read_parts
from charlm.data.settings import CorpusSettings
from charlm.errors import DataError, OutOfMemoryError, UsageError
from charlm.evaluation.baselines import run as corpus_baselines
from charlm.evaluation.baselines.compressed import CompressorBaseline
from charlm.evaluation.baselines.compressors import Bz2, Compressor, Ppmd, Xz, Zstd
from charlm.evaluation.baselines.result import BaselineResult
from charlm.evaluation.baselines.settings import (
    BaselineKind,
    BaselineSettings,
    Bz2Settings,
    KneserNeySettings,
    PpmdSettings,
    UniformSettings,
    UnigramSettings,
    XzSettings,
    ZstdSettings,
)
from charlm.storage import remove_tree
from charlm.text.build import build_source
from charlm.text.settings import Enwik8Settings
from charlm.vocab.settings import ByteSettings, WordSettings
from charlm.workflows.archive_baseline import ArchiveBaseline
from charlm.workflows.prepare import prepare
from tests.corpora import TINY, build_corpus
from tests.evaluation.baselines.straight_line import StraightLine

run_baselines = partial(corpus_baselines.run_baselines, open_archive=ArchiveBaseline)


def run(corpus: Corpus, *baselines: BaselineKind, split: str = "test") -> dict[str, BaselineResult]:
    results = run_baselines(
        corpus, split, BaselineSettings(baselines=baselines), on_progress=lambda name, done, total: None
    )
    assert len({result.name for result in results}) == len(results)
    return {result.name: result for result in results}


def text_of(corpus: Corpus, split: str) -> bytes:
    """The documents, each followed by the byte 0xFF where it ends."""
    parts = read_parts(corpus.directory / "documents", split)
    return b"".join(part.document.text.encode() + b"\xff" * part.is_last_part for part in parts)


def size_in_nats(size: int) -> float:
    return size * 8 * math.log(2)


@pytest.fixture(scope="module", params=["char", "byte", "word"])
def corpus(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    vocab = {"char": None, "byte": ByteSettings(), "word": WordSettings()}[request.param]
    return build_corpus(tmp_path_factory.mktemp("corpus"), TINY, vocab=vocab)


# ---- every baseline


@pytest.mark.parametrize("split", ["valid", "test"])
def test_the_default_baselines_score_all_of_the_split_once(corpus: Corpus, split: str) -> None:
    pytest.importorskip("pyppmd", reason="needs pyppmd")
    stream = corpus.open(split)
    results = run_baselines(corpus, split, BaselineSettings(), on_progress=lambda name, done, total: None)
    compressors = ["ppmd-16", "xz", "zstd", "bz2"]
    pairs = [name for compressor in compressors for name in (compressor, f"{compressor}, given train")]
    assert [result.name for result in results] == ["uniform", "unigram", "kneser-ney-8", *pairs]
    for result in results:
        score = result.score
        assert score.tokens == stream.num_predictions
        assert (score.characters, score.words, score.bytes) == tuple(
            stream.count(unit) for unit in ("characters", "words", "bytes")
        )
        assert math.isfinite(score.nats)
        assert score.nats > 0 or (result.uses_training_text and score.nats == 0), "xz pads to four bytes"
        assert result.seconds >= 0
        assert result.description
        assert result.uses_training_text == (result.name not in ("uniform", *compressors))


def test_uniform_has_the_perplexity_of_the_vocabulary_size(corpus: Corpus) -> None:
    score = run(corpus, UniformSettings())["uniform"].score
    assert score.perplexity == pytest.approx(corpus.vocab.size)


def test_unigram_uses_counts_with_one_added(corpus: Corpus) -> None:
    counts = Counter(corpus.open("train").tokens[1:].tolist())
    total = sum(counts.values()) + corpus.vocab.size
    tokens = corpus.open("test").tokens[1:].tolist()
    expected = -sum(math.log((counts[token] + 1) / total) for token in tokens)
    assert run(corpus, UnigramSettings())["unigram"].score.nats == pytest.approx(expected)


def test_kneser_ney_has_the_score_of_the_equations(corpus: Corpus) -> None:
    straight = StraightLine(corpus.open("train").tokens.tolist(), corpus.vocab.size, 4)
    tokens = corpus.open("test").tokens.tolist()
    expected = -sum(
        math.log(straight.probability(tokens[i], tuple(tokens[max(0, i - 3) : i]))) for i in range(1, len(tokens))
    )
    result = run(corpus, KneserNeySettings(order=4))["kneser-ney-4"]
    assert result.score.nats == pytest.approx(expected, rel=1e-9)
    assert f"{sum(len(counts) for counts in straight.counts):,} n-grams" in result.description


def test_streamed_compressors_have_the_size_of_the_whole_text(corpus: Corpus) -> None:
    train, test = text_of(corpus, "train"), text_of(corpus, "test")
    results = run(corpus, XzSettings(), Bz2Settings(), ZstdSettings())
    zstd = pa.Codec("zstd", compression_level=22)
    whole = {
        "xz": lambda text: len(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)),
        "bz2": lambda text: len(bz2.compress(text)),
        "zstd": lambda text: len(zstd.compress(text, asbytes=True)),
    }
    for name, size in whole.items():
        assert results[name].score.nats == pytest.approx(size_in_nats(size(test)))
        given = size(train + test) - size(train)
        assert results[f"{name}, given train"].score.nats == pytest.approx(size_in_nats(given))


# ---- what a compressor gets


@pytest.mark.parametrize("kind", [PpmdSettings(), XzSettings(), ZstdSettings()], ids=lambda kind: kind.type)
def test_a_copy_of_training_text_needs_almost_no_bits(kind: BaselineKind, tmp_path: Path) -> None:
    if isinstance(kind, PpmdSettings):
        pytest.importorskip("pyppmd", reason="needs pyppmd")
    draw = random.Random(0)
    noise = "".join(draw.choices("0123456789abcdef", k=20_000))
    corpus = build_corpus(tmp_path, {"a.txt": noise * 4}, split="50/25/25")
    alone, given = run(corpus, kind).values()
    assert alone.score.bits_per_character == pytest.approx(4, abs=0.4)
    assert given.score.bits_per_character == pytest.approx(0, abs=0.1)


def test_each_end_of_a_document_is_encoded_and_no_cut(tmp_path: Path) -> None:
    corpus = build_corpus(tmp_path, {f"{name}.txt": name * 100 for name in "abcdefghij"}, split="75/25")
    parts = list(read_parts(corpus.directory / "documents", "train"))
    assert [part.is_last_part for part in parts].count(False) == 1, "the border cuts a document"
    text = text_of(corpus, "train")
    assert text.count(b"\xff") == 7
    results = run(corpus, Bz2Settings(), split="train")
    assert results["bz2"].score.nats == pytest.approx(size_in_nats(len(bz2.compress(text))))


def test_documents_of_another_text_are_refused(tmp_path: Path) -> None:
    corpus = build_corpus(tmp_path, TINY)
    documents = corpus.directory / "documents"
    parts = list(read_parts(documents, "test"))
    for shard in documents.glob("test-*.parquet"):
        remove_tree(shard)
    with DocumentWriter(documents, "test") as writer:
        for part in parts[1:]:
            writer.add(part)
    with pytest.raises(DataError, match="prepare the corpus again"):
        run(corpus, XzSettings())


def test_a_long_text_in_chunks_has_the_size_that_it_has_whole() -> None:
    pyppmd = pytest.importorskip("pyppmd", reason="needs pyppmd")
    draw = random.Random(0)
    lexicon = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 9))) for _ in range(5000)]
    text = " ".join(draw.choice(lexicon) for _ in range(60_000)).encode()
    encoder = pyppmd.Ppmd7Encoder(16, 64 << 20)
    whole: dict[Compressor, int] = {
        Ppmd(16, 64 << 20): len(encoder.encode(text) + encoder.flush()),
        Xz(64 << 20): len(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME)),
        Zstd(): len(pa.Codec("zstd", compression_level=22).compress(text, asbytes=True)),
        Bz2(): len(bz2.compress(text)),
    }
    for compressor, size in whole.items():
        chunks = [text[start : start + 10_000] for start in range(0, len(text), 10_000)]
        assert compressor.size(chunks, len(text)) == size, compressor.name


def test_xz_reaches_back_over_a_text_longer_than_its_preset_does() -> None:
    mib = 1 << 20
    assert "dictionary 64 MiB" in Xz(256 * mib).describe(64 * mib)
    assert "dictionary 101 MiB" in Xz(256 * mib).describe(100 * mib + 1)
    assert "dictionary 256 MiB" in Xz(256 * mib).describe(1000 * mib)


def test_a_longer_dictionary_finds_a_copy_beyond_the_preset() -> None:
    draw = random.Random(0)
    copied = draw.randbytes(1 << 16)
    chunks = [copied, bytes(65 << 20), copied]
    size = Xz(128 << 20).size(chunks, sum(map(len, chunks)))
    assert len(copied) < size < 1.3 * len(copied)


class _Greedy:
    """A compressor that needs more memory than there is."""

    name = "greedy"

    def describe(self, window_bytes: int) -> str:
        return f"greedy over {window_bytes} bytes"

    def size(self, chunks: object, window_bytes: int) -> int:
        raise MemoryError


def test_too_little_memory_is_reported(tiny_corpus: Corpus) -> None:
    with pytest.raises(OutOfMemoryError, match="greedy over 287 bytes; lower"):
        list(CompressorBaseline(_Greedy()).results(tiny_corpus, "test", lambda name, done, total: None))


# ---- what can be missing


def test_without_pyppmd_there_is_no_score_but_the_command_that_installs_it(
    tiny_corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyppmd", None)
    results = run(tiny_corpus, PpmdSettings(), UniformSettings())
    missing = results["ppmd-16"]
    assert "pip install pyppmd" in missing.description
    assert missing.score.to_json()["nats"] is None
    assert missing.score.bits_per_byte is None
    assert results["uniform"].score.nats > 0


def test_a_split_that_is_not_there_is_named(tiny_corpus: Corpus) -> None:
    with pytest.raises(UsageError, match="no split 'exam'"):
        run(tiny_corpus, UniformSettings(), split="exam")


# ---- progress


def test_progress_of_each_baseline_grows_to_its_whole(tiny_corpus: Corpus) -> None:
    pytest.importorskip("pyppmd", reason="needs pyppmd")
    steps: dict[str, list[tuple[int, int]]] = {}
    run_baselines(
        tiny_corpus,
        "test",
        BaselineSettings(),
        on_progress=lambda name, done, total: steps.setdefault(name, []).append((done, total)),
    )
    assert list(steps) == ["uniform", "unigram", "kneser-ney-8", "ppmd-16", "xz", "zstd", "bz2"]
    for name, seen in steps.items():
        done = [each for each, _ in seen]
        assert done == sorted(done), name
        assert len({total for _, total in seen}) == 1, name
        assert 0.99 * seen[0][1] <= done[-1] <= seen[0][1], name


def test_progress_may_stop_the_work(tiny_corpus: Corpus) -> None:
    def stop(name: str, done: int, total: int) -> None:
        if name == "bz2":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_baselines(tiny_corpus, "test", BaselineSettings(baselines=(Bz2Settings(),)), on_progress=stop)


# ---- real text


@pytest.mark.real_data
def test_the_enwik8_prefix_has_its_known_scores(shared_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyppmd", reason="needs pyppmd")
    path = shared_data / "enwik8" / "enwik8.first-4000000-bytes"
    settings = CorpusSettings(source=Enwik8Settings(input=(str(path),)), split="90/5/5")
    corpus = prepare(settings, build_source(settings.source), tmp_path / "enwik8")
    results = run(corpus, PpmdSettings(order=16, memory_mib=256), XzSettings())
    assert results["ppmd-16, given train"].score.bits_per_byte == pytest.approx(1.780, abs=0.0005)
    assert results["xz, given train"].score.bits_per_byte == pytest.approx(2.081, abs=0.0005)
