"""Properties of every head: an exact distribution, for any order of ids and any cut into chunks.

B batch, T time, D embedding, H features, V vocabulary.
"""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from charlm.errors import SettingsError
from charlm.nn.dropout import NoiseRNG
from charlm.nn.embeddings.bag_layout import BagLayout
from charlm.nn.embeddings.build import build_embedding
from charlm.nn.embeddings.context import ContextEmbedding
from charlm.nn.embeddings.settings import NgramEmbeddingSettings, TokenEmbeddingSettings
from charlm.nn.embeddings.token_embedding import Embedding, TokenEmbedding
from charlm.nn.heads import softmax as head_module
from charlm.nn.heads.adaptive import AdaptiveSoftmax
from charlm.nn.heads.build import build_head
from charlm.nn.heads.settings import AdaptiveSoftmaxSettings, SoftmaxSettings
from charlm.nn.heads.softmax import Head, Softmax, TiedSoftmax
from charlm.vocab.base import IGNORE_INDEX
from tests.nn.gradients import fast_or_full

V, H, D = 23, 9, 6
SMOOTHING = 0.15
SETTINGS: dict[str, SoftmaxSettings | AdaptiveSoftmaxSettings] = {
    "softmax": SoftmaxSettings(),
    "tied": SoftmaxSettings(tied=True),
    "tied-same-size": SoftmaxSettings(tied=True),
    "adaptive": AdaptiveSoftmaxSettings(cutoffs=(4, 11), div_value=2.0),
    "adaptive-many": AdaptiveSoftmaxSettings(cutoffs=(1, 2, 9, 22), div_value=1.0),
    "adaptive-by-itself": AdaptiveSoftmaxSettings(div_value=3.0),
}
every_head = pytest.mark.parametrize("case", SETTINGS)
every_adaptive = pytest.mark.parametrize("case", [case for case in SETTINGS if case.startswith("adaptive")])


class Model(nn.Module):
    """The parts of a language model that a head may need."""

    def __init__(self, case: str, smoothing: float = 0.0) -> None:
        super().__init__()
        self.embedding: Embedding = TokenEmbedding(V, H if case == "tied-same-size" else D)
        settings = SETTINGS[case].model_copy(update={"label_smoothing": smoothing})
        self.head: Head = build_head(settings, H, V, self.embedding)

    def forward(self, features_BTH: Tensor, targets_BT: Tensor) -> tuple[Tensor, ...]:
        return self.head.logits(features_BTH), *self.head.loss(features_BTH, targets_BT)


def make(case: str, smoothing: float = 0.0, seed: int = 3) -> Model:
    """Make all parameters random; if ids have ranks, permute them so that no id is its own rank."""
    model = Model(case, smoothing)
    generator = torch.Generator().manual_seed(seed)
    model.head.set_frequencies(torch.randperm(V, generator=generator))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.7)
    return model


def features_of(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, H, generator=torch.Generator().manual_seed(seed))


def targets_of(*shape: int, seed: int = 2) -> Tensor:
    return torch.randint(0, V, shape, generator=torch.Generator().manual_seed(seed))


def log_probabilities(model: Model, features: Tensor) -> Tensor:
    """Compute the log-probability of each id in float64, from the papers' equations."""
    head, features = model.head, features.double()
    weights = {name: tensor.double() for name, tensor in head.state_dict().items()}
    if isinstance(head, AdaptiveSoftmax):
        return adaptive_by_hand(weights, head.clusters.cutoffs, features)
    if isinstance(head, TiedSoftmax):
        matrix_VH = model.embedding.state_dict()["weight_VD"].double()
        if "projection_DH" in weights:
            matrix_VH = matrix_VH @ weights["projection_DH"]
    else:
        matrix_VH = weights["weight_VH"]
    logits = torch.stack([features @ row for row in matrix_VH], dim=-1) + weights["bias_V"]
    return logits - logits.exp().sum(-1, keepdim=True).log()


