"""The element-wise passes of one recurrent step, in torch: for any device and dtype, and what `kernels.c` is held to.

Every pass writes into tensors that it is given. B batch, G gates, H hidden.
"""

import torch
from torch import Tensor


class EagerKernels:
    """Names, arguments and gate orders as in `kernels.c`; a `gain` of None is 1, a `keep` of None keeps everything."""

    name = "eager"

    def layer_norm(self, x_BG: Tensor, eps: float, rstd_B: Tensor) -> None:
        """x becomes (x - mean) * rstd, over each row."""
        x_BG -= x_BG.mean(1, keepdim=True)
        torch.rsqrt(x_BG.square().mean(1) + eps, out=rstd_B)
        x_BG *= rstd_B[:, None]

    def batch_norm(self, x_BG: Tensor, eps: float, rstd_G: Tensor, mean_G: Tensor, variance_G: Tensor) -> None:
        """x becomes (x - mean) * rstd, over each column."""
        torch.mean(x_BG, 0, out=mean_G)
        x_BG -= mean_G
        torch.mean(x_BG.square(), 0, out=variance_G)
        torch.rsqrt(variance_G + eps, out=rstd_G)
        x_BG *= rstd_G

    def layer_norm_backward(
        self, dy_BG: Tensor, gain_G: Tensor, x_hat_BG: Tensor, rstd_B: Tensor, dx_BG: Tensor
    ) -> None:
        """dx = rstd * (g - mean(g) - x_hat * mean(g * x_hat)) with g = dy * gain, over each row."""
        self._norm_backward(1, dy_BG, gain_G, x_hat_BG, rstd_B, dx_BG)

    def batch_norm_backward(
        self, dy_BG: Tensor, gain_G: Tensor, x_hat_BG: Tensor, rstd_G: Tensor, dx_BG: Tensor
    ) -> None:
        """The same over each column."""
        self._norm_backward(0, dy_BG, gain_G, x_hat_BG, rstd_G, dx_BG)

    @staticmethod
    def _norm_backward(axis: int, dy_BG: Tensor, gain_G: Tensor, x_hat_BG: Tensor, rstd: Tensor, dx_BG: Tensor) -> None:
        g_BG = dy_BG * gain_G
        inner_BG = g_BG - g_BG.mean(axis, keepdim=True) - x_hat_BG * (g_BG * x_hat_BG).mean(axis, keepdim=True)
        torch.mul(inner_BG, rstd.unsqueeze(axis), out=dx_BG)

    def gain_gradient(self, dy_NG: Tensor, x_hat_NG: Tensor, d_gain_G: Tensor) -> None:
        """Sums of dy * x_hat over the rows."""
        torch.sum(dy_NG * x_hat_NG, 0, out=d_gain_G)

    def lstm_gates(
        self,
        inputs_BG: Tensor,
        recurrent_BG: Tensor,
        gain_G: Tensor | None,
        cell_BH: Tensor,
        dropout_mask_BH: Tensor | None,
        gates_BG: Tensor,
        next_cell_BH: Tensor,
    ) -> None:
        """gates: i f g o after their functions (f g o if coupled); after = f c + i g."""
        torch.add(inputs_BG, recurrent_BG if gain_G is None else recurrent_BG * gain_G, out=gates_BG)
        *i, f, g, o = gates_BG.split(cell_BH.shape[1], dim=1)
        for gate in (*i, f, o):
            gate.sigmoid_()
        g.tanh_()
        written_BH = g if dropout_mask_BH is None else g * dropout_mask_BH
        torch.mul(f, cell_BH, out=next_cell_BH)
        next_cell_BH.addcmul_(i[0] if i else 1 - f, written_BH)

    def lstm_output(
        self,
        memory_BH: Tensor,
        gain_H: Tensor | None,
        bias_H: Tensor | None,
        gates_BG: Tensor,
        tanh_BH: Tensor,
        hidden_BH: Tensor,
    ) -> None:
        """hidden = o tanh(memory gain + bias), whose tanh is kept."""
        read_BH = memory_BH if gain_H is None or bias_H is None else torch.addcmul(bias_H, memory_BH, gain_H)
        torch.tanh(read_BH, out=tanh_BH)
        torch.mul(gates_BG[:, -hidden_BH.shape[1] :], tanh_BH, out=hidden_BH)

    def lstm_output_backward(
        self, d_hidden_BH: Tensor, gates_BG: Tensor, tanh_BH: Tensor, d_memory_BH: Tensor, d_gates_BG: Tensor
    ) -> None:
        """d_memory is that of memory gain + bias; of d_gates the output gate's share is written."""
        o = gates_BG[:, -tanh_BH.shape[1] :]
        torch.mul(d_hidden_BH * o, 1 - tanh_BH.square(), out=d_memory_BH)
        d_gates_BG[:, -tanh_BH.shape[1] :] = d_hidden_BH * tanh_BH * o * (1 - o)

    def lstm_gates_backward(
        self, gates_BG: Tensor, cell_BH: Tensor, dropout_mask_BH: Tensor | None, d_cell_BH: Tensor, d_gates_BG: Tensor
    ) -> None:
        """d_cell: in, of the cell after the step; out, of the one before it."""
        size = cell_BH.shape[1]
        *i, f, g, _ = gates_BG.split(size, dim=1)
        *d_i, d_f, d_g, _ = d_gates_BG.split(size, dim=1)
        mask_or_ones_BH = torch.ones_like(g) if dropout_mask_BH is None else dropout_mask_BH
        written_BH = g * mask_or_ones_BH
        d_forget_BH = d_cell_BH * cell_BH
        if i:
            d_i[0].copy_(d_cell_BH * written_BH * i[0] * (1 - i[0]))
        else:
            d_forget_BH -= d_cell_BH * written_BH
        d_f.copy_(d_forget_BH * f * (1 - f))
        d_g.copy_(d_cell_BH * (i[0] if i else 1 - f) * mask_or_ones_BH * (1 - g.square()))
        d_cell_BH *= f

    def gru(
        self,
        inputs_BG: Tensor,
        recurrent_BG: Tensor,
        gain_G: Tensor | None,
        candidate_bias_H: Tensor,
        hidden_BH: Tensor,
        dropout_mask_BH: Tensor | None,
        gates_BG: Tensor,
        recurrent_candidate_BH: Tensor,
        next_hidden_BH: Tensor,
    ) -> None:
        """gates: r z n after their functions; candidate: what r multiplies; after = (1 - z) n + z h."""
        size = hidden_BH.shape[1]
        product_BG = recurrent_BG if gain_G is None else recurrent_BG * gain_G
        rz, n = gates_BG[:, : 2 * size], gates_BG[:, 2 * size :]
        torch.add(inputs_BG[:, : 2 * size], product_BG[:, : 2 * size], out=rz)
        rz.sigmoid_()
        r, z = rz.chunk(2, dim=1)
        torch.add(product_BG[:, 2 * size :], candidate_bias_H, out=recurrent_candidate_BH)
        torch.addcmul(inputs_BG[:, 2 * size :], r, recurrent_candidate_BH, out=n)
        n.tanh_()
        torch.lerp(n if dropout_mask_BH is None else n * dropout_mask_BH, hidden_BH, z, out=next_hidden_BH)

    def gru_backward(
        self,
        gates_BG: Tensor,
        recurrent_candidate_BH: Tensor,
        hidden_BH: Tensor,
        dropout_mask_BH: Tensor | None,
        d_hidden_BH: Tensor,
        d_gates_BG: Tensor,
        d_recurrent_BG: Tensor,
    ) -> None:
        """d_hidden: in, of the state after the step; out, what goes past the products to the one before it.

        d_recurrent is that of the recurrent product times its gain; it differs from d_gates in the candidate alone.
        """
        r, z, n = gates_BG.chunk(3, dim=1)
        mask_or_ones_BH = torch.ones_like(n) if dropout_mask_BH is None else dropout_mask_BH
        d_n = d_hidden_BH * (1 - z) * mask_or_ones_BH * (1 - n.square())
        d_r = d_n * recurrent_candidate_BH * r * (1 - r)
        d_z = d_hidden_BH * (hidden_BH - n * mask_or_ones_BH) * z * (1 - z)
        torch.cat([d_r, d_z, d_n], dim=1, out=d_gates_BG)
        torch.cat([d_r, d_z, d_n * r], dim=1, out=d_recurrent_BG)
        d_hidden_BH *= z

    def rnn(
        self, relu: bool, inputs_BH: Tensor, recurrent_BH: Tensor, gain_H: Tensor | None, hidden_BH: Tensor
    ) -> None:
        """hidden = f(inputs + recurrent gain), f relu or tanh."""
        torch.add(inputs_BH, recurrent_BH if gain_H is None else recurrent_BH * gain_H, out=hidden_BH)
        _ = hidden_BH.relu_() if relu else hidden_BH.tanh_()

    def rnn_backward(self, relu: bool, d_hidden_BH: Tensor, hidden_BH: Tensor, d_gates_BH: Tensor) -> None:
        slope_BH = (hidden_BH > 0).to(hidden_BH.dtype) if relu else 1 - hidden_BH.square()
        torch.mul(d_hidden_BH, slope_BH, out=d_gates_BH)

    def matvec_int8(self, weight_GK: Tensor, scale_G: Tensor, x_K: Tensor, rounded_K: Tensor, y_G: Tensor) -> None:
        """y = scale (W x), W of whole numbers. Where x is made 16-bit numbers for speed, they go to rounded_K."""
        del rounded_K
        torch.mul(torch.mv(weight_GK.to(x_K.dtype), x_K), scale_G, out=y_G)
