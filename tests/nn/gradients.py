"""Gradients compared with finite differences."""

import pytest

fast_or_full = pytest.mark.parametrize(
    "fast_mode", [pytest.param(True, id="directions"), pytest.param(False, id="all", marks=pytest.mark.faults)]
)
"""`fast_mode` of `torch.autograd.gradcheck`: in a random direction of each tensor. In the long runs in every direction:
the function, of few parameters, runs twice for each element."""
