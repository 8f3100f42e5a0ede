"""Every language model, small and with every parameter random: one of each member of the unions, and of each option.

B batch, T time, V vocabulary.
"""

from itertools import product
from typing import Any, get_args

import torch
from torch import Tensor

from charlm.nn.bodies.settings import BodySettings
from charlm.nn.build import build_model
from charlm.nn.embeddings.frozen import FrozenModels
from charlm.nn.model import LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.nn.state import State
from charlm.settings import Layer, Settings, validate
from charlm.vocab.base import NgramBags
from charlm.vocab.char import CharVocab
from tests.nn.bags import bags_of_words
from tests.nn.cells import BACKENDS
from tests.nn.frozen import to_freeze

SMALL, LARGE = CharVocab("abcdefgh", byte_fallback=False), CharVocab("abcdefgh")
V, H, D = SMALL.size, 8, 6


def members(union: Any) -> dict[str, type[Settings]]:
    """Return the settings classes of a union by their type."""
    return {member.model_fields["type"].default: member for member in get_args(get_args(union)[0])}


def norms_of(body: type[Settings]) -> tuple[str, ...]:
    return get_args(body.model_fields["norm"].annotation)


CELLS = tuple(BACKENDS)
BODIES = members(BodySettings)
FEED_FORWARD: dict[str, dict[str, Any]] = {
    "window": {"window": 4},
    "tcn": {"num_blocks": 2, "kernel_size": 2},
    "rglru": {"num_blocks": 2, "kernel_size": 3, "gate_width": 4},
}
CONTEXT: dict[str, Any] = {"context_ngrams": (2, 4), "context_buckets": 7}

CASES: dict[str, dict[str, Any]] = {
    **{
        f"{cell}-{layers}-{backend}": {"body": {"cell": {"type": cell}, "num_layers": layers, "backend": backend}}
        for cell, layers in product(CELLS, (1, 2))
        for backend in BACKENDS[cell]
    },
    **{
        f"{cell}-{norm}": {"body": {"cell": {"type": cell}, "norm": norm, "norm_steps": 3}}
        for cell, norm in product(CELLS, norms_of(BODIES["recurrent"]))
        if norm != "none"
    },
    **{
        f"{body}-{norm}": {"body": {"type": body, "norm": norm, **FEED_FORWARD[body]}}
        for body in BODIES
        if body != "recurrent"
        for norm in norms_of(BODIES[body])
    },
    "batch-per-step": {"body": {"norm": "batch", "norm_steps": 3, "norm_per_step": True}},
    "lstm-coupled": {"body": {"cell": {"type": "lstm", "coupled": True}}},
    "lstm-mogrifier": {"body": {"cell": {"type": "lstm", "mogrifier_rounds": 3}, "norm": "layer"}},
    "gru-before": {"body": {"cell": {"type": "gru", "reset": "before"}}},
    "lstm-heads": {"body": {"num_heads": 2, "norm": "layer"}},
    "gru-heads": {"body": {"cell": {"type": "gru"}, "num_heads": 4}},
    "rnn-heads": {"body": {"cell": {"type": "rnn"}, "num_heads": 2}},
    "mingru-identity": {"body": {"cell": {"type": "mingru", "activation": "identity"}}},
    "rnn-relu": {"body": {"cell": {"type": "rnn", "activation": "relu"}}},
    "noisy": {
        "body": {
            "zoneout": 0.3,
            "zoneout_hidden": 0.1,
            "recurrent_dropout": 0.2,
            "weight_drop": 0.3,
            "input_dropout": 0.1,
        },
        "embedding": {"dropout": 0.1},
    },
    "residual": {"body": {"num_layers": 3, "skip": "residual"}},
    "dense": {"body": {"num_layers": 2, "skip": "dense"}},
    "dilated": {"body": {"num_layers": 2, "dilations": (1, 3)}},
    "dilated-batch": {"body": {"num_layers": 2, "dilations": (2, 3), "norm": "batch", "norm_steps": 3}},
    "strided": {"body": {"num_layers": 3, "strides": (1, 2, 3), "skip": "residual"}},
    "strided-first": {"body": {"num_layers": 2, "strides": (2, 1), "skip": "dense", "cell": {"type": "gru"}}},
    "strided-dilated": {"body": {"num_layers": 2, "strides": (1, 2), "dilations": (1, 2), "skip": "dense"}},
    "window-deep": {"body": {"type": "window", "window": 3, "num_layers": 3, "activation": "relu"}},
    "rglru-alone": {"body": {"type": "rglru", "num_blocks": 1, "kernel_size": 1}},
    "tied": {"head": {"type": "softmax", "tied": True, "label_smoothing": 0.1}},
    "adaptive": {"head": {"type": "adaptive", "cutoffs": (2, 5), "div_value": 1.5}},
    "token-context": {"embedding": CONTEXT},
    **{
        f"ngram-{combiner}": {"embedding": {"type": "ngram", "size": 2, "combiner": combiner}}
        for combiner in ("sum", "mean", "sqrt")
    },
    "ngram-context": {"embedding": {"type": "ngram", "size": 2, **CONTEXT}},
    "contextual": {"embedding": {"type": "contextual", "forward": "a run", "projection": 5, **CONTEXT}},
    "contextual-alone": {"embedding": {"type": "contextual", "forward": "a run", "size": 0}, "body": {"norm": "layer"}},
}

