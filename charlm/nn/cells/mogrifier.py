"""The Mogrifier: input and hidden state gate each other in turns, before the cell (Melis, Kočiský & Blunsom, 2020).

    round 1, 3, ...   x = 2 sigmoid(Q h) * x          round 2, 4, ...   h = 2 sigmoid(R x) * h          (eq. 1 and 2)

B batch, D inputs, H hidden.
"""

import torch
from torch import Tensor, nn

from charlm.nn.norm import NormFactory


class Mogrifier(nn.Module):
    """The rounds of gating. Parameters: Q_DH and R_HD in turns, Glorot, weight-normalised if the cell's are."""

    def __init__(self, input_size: int, hidden_size: int, num_rounds: int, norms: NormFactory) -> None:
        super().__init__()
        shapes = [(input_size, hidden_size), (hidden_size, input_size)]
        self.matrices = nn.ParameterList(nn.Parameter(torch.empty(*shapes[k % 2])) for k in range(num_rounds))
        for matrix in self.matrices:
            nn.init.xavier_uniform_(matrix)
        self.scales = nn.ModuleList(norms.make_weight_norm(matrix) for matrix in self.matrices)

    def forward(self, x_BD: Tensor, hidden_BH: Tensor) -> tuple[Tensor, Tensor]:
        for index, (matrix, scale) in enumerate(zip(self.matrices, self.scales, strict=True)):
            if index % 2 == 0:
                x_BD = 2 * torch.sigmoid(nn.functional.linear(hidden_BH, scale(matrix))) * x_BD
            else:
                hidden_BH = 2 * torch.sigmoid(nn.functional.linear(x_BD, scale(matrix))) * hidden_BH
        return x_BD, hidden_BH
