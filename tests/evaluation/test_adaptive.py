"""Adaptive evaluation: it never looks ahead, restores the model, and equals its equations."""

import math

import numpy as np
import pytest
import torch

from charlm.data.batches import Batch
from charlm.data.store import TokenStream
from charlm.evaluation.calibration import score_at_temperatures
from charlm.evaluation.continuous_cache import score_with_cache
from charlm.evaluation.dynamic import GradientStatistics, gradient_statistics, score_dynamically
from charlm.evaluation.evaluate import score_tokens
from charlm.evaluation.settings import DynamicSettings
from charlm.nn.bodies.settings import RecurrentSettings
from charlm.nn.build import build_model
from charlm.nn.embeddings.settings import TokenEmbeddingSettings
from charlm.nn.model import LanguageModel
from charlm.nn.settings import ModelSettings
from tests.evaluation.test_evaluate import stream_of

CPU = torch.device("cpu")
SETTINGS = DynamicSettings(lr=3e-3, decay=0.01, segment_len=7)


def build(*, context: tuple[int, ...] = ()) -> LanguageModel:
    torch.manual_seed(0)
    embedding = TokenEmbeddingSettings(size=8, context_ngrams=context, context_buckets=40)
    return build_model(ModelSettings(embedding=embedding, body=RecurrentSettings(hidden_size=16, dropout=0.3)), 12)


def stream(num_tokens: int = 301, seed: int = 1) -> TokenStream:
    """A text that repeats a few words, so that adapting helps."""
    generator = np.random.default_rng(seed)
    words = [[3, 4, 5, 1], [6, 7, 1], [8, 9, 10, 11, 1]]
    ids = [token for _ in range(num_tokens) for token in words[generator.integers(3)]]
    return stream_of(np.array([0, *ids[: num_tokens - 1]]))


def statistics(model: LanguageModel) -> GradientStatistics:
    tokens = torch.from_numpy(stream(331).tokens[:330]).view(5, 66)
    rows = [
        Batch(tokens[:, start : start + 33], tokens[:, start : start + 33].roll(-1, 1), torch.ones(5) > 0)
        for start in (0, 33)
    ]
    return gradient_statistics(model, rows, CPU)


def test_statistics_are_mean_squared_gradients() -> None:
    model = build(context=(2,))
    found = statistics(model)
    tokens = torch.from_numpy(stream(331).tokens[:330]).view(5, 66)
    squares: dict[str, torch.Tensor] = {}
    for start in (0, 33):
        model.zero_grad()
        inputs = tokens[:, start : start + 33]
        features, _ = model(inputs, model.initial_state(5))
        model.head.nll(features, inputs.roll(-1, 1)).mean().backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None
            squares[name] = squares.get(name, torch.zeros_like(parameter)) + parameter.grad.to_dense() ** 2 / 2
    for name, square in squares.items():
        torch.testing.assert_close(found[name], square.detach(), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("context", [(), (2, 3)])
def test_dynamic_evaluation_learns_and_forgets(context: tuple[int, ...]) -> None:
    model = build(context=context)
    usual, text = statistics(model), stream()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    static = score_tokens(model, text, device=CPU)
    adapted = score_dynamically(model, text, usual, SETTINGS, CPU)
    assert np.isfinite(adapted).all()
    assert adapted.mean() < static.mean() - 0.2
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    np.testing.assert_allclose(adapted[:7], static[:7], rtol=1e-5, err_msg="the first segment knows nothing yet")
    tiny = score_dynamically(model, text, usual, DynamicSettings(lr=1e-12, decay=0.0), CPU)
    np.testing.assert_allclose(tiny, static, rtol=1e-4)


def test_what_comes_later_changes_nothing() -> None:
    model = build()
    usual, text = statistics(model), stream()
    other = TokenStream(np.concatenate([text.tokens[:204], stream(100, 5).tokens[1:]]), text.documents)
    adapted = [score_dynamically(model, each, usual, SETTINGS, CPU) for each in (text, other)]
    cached = [score_with_cache(model, each, 50, [(0.3, 0.1)], CPU)[0.3, 0.1] for each in (text, other)]
    for first, second in (adapted, cached):
        np.testing.assert_array_equal(first[:203], second[:203])
        assert not np.array_equal(first[203:300], second[203:300])


def test_one_step_is_its_equation() -> None:
    model = build()
    usual, text = statistics(model), stream(20)
    settings = DynamicSettings(lr=0.01, decay=0.5, segment_len=10, eps=1e-4)
    found = score_dynamically(model, text, usual, settings, CPU)
    ids = torch.from_numpy(text.tokens)
    model.eval()
    features, state = model(ids[None, :10], model.initial_state(1))
    model.head.nll(features, ids[None, 1:11]).mean().backward()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None
            step = 0.01 * parameter.grad / (usual[name].sqrt() + 1e-4)
            parameter.sub_(step)  # theta equals theta0, so there is no pull yet
        features, _ = model(ids[None, 10:19], state)
        expected = model.head.nll(features, ids[None, 11:20])[0]
    np.testing.assert_allclose(found[10:], expected.numpy(), rtol=1e-4)


def test_a_strong_pull_keeps_the_trained_weights() -> None:
    """With decay RMS / mean RMS of at least 1 each step first restores the weights, so only the last update remains."""
    model = build()
    usual = {name: torch.full_like(parameter, 1e-4) for name, parameter in model.named_parameters()}
    text = stream(60)
    held = score_dynamically(model, text, usual, DynamicSettings(lr=1e-7, decay=1.0, segment_len=5), CPU)
    free = score_dynamically(model, text, usual, DynamicSettings(lr=1e-4, decay=0.0, segment_len=5), CPU)
    static = score_tokens(model, text, device=CPU)
    np.testing.assert_allclose(held, static, atol=1e-3)
    assert np.abs(free - static).max() > 1e-2


def test_the_cache_is_its_equation() -> None:
    """Compare with a direct computation of each prediction, over chunk borders, with a cache shorter than the text."""
    model, text = build(), stream(600)
    size, theta, share = 30, 0.2, 0.25
    found = score_with_cache(model, text, size, [(theta, share), (theta, 0.0)], CPU)
    ids = torch.from_numpy(text.tokens)
    model.eval()
    with torch.inference_mode():
        features, _ = model(ids[None, :-1], model.initial_state(1))
        p = model.head.logits(features[0]).softmax(-1)
        h = features[0] / features[0].square().mean(-1, keepdim=True).sqrt()
    for t in range(len(ids) - 1):
        seen = range(max(0, t - size), t)
        weights = [math.exp(theta * float(h[t] @ h[i])) for i in seen]
        own = sum(weight for i, weight in zip(seen, weights, strict=True) if ids[i + 1] == ids[t + 1])
        cached = own / sum(weights) if weights else 0.0
        expected = -math.log((1 - share) * float(p[t, ids[t + 1]]) + share * cached)
        assert found[theta, share][t] == pytest.approx(expected, rel=1e-4), t
    np.testing.assert_allclose(found[theta, 0.0], score_tokens(model, text, num_lanes=1, device=CPU), rtol=1e-4)


def test_a_temperature_divides_logits() -> None:
    model, text = build(), stream(600)
    found = score_at_temperatures(model, text, [1.0, 2.0, 1e6], CPU)
    np.testing.assert_allclose(found[1.0], score_tokens(model, text, num_lanes=1, device=CPU), rtol=1e-5)
    np.testing.assert_allclose(found[1e6], math.log(12), rtol=1e-4)
    assert not np.allclose(found[2.0], found[1.0])
