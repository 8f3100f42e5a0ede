"""The n-gram component: its tables against direct counts, its distribution, its files, and its place in a model."""

from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from charlm.checkpoint import ResumeData, load_model, save_checkpoint
from charlm.errors import CheckpointError, SettingsError
from charlm.nn.build import LabelInputs, build_model
from charlm.nn.model import LanguageModel
from charlm.nn.ngrams.build import usual_order
from charlm.nn.ngrams.counting import CountingOptions, NgramCounts, count_ngrams
from charlm.nn.ngrams.files import NGRAMS_FILE
from charlm.nn.ngrams.lookup import NgramLookup
from charlm.nn.ngrams.mixture_examples import MixtureExamples
from charlm.nn.ngrams.model import NgramLanguageModel
from charlm.nn.ngrams.order_counts import NUM_FIGURES, Evidence
from charlm.nn.ngrams.refit import refit_mixture
from charlm.nn.ngrams.settings import NgramComponentSettings
from charlm.nn.ngrams.tables import BYTES_PER_NGRAM, NgramTables
from charlm.nn.ngrams.training_counts import EvidenceSpan, TrainingCounts, count_training_text
from charlm.nn.settings import ModelSettings
from charlm.sampling.fast.fused import FusedNgramStepper
from charlm.sampling.fast.stepper import choose_stepper
from charlm.settings import Layer, validate
from charlm.vocab.base import IGNORE_INDEX, IntArray
from charlm.vocab.char import CharVocab

EOD = 0
VOCAB = CharVocab("abcdefgh")
V = VOCAB.size


def stream(seed: int, num_documents: int, length: int, vocab_size: int = 6) -> IntArray:
    """Return documents of repeating words, so that n-grams of every length occur several times."""
    rng = np.random.default_rng(seed)
    words = [rng.integers(1, vocab_size, rng.integers(1, 5)) for _ in range(8)]
    documents = [
        np.concatenate([words[i] for i in rng.integers(0, len(words), length)] + [np.array([EOD])])
        for _ in range(num_documents)
    ]
    return np.concatenate([np.array([EOD]), *documents]).astype(np.uint16)


def count(
    tokens: IntArray, order: int, *, min_count: int = 1, block: int = 1000, max_bytes: int = 1 << 30
) -> NgramCounts:
    return count_ngrams(tokens, V, EOD, CountingOptions(order, min_count, block, max_bytes))


def looked_up(tables: NgramTables, tokens: IntArray) -> Evidence:
    """Return (P, E) what the tables say of each token except the first, whoever counted it."""
    lookup = NgramLookup(tables.order)
    lookup.set_tables(tables, torch.device("cpu"), torch.float32)
    ids_T = torch.from_numpy(tokens.astype(np.int64))
    contexts_TK = lookup.advance(ids_T[None, :-1], lookup.initial_contexts(1, torch.device("cpu")))[0]
    figures_TK4 = torch.cat([lookup.after(contexts_TK, ids_T[1:])[..., None], lookup.figures(contexts_TK)], dim=-1)
    return figures_TK4.flatten(1).half().numpy()


def evidence_of(counted: TrainingCounts, tokens: IntArray) -> npt.NDArray[np.float32]:
    """Return (P, E) the evidence about all predictions of a training text."""
    num_predictions = len(tokens) - 1
    return counted.evidence.read((1, num_predictions), [EvidenceSpan(0, 0, 0, num_predictions)])[0].numpy()


def documents_of(tokens: IntArray) -> list[list[int]]:
    """Return for each document the indices of its tokens, with the <eod> that ends it."""
    found: list[list[int]] = [[]]
    for index, token in enumerate(tokens):
        found[-1].append(index)
        if token == EOD:
            found.append([])
    return [document for document in found if document]


