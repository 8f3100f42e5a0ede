"""Whether the numbers of a row depend on its place in a batch, or on the other rows.

They should not, but which order a library adds products in is its own business. It is tried out with the model itself.

B rows, T time, V vocabulary.
"""

import torch
from torch import Tensor

from charlm.nn.state import concatenate_rows
from charlm.sampling.fast.stepper import StepperBuilder
from charlm.serving.batching.prompt_queue import CHUNK
from charlm.serving.text_starts import TextStart

GROUP_SIZE = 16
"""Rows of a group. More would make a text that is asked for alone slower; fewer, many texts."""
_NUM_STEPS = 8


@torch.inference_mode()
def reliable_group_size(start: TextStart, device: torch.device) -> int:
    """Return a size of groups in which a row has the same numbers, bit for bit, at each place and beside any others.

    It is 16, or 1, which is always reliable.

    Args:
        start: of any text of the model.
    """
    model = start.model
    if model.stride_period > 1:  # rows of different phases step apart, so that others change the shape of products
        return 1
    generator = torch.Generator().manual_seed(0)
    size, length = GROUP_SIZE, CHUNK + _NUM_STEPS
    ids_BT = torch.randint(model.head.vocab_size, (size, length), generator=generator).to(device)
    order_B = torch.randperm(size, generator=generator).to(device)
    alone_BT = ids_BT[:1].expand(size, -1)
    expected_TBV = _logits(start, ids_BT)
    is_reliable = torch.equal(_logits(start, ids_BT[order_B]), expected_TBV[:, order_B]) and torch.equal(
        _logits(start, alone_BT)[:, :1], expected_TBV[:, :1]
    )
    return size if is_reliable else 1


def _logits(start: TextStart, ids_BT: Tensor) -> Tensor:
    """The logits after a chunk, and after each of the steps that follow."""
    model, state = start.model, concatenate_rows([start.state] * len(ids_BT))
    features_BTH, state = model(ids_BT[:, :CHUNK], state)
    found = [model.head.logits(features_BTH[:, -1])]
    stepper = StepperBuilder(model, streams_change=True).build(state)
    found += [stepper.step(tokens_B).clone() for tokens_B in ids_BT[:, CHUNK:].t()]
    return torch.stack(found)
