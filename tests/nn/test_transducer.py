"""Models that are given a text: they are language models, and no result depends on padding or on other rows.

Exact monotonic attention is held against a sum over all alignments, one by one.

N sources, B rows, T time, S positions, V target vocabulary.
"""

import math
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from charlm.errors import SettingsError
from charlm.nn.build import SourceInputs, build_model
from charlm.nn.conditions.source import MonotonicTransducer, Transducer
from charlm.nn.heads.log_probabilities import LogProbabilityHead
from charlm.nn.model import LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.nn.state import State
from charlm.settings import Layer, validate
from charlm.vocab.base import IGNORE_INDEX

SOURCES, V, END = 8, 6, 0
LENGTHS = (4, 1, 7, 0)
TARGET_IDS = (-1, 3, 4, -1, 1, 2, 3, -1)

KINDS: dict[str, dict[str, Any]] = {
    "additive": {"attention": {"type": "additive", "size": 5}},
    "dot": {"attention": {"type": "dot", "size": 5}},
    "dot-layers": {"attention": {"type": "dot", "size": 5}, "layers_after": 2},
    "additive-copying": {"attention": {"type": "additive", "size": 5}, "copying": True},
    "dot-layers-copying": {"attention": {"type": "dot", "size": 5}, "layers_after": 1, "copying": True},
    "monotonic": {"attention": {"type": "monotonic", "size": 5, "max_jump": 3}},
    "monotonic-far": {"attention": {"type": "monotonic", "size": 5, "max_jump": 20}},
}
BODIES: dict[str, dict[str, Any]] = {
    "lstm": {"hidden_size": 6, "num_layers": 2},
    "gru": {"cell": {"type": "gru"}, "hidden_size": 6},
    "tcn": {"type": "tcn", "num_blocks": 2, "hidden_size": 6},
}
HEADS: dict[str, dict[str, Any]] = {
    "softmax": {"type": "softmax", "label_smoothing": 0.1},
    "tied": {"type": "softmax", "tied": True},
    "adaptive": {"type": "adaptive", "cutoffs": (3,), "div_value": 2},
}
every_kind = pytest.mark.parametrize("kind", KINDS)
every_decoder = pytest.mark.parametrize(
    ("kind", "body"),
    [(kind, body) for kind, body in product(KINDS, BODIES) if body != "tcn" or not KINDS[kind].get("layers_after")],
)


def build(settings: dict[str, Any], size: int = SOURCES, target_size: int = V) -> Transducer:
    inputs = SourceInputs(size, TARGET_IDS if (settings.get("condition") or {}).get("copying") else None)
    model = build_model(validate(ModelSettings, Layer(settings)), target_size, None, inputs)
    assert isinstance(model, Transducer)
    return model


def make(
    kind: str,
    body: str = "lstm",
    head: str = "softmax",
    embedding: dict[str, Any] | None = None,
    encoder: dict[str, Any] | None = None,
) -> Transducer:
    """Build a model in float64, with random parameters."""
    torch.manual_seed(1)
    decoder = {"body": BODIES[body], "head": HEADS[head], "embedding": {"size": 5, **(embedding or {})}}
    reader = {"embedding": {"size": 4}, "body": BODIES["lstm"], **(encoder or {})}
    condition = {"type": "source", "encoder": reader, **KINDS[kind]}
    model = build({**decoder, "condition": condition})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.7)
    return model.double().eval()


def sources(lengths: tuple[int, ...] = LENGTHS, width: int = 9) -> tuple[Tensor, Tensor]:
    """Return source_NS and lengths_N. The padding is random ids, since no result may depend on it."""
    generator = torch.Generator().manual_seed(2)
    return torch.randint(SOURCES, (len(lengths), width), generator=generator), torch.tensor(lengths)


def targets(rows: int = len(LENGTHS), length: int = 8) -> Tensor:
    return torch.randint(V, (rows, length), generator=torch.Generator().manual_seed(3))


def initial_state(model: LanguageModel, batch_size: int) -> State:
    return tuple(
        tensor.double() if tensor.is_floating_point() else tensor for tensor in model.initial_state(batch_size)
    )