def direct_counts(
    tokens: IntArray, order: int, min_count: int, without: int | None = None
) -> dict[tuple[int, ...], Counter[int]]:
    """Count in how many documents each n-gram ends, document by document: context -> the tokens that follow."""
    found: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
    for number, document in enumerate(documents_of(tokens)):
        if number == without:
            continue
        ngrams = {
            tuple(int(t) for t in tokens[i - n + 1 : i + 1])
            for i in document
            for n in range(2, order + 1)
            if i >= n - 1
        }
        for ngram in ngrams:
            found[ngram[:-1]][ngram[-1]] += 1
    for context, followers in found.items():
        if len(context) >= 4:
            for token in [token for token, number in followers.items() if number < min_count]:
                del followers[token]
    return found


def direct_figures(
    followers: Counter[int], token: int, discounts: npt.NDArray[np.float64]
) -> tuple[float, float, float, float]:
    total = sum(followers.values())
    if not total:
        return 0.0, 1.0, 0.0, 0.0
    kept = {w: number - discounts[min(number, 3)] for w, number in followers.items()}
    agreement = sum(number**2 for number in followers.values()) / total**2
    return kept.get(token, 0.0) / total, 1 - sum(kept.values()) / total, float(np.log1p(total)), agreement


@pytest.mark.parametrize("min_count", [1, 2])
def test_evidence_is_that_of_the_other_documents(min_count: int) -> None:
    tokens, order = stream(1, 60, 12), 6
    counted = count(tokens, order, min_count=min_count)
    for number, document in list(enumerate(documents_of(tokens)))[1:60:7]:
        others = direct_counts(tokens, order, min_count, without=number)
        for i in document:
            for n, table in enumerate(counted.tables.orders, start=2):
                found = counted.evidence[i - 1, (n - 2) * NUM_FIGURES : (n - 1) * NUM_FIGURES]
                context = tuple(int(t) for t in tokens[max(0, i - n + 1) : i]) if i >= n - 1 else ()
                expected = direct_figures(others.get(context, Counter()), int(tokens[i]), table.discounts)
                assert found == pytest.approx(expected, rel=2e-3, abs=1e-4)


