"""Embeddings compared with their definitions: bags of n-grams, words spelled in bytes, hashed context.

B batch, T time, D embedding size, V vocabulary, K rows of a table.
"""

import random
from typing import cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from charlm.errors import SettingsError
from charlm.nn.build import build_model
from charlm.nn.dropout import NoiseRNG
from charlm.nn.embeddings.bag_layout import BagLayout
from charlm.nn.embeddings.bag_sum import bag_sum
from charlm.nn.embeddings.context import ContextEmbedding, context_rows
from charlm.nn.embeddings.ngrams import Combiner, NgramEmbedding
from charlm.nn.embeddings.settings import NgramEmbeddingSettings, TokenEmbeddingSettings
from charlm.nn.embeddings.spelling import MAX_WORD_BYTES, ByteRuns, hash_ngrams
from charlm.nn.embeddings.token_embedding import TokenEmbedding
from charlm.nn.settings import ModelSettings
from charlm.settings import Layer, validate
from charlm.vocab.base import ngram_hash
from tests.nn.bags import bags_of_words, ngrams_of

V, D = 300, 4
SPELL, END, FIRST_BYTE = 257, 258, 1
WORDS = {270: "мама", 271: "мыла", 272: "раму", 280: "мамамама", 290: "a"}
COMBINERS: list[Combiner] = ["sum", "mean", "sqrt"]


def ngram_embedding(combiner: Combiner = "sum", n: int = 3) -> NgramEmbedding:
    torch.manual_seed(0)
    words = {token: word.encode() for token, word in WORDS.items()}
    bags = bags_of_words(V, words, end_id=END, first_byte_id=FIRST_BYTE, n=n)
    embedding = NgramEmbedding(V, D, BagLayout.from_bags(bags), combiner)
    embedding.set_bags(bags)
    return embedding.double()


def spell(word: bytes) -> list[int]:
    return [SPELL, *(FIRST_BYTE + byte for byte in word), END]


def embed(embedding: NgramEmbedding, ids: list[int]) -> Tensor:
    x_BTD, _ = embedding(torch.tensor([ids]), embedding.initial_state(1))
    return x_BTD[0]


# ---- one vector per id


def test_one_hot_times_a_matrix_is_an_embedding() -> None:
    embedding = TokenEmbedding(V, D)
    inputs_BT = torch.randint(0, V, (3, 5))
    one_hot_BTV = torch.nn.functional.one_hot(inputs_BT, V).float()
    expected = one_hot_BTV @ embedding.weight_VD
    found, state = embedding(inputs_BT, ())
    assert torch.equal(found, expected)
    assert state == ()
    gradients = [torch.autograd.grad(x.square().sum(), embedding.weight_VD)[0] for x in (found, expected)]
    torch.testing.assert_close(*gradients)


# ---- sums of bags


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("counts", [[2, 0, 3, 1], [0, 0], [], [1] * 50])
def test_a_bag_is_the_sum_of_its_rows(counts: list[int], sparse: bool) -> None:
    table_KD = torch.randn(9, D, dtype=torch.float64, requires_grad=True)
    rows_M = torch.randint(0, 9, (sum(counts),))
    sums_ND = bag_sum(table_KD, rows_M, torch.tensor(counts, dtype=torch.int64), sparse=sparse)
    by_bag = [table_KD[rows].sum(0) for rows in rows_M.split(counts)] if counts else []
    expected = torch.stack([*by_bag, table_KD[0] * 0])[:-1]
    torch.testing.assert_close(sums_ND, expected)
    weights = torch.randn_like(sums_ND)
    (expected_gradient,) = torch.autograd.grad((expected * weights).sum(), table_KD, allow_unused=True)
    (gradient,) = torch.autograd.grad((sums_ND * weights).sum(), table_KD)
    assert gradient.is_sparse == sparse
    torch.testing.assert_close(gradient.to_dense(), expected_gradient)


def test_a_sparse_gradient_names_the_rows_that_were_read_each_once() -> None:
    table_KD = torch.nn.Parameter(torch.randn(1000, D))
    bag_sum(table_KD, torch.tensor([7, 3, 7, 999]), torch.tensor([3, 1]), sparse=True).sum().backward()
    gradient = cast("Tensor", table_KD.grad).coalesce()
    assert gradient.indices().tolist() == [[3, 7, 999]]
    assert gradient.values()[:, 0].tolist() == [1, 2, 1]


# ---- words as bags of n-grams