def read(model: LanguageModel, inputs_BT: Tensor) -> tuple[Tensor, State]:
    return model(inputs_BT, initial_state(model, len(inputs_BT)))


def log_p(model: LanguageModel, inputs_BT: Tensor) -> Tensor:
    return model.head.logits(read(model, inputs_BT)[0]).log_softmax(-1)


def close(found: Tensor, expected: Tensor, tolerance: float = 1e-9) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


@every_decoder
@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
def test_a_row_depends_on_no_other_row_and_on_no_padding(kind: str, body: str, direction: str) -> None:
    model = make(kind, body, encoder={"direction": direction})
    source_NS, lengths_N = sources()
    inputs_BT = targets()
    together = log_p(model.given((source_NS, lengths_N)), inputs_BT)
    for row, length in enumerate(LENGTHS):
        alone = model.given((source_NS[row : row + 1, :length], lengths_N[row : row + 1]))
        close(log_p(alone, inputs_BT[row : row + 1]), together[row : row + 1])


@every_kind
def test_the_source_and_each_of_its_tokens_matter(kind: str) -> None:
    model = make(kind)
    (source_NS, lengths_N), inputs_BT = sources((5, 5)), targets(2)
    before = log_p(model.given((source_NS, lengths_N)), inputs_BT)
    for position in range(source_NS.shape[1]):
        changed = source_NS.clone()
        changed[0, position] = (changed[0, position] + 1) % SOURCES
        differs_B = (log_p(model.given((changed, lengths_N)), inputs_BT) != before).flatten(1).any(1)
        assert differs_B.tolist() == [position < 5, False]


@every_decoder
@pytest.mark.parametrize("chunks", [[1] * 8, [3, 5], [0, 2, 0, 6]])
def test_chunks_equal_the_whole(kind: str, body: str, chunks: list[int]) -> None:
    model = make(kind, body, embedding={"context_ngrams": (2,), "context_buckets": 8}).given(sources())
    inputs_BT = targets()
    whole, end = read(model, inputs_BT)
    state = initial_state(model, len(inputs_BT))
    pieces: list[Tensor] = []
    for piece in inputs_BT.split(chunks, dim=1):
        features, state = model(piece, state)
        pieces.append(features)
    close(torch.cat(pieces, 1), whole)
    for mine, other in zip(state, end, strict=True):
        close(mine, other)


@every_kind
def test_a_target_depends_on_no_later_token(kind: str) -> None:
    model = make(kind).given(sources())
    inputs_BT = targets()
    changed = inputs_BT.clone()
    changed[:, 5:] = (changed[:, 5:] + 1) % V
    before, after = log_p(model, inputs_BT), log_p(model, changed)
    close(before[:, :5], after[:, :5])
    assert bool((before[:, 5:] != after[:, 5:]).any(-1).all())


@every_kind
@pytest.mark.parametrize("rows", [[2, 0, 0, 2, 1, 3], [3, 2, 1, 0], [1]])
def test_rows_of_the_state_can_be_selected(kind: str, rows: list[int]) -> None:
    """Beams, branches and steps back select rows of the state, and nothing else."""
    model = make(kind).given(sources())
    inputs_BT = targets()
    features, _ = read(model, inputs_BT)
    _, state = read(model, inputs_BT[:, :4])
    selected = tuple(tensor[rows] for tensor in state)
    again, _ = model(inputs_BT[rows][:, 4:], selected)
    close(again, features[rows][:, 4:])


@every_kind
def test_all_rows_read_the_only_source(kind: str) -> None:
    model = make(kind)
    source_NS, lengths_N = sources((5,))
    inputs_BT = targets(3)
    shared = log_p(model.given((source_NS, lengths_N)), inputs_BT)
    copies = log_p(model.given((source_NS.expand(3, -1), lengths_N.expand(3))), inputs_BT)
    close(shared, copies)
    with pytest.raises(ValueError, match="3 rows for 2 sources"):
        model.given(sources((5, 4))).initial_state(3)