# LARGE as if its 257 and 258 were <spell> and </spell>, and the six ids after them words of the letters a and b.
SPELL, END = 257, 258
WORDS = {259: b"a", 260: b"ab", 261: b"abba", 262: b"bbbb", 263: b"baab", 264: b"abab"}
BYTES = (1 + ord("a"), 1 + ord("b"), 1 + 0xD0, 1 + 0xB0)


def vocab_of(case: str) -> CharVocab:
    return LARGE if case.startswith("ngram") else SMALL


def bags_of(case: str) -> NgramBags | None:
    return bags_of_words(LARGE.size, WORDS, end_id=END, first_byte_id=1) if case.startswith("ngram") else None


def frozen_of(case: str) -> FrozenModels:
    if not case.startswith("contextual"):
        return {}
    body = {"cell": {"type": "gru"}, "num_layers": 2, "hidden_size": 3, "dropout": 0.5}
    return {"model.embedding.forward": to_freeze({"body": body}, V, "forward")}


def model_settings(case: str, *, size: int = D, **body: Any) -> ModelSettings:
    tree = CASES[case]
    chosen = {
        **tree,
        "embedding": {"size": size, **tree.get("embedding", {})},
        "body": {"hidden_size": H, **tree.get("body", {}), **body},
    }
    return validate(ModelSettings, Layer(chosen))


def build_afresh(case: str, **body: Any) -> LanguageModel:
    return build_model(model_settings(case, **body), vocab_of(case).size, bags_of(case), None, frozen_of(case))


def build(case: str, *, seed: int = 0, **body: Any) -> LanguageModel:
    """Build a model with random parameters and averages; random biases too, since zeros could hide errors."""
    torch.manual_seed(seed)
    model = build_afresh(case, **body)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.4)
        for buffer in model.buffers():
            if buffer.is_floating_point():
                buffer.copy_(torch.rand_like(buffer) * 0.5 + 0.2)
    return model.eval()


def tokens(batch_size: int, num_steps: int, seed: int = 1) -> Tensor:
    return torch.randint(0, V, (batch_size, num_steps), generator=torch.Generator().manual_seed(seed))


def tokens_for(case: str, batch_size: int, num_steps: int, seed: int = 1) -> Tensor:
    """Return tokens of the case's vocabulary in any order, with bytes and </spell> without <spell> too."""
    indices_BT = tokens(batch_size, num_steps, seed)
    if vocab_of(case) is SMALL:
        return indices_BT
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.tensor([0, SPELL, END, END, END, *BYTES, *BYTES, *WORDS])
    return kinds[torch.randint(0, len(kinds), (batch_size, num_steps), generator=generator)]


def random_state(case: str, model: LanguageModel, batch_size: int) -> State:
    """Return a state of random floats, and of integers that some text leads to."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        _, state = model(tokens_for(case, batch_size, 6, seed=6), model.initial_state(batch_size))
    return tuple(
        torch.randn(each.shape, generator=generator, dtype=each.dtype) * 0.3 if each.is_floating_point() else each
        for each in state
    )