@pytest.mark.parametrize("n", [1, 2, 3, 4, 9])
@given(words=st.lists(st.binary(max_size=MAX_WORD_BYTES) | st.text("aбв漢🙂", max_size=16).map(str.encode), min_size=1))
def test_hashes_are_those_of_the_ngrams(n: int, words: list[bytes]) -> None:
    bytes_WS = torch.tensor([list(word.ljust(MAX_WORD_BYTES, b"\0")) for word in words])
    hashes, there = hash_ngrams(ByteRuns(bytes_WS, torch.tensor([len(word) for word in words])), tuple(b"#"), n)
    for row, word in enumerate(words):
        assert hashes[row][there[row]].tolist() == [ngram_hash(ngram) for ngram in ngrams_of(word, n)]


@pytest.mark.parametrize("combiner", COMBINERS)
def test_a_word_is_its_combined_ngrams(combiner: Combiner) -> None:
    embedding = ngram_embedding(combiner)
    row_of = {hash_: row for row, hash_ in enumerate(embedding.hashes_G.tolist())}
    for token, word in WORDS.items():
        vectors = [embedding.weight_RD[row_of[ngram_hash(ngram)]] for ngram in ngrams_of(word.encode(), 3)]
        root = {"sum": 1.0, "mean": len(vectors), "sqrt": len(vectors) ** 0.5}[combiner]
        torch.testing.assert_close(embed(embedding, [token])[0], torch.stack(vectors).sum(0) / root)


@pytest.mark.parametrize("combiner", COMBINERS)
@pytest.mark.parametrize("n", [1, 3, 6])
def test_a_known_word_spelled_is_the_same_word(combiner: Combiner, n: int) -> None:
    """The vector of an unknown word whose n-grams are all known is that of the known word."""
    embedding = ngram_embedding(combiner, n)
    for token, word in WORDS.items():
        torch.testing.assert_close(embed(embedding, spell(word.encode()))[-1], embed(embedding, [token])[0])


def test_an_unknown_word_has_the_ngrams_that_are_known() -> None:
    embedding = ngram_embedding()
    mama, rama = embed(embedding, spell("мама".encode()))[-1], embed(embedding, spell("рама".encode()))[-1]
    row_of = {hash_: row for row, hash_ in enumerate(embedding.hashes_G.tolist())}
    known = ["#ра", "рам", "ма#"]  # the n-grams of "рама" that "мама", "мыла" and "раму" have, with "ама"
    vectors = [embedding.weight_RD[row_of[ngram_hash(ngram.encode())]] for ngram in [*known, "ама"]]
    torch.testing.assert_close(rama, torch.stack(vectors).sum(0))
    assert not torch.allclose(mama, rama)


def test_tokens_without_ngrams_have_vectors_of_their_own() -> None:
    embedding = ngram_embedding()
    own = [token for token in range(V) if token not in WORDS]
    vectors = embed(embedding, own)
    torch.testing.assert_close(vectors, embedding.weight_RD[-len(own) :])
    for word in ("xyz", "", "жжж" * 30):
        torch.testing.assert_close(embed(embedding, spell(word.encode()))[-1], vectors[own.index(END)])


def test_a_long_word_is_known_by_its_first_bytes() -> None:
    embedding = ngram_embedding()
    start = ("мама" * 20).encode()
    first = embed(embedding, spell(start[:MAX_WORD_BYTES]))[-1]
    assert torch.equal(embed(embedding, spell(start[:MAX_WORD_BYTES] + "раму".encode()))[-1], first)
    assert not torch.equal(embed(embedding, spell(start[: MAX_WORD_BYTES - 8] + "раму".encode()))[-1], first)


def test_a_word_is_the_bytes_since_the_last_token_that_was_none() -> None:
    embedding = ngram_embedding()
    mama = "мама".encode()
    word = embed(embedding, spell(mama))[-1]
    for before in ([], [FIRST_BYTE + 200] * 3, [271, SPELL, *spell(b"xyz")], spell(mama[:5])[:-1]):
        torch.testing.assert_close(embed(embedding, before + spell(mama))[-1], word)
    torch.testing.assert_close(embed(embedding, [*spell(mama), END])[-1], embed(embedding, [END])[0])


@given(seed=st.integers(0, 10**6), sizes=st.lists(st.integers(0, 9), max_size=8))
def test_words_in_pieces_are_words_at_once(seed: int, sizes: list[int]) -> None:
    """For cuts anywhere, inside words too, in rows that differ, and in words of more than the bytes that are kept."""
    embedding = ngram_embedding()
    draw = random.Random(seed)
    words = [*(spell(word.encode()) for word in WORDS.values()), spell(("мы" * 20).encode()), [0], [271], [END]]
    rows = [[token for _ in range(40) for token in draw.choice(words)][: 40 + sum(sizes)] for _ in range(3)]
    inputs_BT = torch.tensor([row[draw.randrange(6) :][: 34 + sum(sizes)] for row in rows])
    whole, after = embedding(inputs_BT, embedding.initial_state(3))
    state, pieces = embedding.initial_state(3), list[Tensor]()
    for inputs in inputs_BT.split([*sizes, inputs_BT.shape[1] - sum(sizes)], dim=1):
        x_BTD, state = embedding(inputs, state)
        pieces.append(x_BTD)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, rtol=0, atol=1e-12)
    assert all(torch.equal(mine, other) for mine, other in zip(state, after, strict=True))