@every_kind
@pytest.mark.parametrize("head", HEADS)
def test_probabilities_sum_to_one(kind: str, head: str) -> None:
    model = make(kind, head=head).given(sources())
    features, _ = read(model, targets())
    logits = model.head.logits(features)
    if "copying" in kind or "monotonic" in kind:
        close(logits.exp().sum(-1), torch.ones(4, 8, dtype=torch.float64))
    close(-model.head.nll(features, targets()), logits.log_softmax(-1).gather(-1, targets()[..., None])[..., 0])


@every_kind
def test_the_loss_is_smoothed_and_the_nats_are_not(kind: str) -> None:
    model = make(kind).given(sources())
    features, _ = read(model, targets())
    asked = targets()
    asked[:, 1] = IGNORE_INDEX
    loss, nats = model.head.loss(features, asked)
    found = model.head.logits(features).log_softmax(-1)
    expected = -found.gather(-1, asked.clamp(min=0)[..., None])[..., 0].where(asked >= 0, 0)
    close(nats, expected)
    close(loss, (0.9 * expected - 0.1 * found.mean(-1)).where(asked >= 0, 0))


@every_kind
@pytest.mark.parametrize("head", HEADS)
def test_gradients_are_finite_and_reach_all_parameters(kind: str, head: str) -> None:
    transducer = make(kind, head=head)
    model = transducer.given(sources((4, 1, 7, 2)))
    features, _ = read(model, targets())
    loss, _ = model.head.loss(features, targets())
    loss.sum().backward()
    for name, parameter in transducer.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        assert parameter.grad.abs().sum().item() > 0, name


@every_kind
def test_a_bound_model_shares_its_parameters(kind: str) -> None:
    model = make(kind)
    bound = model.given(sources())
    assert {id(p) for p in bound.parameters()} <= {id(p) for p in model.parameters()}
    assert not bound.training
    assert not bound.body.training
    assert model.train().given(sources()).body.training


# ---- monotonic attention


def enumerate_alignments(
    transducer: MonotonicTransducer, source: tuple[Tensor, Tensor], tokens: list[int]
) -> dict[tuple[int, ...], float]:
    """Return the probability of tokens and alignment, for each alignment to a single source. The first token is only
    read."""
    attention, decoder, head = transducer.attention, transducer.body, transducer.head
    assert isinstance(head, LogProbabilityHead)
    memory_1SM, lengths_1 = transducer.encoder(*source)
    key_SA = attention.key(memory_1SM)[0, : int(lengths_1)]
    x_1TD, _ = transducer.embedding(torch.tensor([tokens]), ())
    state = tuple(tensor.double() for tensor in decoder.initial_state(1))
    query_TA = attention.query(decoder(x_1TD, state)[0])[0]
    found: dict[tuple[int, ...], float] = {}
    for alignment in product(range(len(key_SA)), repeat=len(tokens) - 1):
        probability, before = 1.0, 0
        for step, (position, token) in enumerate(zip(alignment, tokens[1:], strict=True)):
            joint_SA = (query_TA[step] + key_SA).tanh()
            jumps = range(min(attention.jump.out_features, len(key_SA) - before))
            scores = torch.stack(
                [attention.jump(joint_SA[before])[k] + attention.arrival(joint_SA[before + k])[0] for k in jumps]
            )
            jump = position - before
            p_jump = float(scores.softmax(0)[jump]) if jump in jumps else 0.0
            probability *= p_jump * float(head.inner.logits(joint_SA[position]).softmax(-1)[token])
            before = position
        found[alignment] = probability
    return found


@torch.no_grad()
@pytest.mark.parametrize("kind", ["monotonic", "monotonic-far"])
def test_the_filter_equals_the_sum_over_all_alignments(kind: str) -> None:
    transducer = make(kind)
    assert isinstance(transducer, MonotonicTransducer)
    lengths, tokens = (3, 1, 4), [END, 2, 4, 2]
    source_NS, lengths_N = sources(lengths)
    model = transducer.given((source_NS, lengths_N))
    inputs_BT = torch.tensor([tokens]).expand(3, -1)
    nats_BT = model.head.nll(read(model, inputs_BT[:, :-1])[0], inputs_BT[:, 1:])
    weights_BTS = model.alignment(inputs_BT[:, :-1], initial_state(model, 3), inputs_BT[:, 1:])
    for row, length in enumerate(lengths):
        by_alignment = enumerate_alignments(transducer, (source_NS[row : row + 1], lengths_N[row : row + 1]), tokens)
        total = sum(by_alignment.values())
        assert math.isclose(-float(nats_BT[row].sum()), math.log(total), abs_tol=1e-9)
        for step, position in product(range(3), range(length)):
            expected = sum(p for alignment, p in by_alignment.items() if alignment[step] == position + 1) / total
            assert math.isclose(float(weights_BTS[row, step, position]), expected, abs_tol=1e-9)


