"""Read many ids of prompts at once, several prompts side by side.

    prompts, each with a state ──[P, T] ids──> model ──> states, features ── scores of the ids, if a task asks for them

P prompts, T time, H features, V vocabulary.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from charlm.nn.state import concatenate_rows, select_rows
from charlm.serving.batching.rows import PromptRow
from charlm.serving.batching.scoring import score_features
from charlm.serving.text_events import ScoredToken


@torch.inference_mode()
def read_chunk(prompts: Sequence[PromptRow], length: int, device: torch.device, group_size: int | None) -> None:
    """Let each prompt read its next ids. An error of the scores of one prompt ends its request alone.

    Args:
        prompts: of one model.
        length: ids, as many as each has left at least.
        group_size: the rows of the product, filled up with copies of the first one; as many as there are prompts if
            left out.
    """
    model = prompts[0].model
    num_rows = group_size or len(prompts)
    chosen = [*prompts, *[prompts[0]] * (num_rows - len(prompts))]
    inputs_BT = np.stack([each.task.context_ids[each.num_read : each.num_read + length] for each in chosen])
    states = [each.state for each in chosen if each.state is not None]
    features_BTH, state = model(torch.from_numpy(inputs_BT.astype(np.int64)).to(device), concatenate_rows(states))
    logits_BV = model.head.logits(features_BTH[:, -1]).cpu()
    for place, prompt in enumerate(prompts):
        if prompt.task.scores_prompt:
            try:
                prompt.scored += _score(prompt, features_BTH[place])
            except Exception as error:  # noqa: BLE001 - it is raised again where the stream is read
                prompt.request.fail(error)
        prompt.num_read += length
        prompt.state = select_rows(state, torch.tensor([place], device=device))
        prompt.logits_V = logits_BV[place].clone()


def _score(prompt: PromptRow, features_TH: Tensor) -> list[ScoredToken]:
    """Score the ids after those of a chunk; before all others the first id, which nothing predicts."""
    task, num_scored = prompt.task, len(prompt.scored)
    first = [] if num_scored else [ScoredToken(int(task.context_ids[0]), None)]
    start = num_scored + len(first)
    targets = task.context_ids[start : start + len(features_TH)]
    return first + score_features(prompt.model, features_TH, targets, task.num_alternatives or 0)