def test_the_activation_level_is_as_the_combiner_says() -> None:
    """With the number k of n-grams, the norm of the sum grows as sqrt(k), the mean's falls so, sqrt's is constant."""
    draw = random.Random(0)
    words = {270 + number: bytes(draw.sample(range(97, 123), 4 if number < 15 else 16)) for number in range(30)}
    bags = bags_of_words(V, words, end_id=END, first_byte_id=FIRST_BYTE)
    levels: dict[str, float] = {}
    for combiner in COMBINERS:
        torch.manual_seed(0)
        embedding = NgramEmbedding(V, 256, BagLayout.from_bags(bags), combiner)
        embedding.set_bags(bags)
        norms = embed(embedding, list(words)).detach().norm(dim=1)
        levels[combiner] = float(norms[15:].mean() / norms[:15].mean())
    assert levels == pytest.approx({"sum": 2.0, "mean": 0.5, "sqrt": 1.0}, rel=0.05)


def test_an_ngram_embedding_needs_a_vocabulary_with_ngrams() -> None:
    with pytest.raises(SettingsError, match="vocabulary has n-grams"):
        build_model(ModelSettings(embedding=NgramEmbeddingSettings()), V)


def test_bags_that_contradict_each_other_are_refused() -> None:
    layout = BagLayout.from_bags(bags_of_words(V, {270: b"ab"}, end_id=END, first_byte_id=FIRST_BYTE))
    for change in ({"end_id": V}, {"first_byte_id": V - 255}, {"num_entries": V - 1}, {"num_own": V + 1}):
        with pytest.raises(ValueError, match="do not fit a vocabulary of 300 ids"):
            NgramEmbedding(V, D, layout.model_copy(update=change), "sum")
    for change in ({"num_ngrams": 0}, {"num_entries": 2**50}, {"boundary": (256,)}, {"n": 65}, {"n": "3"}):
        with pytest.raises(SettingsError):
            validate(BagLayout, Layer(layout.model_dump() | change))
    assert validate(BagLayout, Layer(layout.model_dump())) == layout


def test_buffers_that_contradict_each_other_are_refused() -> None:
    ngram_embedding().check_buffers()
    for name, place, value in (
        ("bag_ends_V", 7, 0),
        ("bag_ends_V", -1, 10**6),
        ("rows_E", 3, -1),
        ("rows_E", 3, 10**6),
        ("hashes_G", 0, 2**62),
    ):
        embedding = ngram_embedding()
        embedding.get_buffer(name)[place] = value
        with pytest.raises(ValueError, match="gram"):
            embedding.check_buffers()


# ---- context n-grams


def context_embedding(dropout: float = 0.0, num_buckets: int = 50, backoff: float = 0.0) -> ContextEmbedding:
    torch.manual_seed(1)
    embedding = ContextEmbedding(
        TokenEmbedding(V, D), (2, 4), num_buckets, NoiseRNG(), dropout=dropout, backoff=backoff
    )
    torch.nn.init.normal_(embedding.table_KD)
    return embedding


def test_context_adds_the_vectors_of_the_ngrams_that_end_here() -> None:
    embedding = context_embedding()
    inputs_BT = torch.randint(0, V, (2, 9))
    x_BTD, _ = embedding(inputs_BT, embedding.initial_state(2))
    for row in range(2):
        for time in range(9):
            past = [-1, -1, -1, *inputs_BT[row].tolist()][time : time + 4]
            expected = embedding.tokens.get_parameter("weight_VD")[past[-1]].clone()
            for table, n in enumerate((2, 4)):
                expected += embedding.table_KD[table * 50 + bucket(past[-n:], 50)]
            torch.testing.assert_close(x_BTD[row, time], expected)


def bucket(ngram: list[int], num_buckets: int) -> int:
    """Compute the bucket of tokens, oldest first. Trained tables depend on it."""
    value = 0
    for token in reversed(ngram):
        value = (value * 0x9E3779B97F4A7C15 + token + 2) % 2**64
    signed = value - 2**64 if value >= 2**63 else value
    mixed = ((value ^ (signed >> 32) % 2**64) * 0x9E3779B97F4A7C15) % 2**64
    return (mixed >> 33) % 2**31 % num_buckets