def adaptive_by_hand(weights: dict[str, Tensor], cutoffs: list[int], features: Tensor) -> Tensor:
    """Grave et al., 2017, section 4.2: p(rare word) = p(its cluster) p(word | cluster)."""

    def log_softmax(logits: Tensor) -> Tensor:
        return logits - logits.exp().sum(-1, keepdim=True).log()

    first = log_softmax(features @ weights["clusters.head.weight"].T + weights["clusters.head.bias"])
    by_rank = [first[..., : cutoffs[0]]]
    for number in range(len(cutoffs) - 1):
        into, out_of = weights[f"clusters.tail.{number}.0.weight"], weights[f"clusters.tail.{number}.1.weight"]
        cluster = first[..., cutoffs[0] + number, None]
        by_rank.append(cluster + log_softmax(features @ into.T @ out_of.T))
    ranked = torch.cat(by_rank, dim=-1)
    return torch.stack([ranked[..., rank] for rank in weights["rank_V"].long().tolist()], dim=-1)


# ---- one distribution


@every_head
def test_probabilities_are_those_of_the_equations_and_sum_to_one(case: str) -> None:
    model, features = make(case), features_of(3, 5)
    log_p = log_probabilities(model, features)
    torch.testing.assert_close(log_p.exp().sum(-1), torch.ones(3, 5, dtype=torch.float64))
    torch.testing.assert_close(model.head.logits(features).log_softmax(-1).double(), log_p, rtol=1e-5, atol=1e-5)
    for token in range(V):
        nll = model.head.nll(features, torch.full((3, 5), token))
        torch.testing.assert_close(nll.double(), -log_p[..., token], rtol=1e-5, atol=1e-5)


@every_head
def test_a_loss_has_the_targets_shape_and_is_nothing_where_there_is_no_target(case: str) -> None:
    model, features, targets = make(case), features_of(3, 5), targets_of(3, 5)
    targets[0, 2] = targets[2, 4] = IGNORE_INDEX
    nll = model.head.nll(features, targets)
    assert (nll.dtype, nll.shape) == (torch.float32, targets.shape)
    assert (nll == 0).nonzero().tolist() == [[0, 2], [2, 4]]
    for shape in ((2, 0), (1, 1)):
        assert model.head.nll(features_of(*shape), targets_of(*shape)).shape == shape
    assert model.head.nll(features, torch.full_like(targets, IGNORE_INDEX)).sum() == 0


@every_head
@pytest.mark.parametrize("smoothing", [0.0, SMOOTHING])
def test_ignored_targets_have_no_gradient(case: str, smoothing: float) -> None:
    model, features, targets = make(case, smoothing), features_of(2, 4).requires_grad_(), targets_of(2, 4)
    targets[0, 1] = IGNORE_INDEX
    model.head.loss(features, targets)[0].sum().backward()
    assert features.grad is not None
    assert (features.grad.abs().sum(-1) == 0).nonzero().tolist() == [[0, 1]]