@every_kind
def test_alignments_are_probabilities_of_source_tokens(kind: str) -> None:
    model = make(kind).given(sources())
    weights_BTS = model.alignment(targets(), initial_state(model, 4))
    assert weights_BTS.shape == (4, 8, 9)
    assert bool((weights_BTS >= 0).all())
    assert bool((weights_BTS.sum(-1) <= 1 + 1e-9).all())
    for row, length in enumerate(LENGTHS):
        assert not weights_BTS[row, :, length:].any()
        assert bool((weights_BTS[row, :, :length] > 0).any()) == (length > 0)


# ---- known answers


@pytest.mark.parametrize(
    ("kind", "task"),
    [("dot", "copy"), ("monotonic", "copy"), ("additive", "reverse"), ("dot", "reverse")],
)
def test_short_strings_are_learned(kind: str, task: str) -> None:
    torch.manual_seed(0)
    rows, length, size = 32, 4, 6
    tree = {
        "type": "source",
        "attention": {"type": kind, "size": 32},
        "encoder": {"embedding": {"size": 16}, "body": {"hidden_size": 32}},
    }
    decoder = {"embedding": {"size": 16}, "body": {"hidden_size": 32}}
    model = build({**decoder, "condition": tree}, size, size)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(0)

    def batch() -> tuple[Tensor, Tensor, Tensor]:
        lengths_N = torch.randint(1, length + 1, (rows,), generator=generator)
        source_NS = torch.randint(1, size, (rows, length), generator=generator)
        source_NS = source_NS.where(torch.arange(length) < lengths_N[:, None], END)
        index_NS = (lengths_N[:, None] - 1 - torch.arange(length)).clamp(min=0)
        answer_NS = source_NS if task == "copy" else source_NS.gather(1, index_NS)
        answer_NS = answer_NS.where(torch.arange(length) < lengths_N[:, None], END)
        return source_NS, lengths_N, torch.nn.functional.pad(answer_NS, (1, 1), value=END)

    for _ in range(150):
        source_NS, lengths_N, answer = batch()
        bound = model.given((source_NS, lengths_N))
        loss, _ = bound.head.loss(bound(answer[:, :-1], bound.initial_state(rows))[0], answer[:, 1:])
        optimizer.zero_grad()
        loss.mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    source_NS, lengths_N, answer = batch()
    bound = model.eval().given((source_NS, lengths_N))
    tokens_B, state, written = torch.full((rows,), END), bound.initial_state(rows), [torch.zeros(rows)]
    for _ in range(length):
        features, state = bound(tokens_B[:, None], state)
        tokens_B = bound.head.logits(features[:, -1]).argmax(-1)
        written.append(tokens_B)
    is_right = (torch.stack(written[1:], 1) == answer[:, 1:-1]) | (answer[:, 1:-1] == END)
    assert is_right.all(1).float().mean() > 0.95


@pytest.mark.parametrize(
    ("tree", "body", "words"),
    [
        ({"copying": True}, "lstm", "copying is for soft attention"),
        ({"layers_after": 1}, "lstm", "layers_after is for soft attention"),
        ({"attention": {"type": "dot"}, "layers_after": 1}, "tcn", "layers_after is for recurrent"),
        ({"attention": {"type": "dot"}, "copying": True}, "lstm", "common characters"),
    ],
)
def test_parts_that_do_not_fit_are_refused(tree: dict[str, Any], body: str, words: str) -> None:
    settings = {"body": BODIES[body], "condition": {"type": "source", **tree}}
    with pytest.raises(SettingsError, match=words):
        build_model(validate(ModelSettings, Layer(settings)), V, None, SourceInputs(SOURCES, None))
