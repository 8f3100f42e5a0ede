"""Models of labels and tags, small and random: bodies x directions x pooling, and batches of rows with padding.

B batch, T time, L labels.
"""

from collections.abc import Iterable
from itertools import combinations, product
from typing import Any

import torch
from torch import Tensor

from charlm.nn.build import Outputs, build_model
from charlm.nn.model import LanguageModel
from charlm.nn.settings import ModelSettings
from charlm.settings import Layer, validate
from tests.nn.cells import BACKENDS

V, L, H, D = 9, 5, 6, 4
LENGTHS = (7, 1, 12, 5)

BODIES: dict[str, dict[str, Any]] = {
    **{
        f"{cell}-{backend}": {"cell": {"type": cell}, "backend": backend, "num_layers": 2}
        for cell, backends in BACKENDS.items()
        for backend in backends
    },
    "layer-norm": {"norm": "layer", "num_layers": 2},
    "weight-norm": {"norm": "weight", "num_layers": 2, "cell": {"type": "gru"}},
    "batch-norm": {"norm": "batch", "norm_steps": 4, "num_layers": 2},
    "batch-norm-per-step": {"norm": "batch", "norm_steps": 4, "norm_per_step": True},
    "mogrifier": {"cell": {"type": "lstm", "mogrifier_rounds": 2}},
    "zoneout": {"zoneout": 0.3, "zoneout_hidden": 0.2},
    "residual": {"num_layers": 3, "skip": "residual"},
    "dense": {"num_layers": 3, "skip": "dense"},
    "dilated": {"num_layers": 2, "dilations": (2, 3)},
    "dilated-batch-norm": {"num_layers": 2, "dilations": (1, 3), "norm": "batch", "norm_steps": 3},
    "strided": {"num_layers": 3, "strides": (1, 2, 3), "skip": "residual"},
    "strided-dense": {"num_layers": 2, "strides": (2, 1), "skip": "dense"},
    "strided-dilated-batch-norm": {
        "num_layers": 2,
        "strides": (1, 2),
        "dilations": (2, 2),
        "skip": "residual",
        "norm": "batch",
        "norm_steps": 3,
    },
    "window": {"type": "window", "window": 4, "num_layers": 2},
    "window-norm": {"type": "window", "window": 3, "norm": "layer"},
    "tcn": {"type": "tcn", "num_blocks": 2, "kernel_size": 2},
    "rglru": {"type": "rglru", "num_blocks": 2, "kernel_size": 3, "gate_width": 3},
    "tcn-norm": {"type": "tcn", "num_blocks": 2, "kernel_size": 3, "norm": "layer"},
}
DIRECTIONS: dict[str, dict[str, Any]] = {
    "forward": {"direction": "forward"},
    "backward": {"direction": "backward"},
    "layers": {"direction": "both", "bidirectional": "layers"},
    "stacks": {"direction": "both", "bidirectional": "stacks"},
}
READERS: dict[str, tuple[bool, dict[str, Any]]] = {
    "tags": (False, {}),
    **{pooling: (True, {"pooling": pooling}) for pooling in ("end", "mean", "max")},
}
"""Whether the model predicts one label for each row, and its settings."""
HEADS: dict[str, dict[str, Any]] = {
    "softmax": {},
    "smoothed-weighted": {"head": {"type": "softmax", "label_smoothing": 0.1, "class_weights": 0.5}},
    "adaptive": {"head": {"type": "adaptive", "cutoffs": (2, 4), "div_value": 1.5}},
}


def covering(*lists: Iterable[str]) -> list[tuple[str, ...]]:
    """Return so much of the product of some lists that each two values of different lists meet at least once."""
    left = {case: set(combinations(enumerate(case), 2)) for case in product(*lists)}
    chosen: list[tuple[str, ...]] = []
    while left:
        case = max(left, key=lambda case: len(left[case]))
        chosen.append(case)
        met = left[case]
        left = {other: pairs for other, all_pairs in left.items() if (pairs := all_pairs - met)}
    return chosen


def settings(body: str, direction: str, reader: str, head: str = "softmax", **body_changes: Any) -> ModelSettings:
    tree: dict[str, Any] = {
        "embedding": {"size": D},
        "body": {"hidden_size": H, **BODIES[body], **body_changes},
        **DIRECTIONS[direction],
        **READERS[reader][1],
        **HEADS[head],
    }
    return validate(ModelSettings, Layer(tree))


def outputs(reader: str) -> Outputs:
    return Outputs(L, READERS[reader][0])


def build(body: str, direction: str, reader: str, head: str = "softmax", **body_changes: Any) -> LanguageModel:
    """Build a model in evaluation mode, with random parameters and averages."""
    torch.manual_seed(0)
    model = build_model(settings(body, direction, reader, head, **body_changes), V, None, outputs(reader))
    model.head.set_frequencies(torch.arange(1, L + 1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.4)
        for name, buffer in model.named_buffers():
            if name.endswith(("mean_LG", "variance_LG", "seen_L")):
                buffer.copy_(torch.rand_like(buffer) * 0.5 + 0.2)
    return model.eval()


def rows(lengths: tuple[int, ...] = LENGTHS, width: int | None = None, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Return inputs_BT and lengths_B. The padding is random tokens, since no result may depend on it."""
    generator = torch.Generator().manual_seed(seed)
    inputs_BT = torch.randint(0, V, (len(lengths), width or max(lengths)), generator=generator)
    return inputs_BT, torch.tensor(lengths)


def read(model: LanguageModel, inputs_BT: Tensor, lengths_B: Tensor) -> Tensor:
    """Return the features of rows."""
    return model(inputs_BT, model.initial_state(len(inputs_BT)), lengths_B)[0]


def targets_for(reader: str, inputs_BT: Tensor, lengths_B: Tensor) -> Tensor:
    """Return targets_BT: a label at the last token, or a tag at every token but each third."""
    targets_BT = (inputs_BT * 2 + 1) % L
    times_T = torch.arange(inputs_BT.shape[1])
    is_asked = (times_T == lengths_B[:, None] - 1) if READERS[reader][0] else (times_T < lengths_B[:, None])
    return targets_BT.where(is_asked & ((times_T % 3 != 2) | READERS[reader][0]), -100)