def test_tables_hold_the_number_of_documents_of_each_ngram() -> None:
    tokens = stream(2, 60, 10)
    tables = count(tokens, 5, min_count=2).tables
    expected = direct_counts(tokens, 5, 2)
    contexts: list[tuple[int, ...]] = [(token,) for token in range(V)]
    for table in tables.orders:
        ngrams = [(*contexts[key // V], int(key % V)) for key in table.keys.tolist()]
        found = {ngram: int(number) for ngram, number in zip(ngrams, table.counts, strict=True)}
        length = len(ngrams[0])
        assert found == {
            (*context, token): number
            for context, followers in expected.items()
            if len(context) == length - 1
            for token, number in followers.items()
        }
        contexts = ngrams


def test_a_text_of_one_document_is_counted_in_blocks() -> None:
    """Then blocks are what is left out, so that a text has others to learn from."""
    tokens = stream(3, 1, 2000)
    counted = count(tokens, 3, block=50)
    assert counted.tables.orders[0].counts.max() > 10
    assert (counted.evidence[:, 2] > 0).mean() > 0.9


def test_long_documents_have_several_blocks_and_are_left_out_whole() -> None:
    tokens = stream(4, 60, 40)
    short, long = count(tokens, 4, block=20), count(tokens, 4, block=10_000)
    assert short.tables.orders[0].counts.sum() > long.tables.orders[0].counts.sum()
    only_here = np.concatenate([tokens, np.array([7, 7, 7] * 30 + [EOD], dtype=tokens.dtype)])
    inside = count(only_here, 4, block=20).evidence[len(tokens) + 5]
    assert inside[NUM_FIGURES + 2] == 0, "no other document has 7 7"


@pytest.mark.parametrize("num_words", [200, 2000, 20_000])
def test_a_short_text_of_one_document_has_others_to_learn_from(num_words: int) -> None:
    """With the block length of the settings, which is longer than the text."""
    tokens = stream(19, 1, num_words)
    evidence = evidence_of(count_training_text(NgramComponentSettings(order=4), tokens, V, EOD, 4), tokens)
    assert (evidence[:, 2] > 0).mean() > 0.8


def test_a_document_that_is_most_of_the_text_is_left_out_in_blocks() -> None:
    tokens = np.concatenate([stream(20, 1, 4000), stream(21, 60, 3)[1:]])
    counted = count_training_text(NgramComponentSettings(order=3), tokens, V, EOD, 3)
    total = np.expm1(evidence_of(counted, tokens)[:, 2].astype(np.float64))
    assert total.mean() > 0.7 * counted.tables.orders[0].context_sums().totals[tokens[:-1]].mean()


def test_minimum_counts_never_fall_with_the_order() -> None:
    """So that what a context needs to be kept, the n-grams that begin with it need too."""
    tokens = stream(22, 120, 60)
    pruned = count(tokens, 8, max_bytes=(V + 500) * BYTES_PER_NGRAM).tables.orders
    whole = count(tokens, 8).tables.orders
    smallest = [
        int(order.counts.min())
        for order, everything in zip(pruned, whole, strict=True)
        if 0 < len(order.keys) < len(everything.keys)
    ]
    assert len(smallest) == 2
    assert smallest == sorted(smallest)


def test_rare_ngrams_are_left_out_until_the_tables_fit() -> None:
    tokens = stream(5, 80, 30)
    all_of_them, few = count(tokens, 6), count(tokens, 6, max_bytes=(V + 20) * BYTES_PER_NGRAM)
    assert few.tables.num_ngrams <= 20 < all_of_them.tables.num_ngrams
    kept, before = few.tables.orders[0].counts, all_of_them.tables.orders[0].counts
    assert kept.min() > np.sort(before)[-len(kept) - 1]


def test_text_that_is_not_counted_is_looked_up() -> None:
    tokens = stream(6, 80, 20)
    settings = NgramComponentSettings(order=4, min_count=1, max_tokens=1500)
    counted = count_training_text(settings, tokens, V, EOD, 4)
    evidence = evidence_of(counted, tokens)
    assert counted.tables.unigram_counts.sum() == 1499
    assert np.array_equal(evidence[1499:], looked_up(counted.tables, tokens)[1499:])
    assert evidence[1499:, 2].mean() > 1


def test_evidence_is_read_by_spans() -> None:
    """Before the end of the counted text, across it, and after it, with zeros between them."""
    tokens = stream(6, 80, 20)
    counted = count_training_text(NgramComponentSettings(order=4, max_tokens=1500), tokens, V, EOD, 4)
    evidence = evidence_of(counted, tokens)
    spans = [EvidenceSpan(0, 0, 40, 7), EvidenceSpan(0, 7, 1495, 9), EvidenceSpan(1, 3, len(tokens) - 6, 5)]
    found = counted.evidence.read((2, 16), spans).numpy()
    for row, column, first, length in spans:
        assert np.array_equal(found[row, column : column + length], evidence[first : first + length])
        found[row, column : column + length] = 0
    assert not found.any()


@pytest.mark.parametrize(
    ("vocab_size", "tokens_per_character", "order"),
    [(100, 1.0, 12), (256, 1.8, 22), (256, 2.7, 24), (8000, 0.3, 5), (20_000, 0.18, 3), (6000, 1.0, 5)],
)
def test_the_usual_order_covers_about_twelve_characters(
    vocab_size: int, tokens_per_character: float, order: int
) -> None:
    assert usual_order(vocab_size, tokens_per_character) == order


# ---- the model


def settings_of(**parts: Any) -> ModelSettings:
    content = {"body": {"hidden_size": 8}, "embedding": {"size": 4}, "ngram": {"order": 4, "min_count": 1}}
    return validate(ModelSettings, Layer({**content, **parts}))


def model_of(tokens: IntArray, settings: ModelSettings | None = None, order: int = 4) -> NgramLanguageModel:
    torch.manual_seed(0)
    model = build_model(settings or settings_of(), V, None, ngrams=count(tokens, order).tables)
    assert isinstance(model, NgramLanguageModel)
    for parameter in model.parameters():  # weights of the mixture that depend on everything
        torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


HEADS = ({"type": "softmax"}, {"type": "softmax", "tied": True}, {"type": "adaptive", "cutoffs": (20,)})


@pytest.mark.parametrize("head", HEADS, ids=["softmax", "tied", "adaptive"])
@torch.no_grad()
def test_probabilities_sum_to_one(head: dict[str, Any]) -> None:
    tokens = stream(7, 60, 10)
    model = model_of(tokens, settings_of(head=head)).double()
    text = torch.from_numpy(np.concatenate([tokens[:60], np.array([9, 10, 3, 250, 1])]).astype(np.int64))[None]
    features, _ = model(text, model.initial_state(1))
    p = model.head.logits(features).exp()
    assert p.dtype == torch.float64
    assert (p > 0).all()
    assert p.sum(-1).sub(1).abs().max() < 1e-9
    nll = model.head.nll(features[:, :-1], text[:, 1:])
    assert torch.allclose(nll, -p[:, :-1].log().gather(-1, text[:, 1:, None])[..., 0], atol=1e-12)


@torch.no_grad()
def test_the_parts_of_the_mixture_are_distributions() -> None:
    tokens = stream(8, 60, 10)
    model = model_of(tokens).double()
    text = torch.from_numpy(tokens[:40].astype(np.int64))[None]
    features, _ = model(text, model.initial_state(1))
    every = torch.arange(V).expand(40, V)
    repeated = features[0][:, None].expand(40, V, features.shape[-1])
    for nats in model.head.nll_of_parts(repeated, every)[1].values():
        assert (-nats).exp().sum(-1).sub(1).abs().max() < 1e-9
    whole, ignored = model.head.nll_of_parts(features, torch.full((1, 40), -100))
    assert all((nats == 0).all() for nats in (whole, *ignored.values()))


@torch.no_grad()
def test_there_may_be_no_rows() -> None:
    """As for one of several ranks that share little validation text."""
    model = model_of(stream(8, 60, 10))
    nothing = torch.zeros(0, 7, dtype=torch.int64)
    features, _ = model(nothing, model.initial_state(0))
    assert model.head.nll(features, nothing).shape == (0, 7)
    assert model.head.logits(features).shape == (0, 7, V)


@torch.no_grad()
def test_text_in_pieces_gives_the_features_of_the_whole() -> None:
    tokens = stream(9, 60, 10)
    model = model_of(tokens)
    text = torch.from_numpy(tokens[:90].astype(np.int64)).view(3, 30)
    whole, end = model(text, model.initial_state(3))
    state, pieces = model.initial_state(3), []
    for piece in text.split([1, 2, 13, 14], dim=1):
        features, state = model(piece, state)
        pieces.append(features)
    assert torch.allclose(torch.cat(pieces, dim=1), whole, atol=1e-6)
    assert torch.equal(state[0], end[0])


@torch.no_grad()
def test_contexts_are_looked_up_as_they_were_counted() -> None:
    """In a text that is new, the figures of the head are those of direct counts."""
    tokens, new = stream(10, 60, 10), stream(11, 3, 10)
    counted = count(tokens, 4, min_count=1)
    evidence = looked_up(counted.tables, new)
    expected = direct_counts(tokens, 4, 1)
    for i in range(1, len(new)):
        for n, table in enumerate(counted.tables.orders, start=2):
            context = tuple(int(t) for t in new[max(0, i - n + 1) : i]) if i >= n - 1 else ()
            figures = direct_figures(expected.get(context, Counter()), int(new[i]), table.discounts)
            assert evidence[i - 1, (n - 2) * 4 : (n - 1) * 4] == pytest.approx(figures, rel=2e-3, abs=1e-4)


def test_the_loss_from_evidence_is_that_of_look_ups_in_new_text() -> None:
    tokens, new = stream(12, 60, 10), stream(13, 4, 10)
    model = model_of(tokens)
    text = torch.from_numpy(new.astype(np.int64))[None]
    evidence = torch.from_numpy(looked_up(model.ngram_head.lookup.tables, new))[None]
    features, _ = model(text[:, :-1], model.initial_state(1))
    loss, nll = model.head.loss(features, text[:, 1:])
    from_evidence, nats, state = model.loss_from_evidence(text[:, :-1], text[:, 1:], evidence, model.initial_state(1))
    assert torch.allclose(nll, nats, atol=5e-3)
    assert torch.allclose(loss, from_evidence, atol=1e-2)
    assert (state[0] == -1).all(), "training does not need contexts"
    from_evidence.sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.head.parameters())


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("head", HEADS, ids=["softmax", "tied", "adaptive"])
@torch.no_grad()
def test_the_fast_step_is_the_models(head: dict[str, Any], compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In C and in torch, from text that was counted to text that was not."""
    if not compiled:
        monkeypatch.setattr("charlm.sampling.fast.ngrams.load_compiled_library", lambda: None)
    tokens = stream(14, 60, 10)
    model = model_of(tokens, settings_of(head=head))
    counted = torch.from_numpy(tokens[:20].astype(np.int64))
    text = torch.stack([counted, torch.cat([counted[7:17], torch.tensor([250, 9, 3, 1, 2, 2, 2, 2, 8, 0])])])
    _, state = model(text[:, :10], model.initial_state(2))
    stepper = choose_stepper(model, state)
    assert isinstance(stepper, FusedNgramStepper)
    for t in range(10, 20):
        features, state = model(text[:, t : t + 1], state)
        expected = model.head.logits(features[:, -1])
        assert torch.allclose(stepper.step(text[:, t]), expected, atol=2e-5, rtol=1e-5)
    stepper.select_rows(torch.tensor([1, 1]))
    assert all(
        torch.allclose(own[0].float(), old[1].float(), atol=1e-5)
        for own, old in zip(stepper.state(), state, strict=True)
    )


def test_other_tasks_and_smoothed_labels_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"model\.ngram is for language models"):
        build_model(settings_of(), V, None, LabelInputs(3))
    with pytest.raises(SettingsError, match="label_smoothing does not go with"):
        build_model(settings_of(head={"label_smoothing": 0.1}), V, None)


# ---- files


def saved(directory: Path, model: LanguageModel, settings: ModelSettings) -> Path:
    trained_on = {"corpus": "it", "fingerprint": "it"}
    save_checkpoint(
        directory, model=model, settings=settings, vocab=VOCAB, trained_on=trained_on, training=ResumeData({})
    )
    return directory


def test_a_checkpoint_holds_the_tables(tmp_path: Path) -> None:
    model, settings = model_of(stream(15, 60, 10)), settings_of()
    loaded = load_model(saved(tmp_path / "one", model, settings), torch.device("cpu"))
    assert isinstance(loaded.model, NgramLanguageModel)
    text = torch.randint(0, V, (2, 12), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = [each.head.logits(each(text, each.initial_state(2))[0]) for each in (model, loaded.model.eval())]
    assert torch.equal(*logits)
    assert loaded.metadata["ngrams"] == {"order": 4, "ngrams": model.ngram_head.lookup.tables.num_ngrams}


def test_checkpoints_of_a_run_share_the_file(tmp_path: Path) -> None:
    model, settings = model_of(stream(18, 60, 10)), settings_of()
    first, second = (saved(tmp_path / name, model, settings) / NGRAMS_FILE for name in ("one", "two"))
    assert first.samefile(second)
    (tmp_path / "two" / NGRAMS_FILE).unlink()
    first.write_bytes(first.read_bytes()[:-1] + b"?")
    third = saved(tmp_path / "three", model, settings)
    assert load_model(third, torch.device("cpu")), "a damaged file is not taken"


def without(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda arrays: arrays.pop(name)


def changed(name: str, value: int, at: int = -1) -> Callable[[dict[str, Any]], object]:
    def change(arrays: dict[str, Any]) -> None:
        arrays[name] = arrays[name].copy()
        arrays[name][at] = value

    return change


def of_type(name: str, kind: type[np.generic]) -> Callable[[dict[str, Any]], object]:
    return lambda arrays: arrays.update({name: arrays[name].astype(kind)})


@pytest.mark.parametrize(
    "damage",
    [
        without("unigram_counts"),
        without("3.counts"),
        without("2.discounts"),
        changed("unigram_counts", -1),
        changed("2.tokens", V),
        changed("3.tokens", -1),
        changed("3.counts", 0),
        changed("2.starts", 1, at=0),
        changed("4.starts", 1 << 20),
        changed("2.discounts", 4),
        changed("3.counts", 2**31 - 1),
        of_type("3.tokens", np.float32),
        of_type("2.discounts", np.int64),
        of_type("unigram_counts", np.float64),
        lambda arrays: arrays.update({"9.tokens": arrays["2.tokens"]}),
    ],
)
def test_damaged_tables_are_found(damage: Callable[[dict[str, Any]], object]) -> None:
    tables = count(stream(16, 60, 10), 4).tables
    arrays = tables.to_arrays()
    assert NgramTables.from_arrays(arrays, V).num_ngrams == tables.num_ngrams
    damage(arrays)
    with pytest.raises((KeyError, ValueError)):
        NgramTables.from_arrays(arrays, V)


def test_a_checkpoint_without_its_tables_is_damaged(tmp_path: Path) -> None:
    directory = saved(tmp_path / "one", model_of(stream(17, 60, 10)), settings_of())
    (directory / NGRAMS_FILE).unlink()
    with pytest.raises(CheckpointError):
        load_model(directory, torch.device("cpu"))


# ---- fitting the weights again


MIXTURE = ("from_features", "hidden", "from_hidden")


def examples_of(model: NgramLanguageModel, tokens: IntArray) -> MixtureExamples:
    text = torch.from_numpy(tokens.astype(np.int64))[None]
    with torch.no_grad():
        features, _ = model(text[:, :-1], model.initial_state(1))
        return model.ngram_head.examples(features, text[:, 1:])


def test_examples_hold_what_the_loss_depends_on() -> None:
    tokens = stream(20, 60, 10)
    model = model_of(tokens).double()
    text = torch.from_numpy(tokens[:200].astype(np.int64))[None]
    targets = text[:, 1:].clone()
    targets[0, ::7] = IGNORE_INDEX
    with torch.no_grad():
        features, _ = model(text[:, :-1], model.initial_state(1))
        examples = model.ngram_head.examples(features, targets)
        expected = model.head.nll(features, targets)[targets != IGNORE_INDEX]
        assert len(examples) == len(expected) < 199
        assert torch.allclose(model.ngram_head.nll_of_examples(examples), expected, atol=1e-12)


def test_weights_that_are_fitted_again_suit_new_text_and_change_nothing_else() -> None:
    tokens = stream(21, 60, 10)
    model = model_of(tokens)
    fitted, held_out = (examples_of(model, stream(seed, 30, 10)) for seed in (22, 23))
    network = {name: each.clone() for name, each in model.named_parameters() if name.split(".")[-2] not in MIXTURE}
    before = float(model.ngram_head.nll_of_examples(held_out).mean().detach())
    refit_mixture(model.ngram_head, fitted, held_out, 20)
    assert float(model.ngram_head.nll_of_examples(held_out).mean().detach()) < before - 0.05
    assert all(torch.equal(each, dict(model.named_parameters())[name]) for name, each in network.items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_weights_that_are_fitted_again_are_never_worse_for_held_out_text() -> None:
    tokens = stream(24, 60, 10)
    model = model_of(tokens)
    held_out = examples_of(model, tokens[:150])
    refit_mixture(model.ngram_head, held_out, held_out, 60)
    before = float(model.ngram_head.nll_of_examples(held_out).mean().detach())
    misleading = examples_of(model, np.random.default_rng(0).integers(1, V, 4000).astype(np.uint16))
    refit_mixture(model.ngram_head, misleading, held_out, 5)
    assert float(model.ngram_head.nll_of_examples(held_out).mean().detach()) <= before + 1e-6