@every_head
@pytest.mark.parametrize("smoothing", [0.0, SMOOTHING])
@pytest.mark.parametrize("chunk_elements", [1, V, 3 * V, 1000 * V])
def test_a_loss_in_chunks_is_the_loss_at_once(
    case: str, smoothing: float, chunk_elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, features, targets = make(case, smoothing), features_of(2, 7).requires_grad_(), targets_of(2, 7)
    targets[1, 3] = IGNORE_INDEX
    sizes: list[int] = []
    logits = model.head.logits

    def counted(features: Tensor) -> Tensor:
        sizes.append(len(features))
        return logits(features)

    whole = model.head.loss(features, targets)
    (gradient,) = torch.autograd.grad(whole[0].sum(), features)
    monkeypatch.setattr(head_module, "_CHUNK_ELEMENTS", chunk_elements)
    monkeypatch.setattr(model.head, "logits", counted)
    chunked = model.head.loss(features, targets)
    for mine, other in zip(chunked, whole, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(torch.autograd.grad(chunked[0].sum(), features)[0], gradient, rtol=1e-5, atol=1e-6)
    if sizes:
        assert max(sizes) <= max(1, chunk_elements // V)
        assert sum(sizes) == targets.numel()


@every_head
@pytest.mark.parametrize("smoothing", [0.0, SMOOTHING])
@fast_or_full
def test_gradients_are_those_of_finite_differences(case: str, smoothing: float, fast_mode: bool) -> None:
    model, targets = make(case, smoothing).double(), targets_of(2, 3)
    targets[1, 1] = IGNORE_INDEX
    names = [name for name, _ in model.named_parameters()]

    def run(features_BTH: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        parameters = dict(zip(names, values, strict=True))
        return torch.func.functional_call(model, parameters, (features_BTH, targets))

    leaves = (features_of(2, 3).double(), *model.parameters())
    values = tuple(leaf.detach().clone().requires_grad_() for leaf in leaves)
    assert torch.autograd.gradcheck(run, values, fast_mode=fast_mode)


@every_head
def test_the_loss_is_fp32_whatever_the_features_are(case: str) -> None:
    model, targets = make(case, SMOOTHING), targets_of(2, 9)
    exact = model.head.nll(features_of(2, 9), targets)
    for features in (features_of(2, 9), features_of(2, 9).bfloat16()):
        with torch.autocast("cpu", torch.bfloat16):
            loss, nats = model.head.loss(features, targets)
            nll, logits = model.head.nll(features, targets), model.head.logits(features)
        assert {tensor.dtype for tensor in (loss, nats, nll, logits)} == {torch.float32}
        torch.testing.assert_close(nll, exact, rtol=0.02, atol=0.1)
        assert not torch.equal(nll, nll.bfloat16().float()), "the sums were not rounded to bf16"


@every_head
def test_logits_are_of_features_with_any_leading_axes(case: str) -> None:
    model, features = make(case), features_of(2, 3)
    logits = model.head.logits(features)
    assert logits.shape == (2, 3, V)
    torch.testing.assert_close(model.head.logits(features[0, 1]), logits[0, 1])
    torch.testing.assert_close(model.head.logits(features[1]), logits[1])
    assert model.head.logits(features[:, :0]).shape == (2, 0, V)


# ---- label smoothing


@every_head
def test_without_smoothing_what_training_lowers_is_the_nats(case: str) -> None:
    model, features, targets = make(case), features_of(2, 3), targets_of(2, 3)
    loss, nats = model.head.loss(features, targets)
    assert loss is nats
    assert torch.equal(nats, model.head.nll(features, targets))


@every_head
def test_smoothing_spreads_a_share_of_the_target_and_leaves_the_nats_exact(case: str) -> None:
    model, features, targets = make(case, SMOOTHING), features_of(2, 6), targets_of(2, 6)
    targets[0, 0] = IGNORE_INDEX
    loss, nats = model.head.loss(features, targets)
    torch.testing.assert_close(nats, model.head.nll(features, targets), rtol=1e-6, atol=1e-6)
    log_p = log_probabilities(model, features)
    expected = -(1 - SMOOTHING) * log_p.gather(-1, targets.clamp(min=0)[..., None])[..., 0] - SMOOTHING * log_p.mean(-1)
    expected[0, 0] = 0
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-5)


# ---- saved, built without weights, copied


@every_head
def test_a_saved_head_is_the_same_head(case: str) -> None:
    model, features, targets = make(case), features_of(2, 6), targets_of(2, 6)
    expected = model(features, targets)
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.device("meta"):
        empty = Model(case)
    assert {name: tensor.shape for name, tensor in empty.state_dict().items()} == {
        name: tensor.shape for name, tensor in weights.items()
    }
    empty.load_state_dict(weights, assign=True)
    for loaded in (empty, copy.deepcopy(model)):
        loaded.head.check_buffers()
        assert all(torch.equal(mine, other) for mine, other in zip(loaded(features, targets), expected, strict=True))
        with torch.no_grad():
            for parameter in loaded.parameters():
                parameter.mul_(2)
        assert not torch.allclose(loaded(features, targets)[0], expected[0])
    with torch.no_grad():
        assert torch.equal(make(case)(features, targets)[1], expected[1]), "a second model of this case scores the same"


# ---- frequencies


@every_head
def test_a_head_can_start_from_the_frequencies(case: str) -> None:
    model = Model(case)
    counts = torch.arange(V) ** 2
    model.head.set_frequencies(counts)
    p_V = model.head.logits(torch.zeros(H)).softmax(-1)
    expected = (counts + 0.1) / (counts + 0.1).sum()
    if isinstance(model.head, AdaptiveSoftmax):
        num_frequent = model.head.clusters.cutoffs[0]
        torch.testing.assert_close(p_V[-num_frequent:], expected[-num_frequent:], rtol=1e-2, atol=0)
        torch.testing.assert_close(p_V[:-num_frequent].sum(), expected[:-num_frequent].sum(), rtol=1e-2, atol=0)
    else:
        torch.testing.assert_close(p_V, expected)


@every_adaptive
def test_the_more_frequent_an_id_the_lower_its_rank(case: str) -> None:
    head = Model(case).head
    assert isinstance(head, AdaptiveSoftmax)
    assert head.rank_V.tolist() == list(range(V))
    counts = torch.tensor([3, 9, 3, 0, 7] + [1] * (V - 5))
    for _ in range(2):
        head.set_frequencies(counts)
        assert head.rank_V.tolist() == [2, 0, 3, V - 1, 1, *range(4, V - 1)]
        head.check_buffers()


# ---- tied


def test_a_tied_head_is_the_embedding_seen_from_behind() -> None:
    model = make("tied-same-size")
    untied = Softmax(H, V)
    bias_V = model.head.state_dict()["bias_V"]
    untied.load_state_dict({"weight_VH": model.embedding.state_dict()["weight_VD"], "bias_V": bias_V})
    features, targets = features_of(2, 5), targets_of(2, 5)
    assert torch.equal(model.head.nll(features, targets), untied.nll(features, targets))
    model.head.nll(features, targets).sum().backward()
    untied.nll(features, targets).sum().backward()
    assert isinstance(model.embedding, TokenEmbedding)
    assert model.embedding.weight_VD.grad is not None
    assert untied.weight_VH.grad is not None
    torch.testing.assert_close(model.embedding.weight_VD.grad, untied.weight_VH.grad)


@pytest.mark.parametrize("case", ["tied", "tied-same-size"])
def test_tied_weights_are_saved_and_counted_once(case: str) -> None:
    model = make(case)
    own = {"bias_V"} if case == "tied-same-size" else {"bias_V", "projection_DH"}
    assert set(model.head.state_dict()) == {name for name, _ in model.head.named_parameters()} == own
    assert set(model.state_dict()) == {"embedding.weight_VD", *(f"head.{name}" for name in own)}


@pytest.mark.parametrize("case", ["tied", "tied-same-size"])
def test_a_tied_head_follows_the_embedding_of_its_own_model(case: str) -> None:
    first, features = make(case), features_of(2)
    before = first.head.logits(features)
    with torch.device("meta"):
        loaded = Model(case)
    loaded.load_state_dict(first.state_dict(), assign=True)
    loaded.load_state_dict({name: tensor.clone() for name, tensor in first.state_dict().items()}, assign=True)
    for twin in (copy.deepcopy(first), loaded):
        assert torch.equal(twin.head.logits(features), before)
        with torch.no_grad():
            twin.embedding.get_parameter("weight_VD").mul_(2)
        bias_V = first.head.get_parameter("bias_V")
        torch.testing.assert_close(twin.head.logits(features) - bias_V, 2 * (before - bias_V))
        assert torch.equal(first.head.logits(features), before)


def test_a_context_embedding_has_a_vector_for_each_token_too() -> None:
    embedding = build_embedding(
        TokenEmbeddingSettings(size=D, context_ngrams=(2,), context_buckets=5), V, None, NoiseRNG()
    )
    assert isinstance(embedding, ContextEmbedding)
    head = build_head(SoftmaxSettings(tied=True), H, V, embedding)
    features = features_of(2)
    before = head.logits(features)
    with torch.no_grad():
        embedding.tokens.get_parameter("weight_VD").mul_(2)
    assert not torch.allclose(head.logits(features), before)


def test_an_embedding_without_a_vector_for_each_id_cannot_be_tied() -> None:
    layout = BagLayout(num_ngrams=3, num_own=300, num_entries=300, n=3, end_id=1, first_byte_id=2, boundary=(32,))
    for context in ((), (2,)):
        embedding = build_embedding(NgramEmbeddingSettings(size=D, context_ngrams=context), 300, layout, NoiseRNG())
        with pytest.raises(SettingsError, match=r"model.head.tied.*model.embedding.type=token"):
            build_head(SoftmaxSettings(tied=True), H, 300, embedding)
        assert isinstance(build_head(SoftmaxSettings(), H, 300, embedding), Softmax)


# ---- adaptive


@every_adaptive
def test_an_adaptive_head_is_that_of_torch_over_ranks(case: str) -> None:
    head, features, targets = make(case).head, features_of(2, 8), targets_of(2, 8)
    assert isinstance(head, AdaptiveSoftmax)
    output = head.clusters(features.flatten(0, 1), head.rank_V[targets.flatten()]).output
    torch.testing.assert_close(head.nll(features, targets), -output.view(2, 8))
    ranked = head.clusters.log_prob(features.flatten(0, 1)).view(2, 8, V)
    torch.testing.assert_close(head.logits(features)[..., head.rank_V.argsort()], ranked)


@every_adaptive
def test_every_parameter_has_a_gradient_even_of_clusters_that_no_target_is_in(case: str) -> None:
    model = make(case)
    head = model.head
    assert isinstance(head, AdaptiveSoftmax)
    most_frequent = int(head.rank_V.argmin())
    for targets in (torch.full((1, 3), most_frequent), torch.full((1, 3), IGNORE_INDEX)):
        head.zero_grad(set_to_none=True)
        head.nll(features_of(1, 3), targets).sum().backward()
        gradients = {name: parameter.grad for name, parameter in head.named_parameters()}
        assert all(gradient is not None for gradient in gradients.values())
        assert all(
            not gradient.any() for name, gradient in gradients.items() if "tail" in name and gradient is not None
        )


def test_ranks_that_contradict_each_other_are_refused() -> None:
    for wrong in ([0] * V, [*range(1, V + 1)], [-1, *range(1, V)]):
        head = make("adaptive").head
        head.load_state_dict(head.state_dict() | {"rank_V": torch.tensor(wrong)})
        with pytest.raises(ValueError, match="rank_V"):
            head.check_buffers()


@pytest.mark.parametrize(
    ("vocab_size", "cutoffs"), [(1000, [50, 200]), (20, [1, 4]), (10, [1, 2]), (9, [1]), (3, [1]), (2, [1])]
)
def test_a_head_finds_its_own_cutoffs(vocab_size: int, cutoffs: list[int]) -> None:
    head = build_head(AdaptiveSoftmaxSettings(), 64, vocab_size, TokenEmbedding(vocab_size, D))
    assert isinstance(head, AdaptiveSoftmax)
    assert head.clusters.cutoffs == [*cutoffs, vocab_size]


def test_cutoffs_and_sizes_that_do_not_fit_are_refused() -> None:
    refusals: list[tuple[str, Callable[[], Head]]] = [
        ("cutoffs", lambda: build_head(AdaptiveSoftmaxSettings(cutoffs=(3, V)), H, V, TokenEmbedding(V, D))),
        ("cutoffs", lambda: build_head(AdaptiveSoftmaxSettings(), H, 1, TokenEmbedding(1, D))),
        (
            "div_value",
            lambda: build_head(AdaptiveSoftmaxSettings(cutoffs=(3, 7), div_value=4.0), 15, V, TokenEmbedding(V, D)),
        ),
        ("div_value", lambda: build_head(AdaptiveSoftmaxSettings(div_value=1e308), H, V, TokenEmbedding(V, D))),
    ]
    for key, build in refusals:
        with pytest.raises(SettingsError, match=rf"model\.head\.{key}.*; .*(set|lower)"):
            build()
    assert (
        build_head(AdaptiveSoftmaxSettings(cutoffs=(3, V - 1), div_value=3.0), H, V, TokenEmbedding(V, D)).vocab_size
        == V
    )