def test_buckets_are_used_evenly_and_depend_on_every_token() -> None:
    history = torch.cartesian_prod(*[torch.arange(-1, 30)] * 3)
    rows = torch.stack(context_rows(history, 1, (2, 3), 1000), 2)[:, 0]
    counts = torch.bincount(rows[:, 1] - 1000, minlength=1000).double()
    expected = len(history) / 1000
    chi_squared = float(((counts - expected) ** 2 / expected).sum())
    assert abs(chi_squared - 999) < 6 * (2 * 999) ** 0.5
    pairs = rows[:, 0].view(31, 31, 31)
    assert torch.equal(pairs, pairs[:1].expand(31, -1, -1)), "a pair does not depend on earlier tokens"
    triples = rows[:, 1].view(31, 31, 31)
    for axis in range(3):
        assert (triples.diff(dim=axis) != 0).double().mean() > 0.99


def test_a_fresh_state_is_no_token_and_not_token_0() -> None:
    embedding = context_embedding(num_buckets=10_000)
    fresh = embedding.initial_state(1)
    assert fresh[-1].tolist() == [[-1, -1, -1]]
    at_start, _ = embedding(torch.tensor([[5]]), fresh)
    after_0, _ = embedding(torch.tensor([[5]]), (torch.zeros_like(fresh[-1]),))
    assert not torch.allclose(at_start, after_0)


def test_an_untrained_context_changes_nothing() -> None:
    tokens = TokenEmbedding(V, D)
    embedding = ContextEmbedding(tokens, (2, 3), 10, NoiseRNG())
    inputs_BT = torch.randint(0, V, (2, 5))
    assert torch.equal(embedding(inputs_BT, embedding.initial_state(2))[0], tokens(inputs_BT, ())[0])


def test_context_dropout_leaves_the_token_itself() -> None:
    embedding = context_embedding(dropout=0.5).train()
    inputs_BT = torch.randint(0, V, (40, 6))
    itself = embedding.tokens(inputs_BT, ())[0]
    context = embedding.eval()(inputs_BT, embedding.initial_state(40))[0] - itself
    dropped = embedding.train()(inputs_BT, embedding.initial_state(40))[0] - itself
    kept = (dropped / context).round(decimals=3)
    assert set(kept.flatten().tolist()) == {0.0, 2.0}
    assert torch.equal(kept, kept[:, :1].expand_as(kept)), "one mask for all time steps"


def test_backing_off_leaves_out_an_ngram_and_all_longer_ones() -> None:
    """Where no n-gram was left out, the output is that of evaluation; the gradient is that of the n-grams left."""
    embedding = context_embedding(num_buckets=1000, backoff=0.3).train()
    inputs_BT = torch.randint(0, V, (200, 8))
    rows = context_rows(torch.cat([embedding.initial_state(200)[-1], inputs_BT], dim=1), 8, (2, 4), 1000)
    vectors = [embedding.table_KD[of_length] for of_length in rows]
    found = embedding(inputs_BT, embedding.initial_state(200))[0] - embedding.tokens(inputs_BT, ())[0]
    candidates = torch.stack([torch.zeros_like(found), vectors[0], vectors[0] + vectors[1]])
    distances = (candidates - found).abs().amax(-1)
    assert distances.amin(0).max() < 1e-5
    shares = torch.bincount(distances.argmin(0).flatten(), minlength=3) / inputs_BT.numel()
    assert shares.tolist() == pytest.approx([0.3, 0.7 * 0.3, 0.7 * 0.7], abs=0.04)
    found.sum().backward()
    assert embedding.table_KD.grad is not None
    gradient = embedding.table_KD.grad.to_dense()
    seen = torch.bincount(rows[1].flatten()[(distances.argmin(0) == 2).flatten()], minlength=2000)
    assert torch.allclose(gradient[1000:], seen[1000:, None].expand(-1, D).to(gradient.dtype))
    assert torch.equal(
        embedding.eval()(inputs_BT, embedding.initial_state(200))[0],
        context_embedding(num_buckets=1000)(inputs_BT, embedding.initial_state(200))[0],
    )


@pytest.mark.parametrize("lengths", [(3, 2), (2, 2), (1,), (17,)])
def test_lengths_of_context_are_checked(lengths: tuple[int, ...]) -> None:
    with pytest.raises(SettingsError, match="context_ngrams"):
        validate(TokenEmbeddingSettings, Layer({"context_ngrams": lengths}))
