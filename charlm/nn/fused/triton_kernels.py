"""Kernels in Triton, for NVIDIA and AMD GPUs. The functions of these names in torch say what each computes.

A kernel has the arguments of the function in torch, then `size`, its columns. Element-wise kernels run a program for
each row and block of columns, layer norms one for each row, batch norms one for each block of columns. For a pointer
that is None, Triton compiles a variant of the kernel without it.
"""

# pyright: basic, reportMissingImports=false
import triton
import triton.language as tl


@triton.jit
def _tanh(x):
    """Compute tanh to a few units in the last place; no tanh of Triton works on every device and in its interpreter."""
    exp_term = tl.exp(-2.0 * tl.abs(x))
    magnitude = (1.0 - exp_term) / (1.0 + exp_term)
    x_squared = x * x
    series = x + x * x_squared * (
        -1.0 / 3.0 + x_squared * (2.0 / 15.0 + x_squared * (-17.0 / 315.0 + x_squared * (62.0 / 2835.0)))
    )
    return tl.where(tl.abs(x) < 0.25, series, tl.where(x < 0, -magnitude, magnitude))


@triton.jit
def _apply_gain(values, gain, columns, column_mask):
    if gain is not None:
        values = values * tl.load(gain + columns, mask=column_mask)
    return values


@triton.jit
def _apply_dropout_mask(values, dropout_mask, offsets, column_mask):
    if dropout_mask is not None:
        values = values * tl.load(dropout_mask + offsets, mask=column_mask)
    return values


@triton.jit
def layer_norm(x, x_stride, eps, rstd, num_columns, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    column_mask = columns < num_columns
    pointers = x + row * x_stride + columns
    values = tl.load(pointers, mask=column_mask, other=0.0)
    centred = tl.where(column_mask, values - tl.sum(values, 0) / num_columns, 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(centred * centred, 0) / num_columns + eps)
    tl.store(pointers, centred * scale, mask=column_mask)
    tl.store(rstd + row, scale)


@triton.jit
def layer_norm_backward(
    dy, dy_stride, gain, x_hat, x_hat_stride, rstd, dx, dx_stride, num_columns, BLOCK: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    column_mask = columns < num_columns
    normed = tl.load(x_hat + row * x_hat_stride + columns, mask=column_mask, other=0.0)
    g = tl.load(dy + row * dy_stride + columns, mask=column_mask, other=0.0)
    g = g * tl.load(gain + columns, mask=column_mask, other=0.0)
    inner = g - tl.sum(g, 0) / num_columns - normed * (tl.sum(g * normed, 0) / num_columns)
    tl.store(dx + row * dx_stride + columns, inner * tl.load(rstd + row), mask=column_mask)


@triton.jit
def batch_norm(
    x, x_stride, eps, rstd, mean, variance, num_rows, num_columns, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    columns = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    column_mask = columns < num_columns
    total = tl.zeros([COLUMNS], dtype=tl.float32)
    for first in range(0, num_rows, ROWS):
        rows = first + tl.arange(0, ROWS)
        tile_mask = (rows < num_rows)[:, None] & column_mask[None, :]
        total += tl.sum(tl.load(x + rows[:, None] * x_stride + columns[None, :], mask=tile_mask, other=0.0), 0)
    centre = total / num_rows
    total = tl.zeros([COLUMNS], dtype=tl.float32)
    for first in range(0, num_rows, ROWS):
        rows = first + tl.arange(0, ROWS)
        tile_mask = (rows < num_rows)[:, None] & column_mask[None, :]
        values = tl.load(x + rows[:, None] * x_stride + columns[None, :], mask=tile_mask, other=0.0)
        centred = tl.where(tile_mask, values - centre[None, :], 0.0)
        total += tl.sum(centred * centred, 0)
    scale = 1.0 / tl.sqrt(total / num_rows + eps)
    for first in range(0, num_rows, ROWS):
        rows = first + tl.arange(0, ROWS)
        tile_mask = (rows < num_rows)[:, None] & column_mask[None, :]
        pointers = x + rows[:, None] * x_stride + columns[None, :]
        values = tl.load(pointers, mask=tile_mask, other=0.0)
        tl.store(pointers, (values - centre[None, :]) * scale[None, :], mask=tile_mask)
    tl.store(mean + columns, centre, mask=column_mask)
    tl.store(variance + columns, total / num_rows, mask=column_mask)
    tl.store(rstd + columns, scale, mask=column_mask)


@triton.jit
def batch_norm_backward(
    dy,
    dy_stride,
    gain,
    x_hat,
    x_hat_stride,
    rstd,
    dx,
    dx_stride,
    num_rows,
    num_columns,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    columns = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    column_mask = columns < num_columns
    scale = tl.load(gain + columns, mask=column_mask, other=0.0)[None, :]
    sums = tl.zeros([COLUMNS], dtype=tl.float32)
    products = tl.zeros([COLUMNS], dtype=tl.float32)
    for first in range(0, num_rows, ROWS):
        rows = first + tl.arange(0, ROWS)
        tile_mask = (rows < num_rows)[:, None] & column_mask[None, :]
        g = tl.load(dy + rows[:, None] * dy_stride + columns[None, :], mask=tile_mask, other=0.0) * scale
        sums += tl.sum(g, 0)
        normed = tl.load(x_hat + rows[:, None] * x_hat_stride + columns[None, :], mask=tile_mask, other=0.0)
        products += tl.sum(g * normed, 0)
    rstd_value = tl.load(rstd + columns, mask=column_mask, other=0.0)[None, :]
    for first in range(0, num_rows, ROWS):
        rows = first + tl.arange(0, ROWS)
        tile_mask = (rows < num_rows)[:, None] & column_mask[None, :]
        g = tl.load(dy + rows[:, None] * dy_stride + columns[None, :], mask=tile_mask, other=0.0) * scale
        normed = tl.load(x_hat + rows[:, None] * x_hat_stride + columns[None, :], mask=tile_mask, other=0.0)
        inner = g - (sums / num_rows)[None, :] - normed * (products / num_rows)[None, :]
        tl.store(dx + rows[:, None] * dx_stride + columns[None, :], inner * rstd_value, mask=tile_mask)


@triton.jit
def _load_gate_input(inputs, recurrent, gain, start, columns, column_mask):
    """Load inputs + recurrent * gain of these columns."""
    values = tl.load(recurrent + start + columns, mask=column_mask)
    return tl.load(inputs + start + columns, mask=column_mask) + _apply_gain(values, gain, columns, column_mask)


@triton.jit
def lstm_gates(
    COUPLED: tl.constexpr, inputs, recurrent, gain, cell, dropout_mask, gates, next_cell, size, BLOCK: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    column_mask = columns < size
    offsets = row * size + columns
    num_gates = 3 if COUPLED else 4
    start = row * num_gates * size
    first = columns + (num_gates - 3) * size
    f = tl.sigmoid(_load_gate_input(inputs, recurrent, gain, start, first, column_mask))
    g = _tanh(_load_gate_input(inputs, recurrent, gain, start, first + size, column_mask))
    o = tl.sigmoid(_load_gate_input(inputs, recurrent, gain, start, first + 2 * size, column_mask))
    if COUPLED:
        i = 1.0 - f
    else:
        i = tl.sigmoid(_load_gate_input(inputs, recurrent, gain, start, columns, column_mask))
        tl.store(gates + start + columns, i, mask=column_mask)
    tl.store(gates + start + first, f, mask=column_mask)
    tl.store(gates + start + first + size, g, mask=column_mask)
    tl.store(gates + start + first + 2 * size, o, mask=column_mask)
    written = _apply_dropout_mask(g, dropout_mask, offsets, column_mask)
    tl.store(next_cell + offsets, f * tl.load(cell + offsets, mask=column_mask) + i * written, mask=column_mask)


@triton.jit
def lstm_output(COUPLED: tl.constexpr, memory, gain, bias, gates, tanh, hidden, size, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    column_mask = columns < size
    offsets = row * size + columns
    num_gates = 3 if COUPLED else 4
    read = _apply_gain(tl.load(memory + offsets, mask=column_mask), gain, columns, column_mask)
    if bias is not None:
        read += tl.load(bias + columns, mask=column_mask)
    tanh_value = _tanh(read)
    o = tl.load(gates + (row * num_gates + num_gates - 1) * size + columns, mask=column_mask)
    tl.store(tanh + offsets, tanh_value, mask=column_mask)
    tl.store(hidden + offsets, o * tanh_value, mask=column_mask)


@triton.jit
def lstm_output_backward(COUPLED: tl.constexpr, d_hidden, gates, tanh, d_memory, d_gates, size, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    column_mask = columns < size
    offsets = row * size + columns
    num_gates = 3 if COUPLED else 4
    output = (row * num_gates + num_gates - 1) * size + columns
    d = tl.load(d_hidden + offsets, mask=column_mask)
    o = tl.load(gates + output, mask=column_mask)
    tanh_value = tl.load(tanh + offsets, mask=column_mask)
    tl.store(d_memory + offsets, d * o * (1.0 - tanh_value * tanh_value), mask=column_mask)
    tl.store(d_gates + output, d * tanh_value * o * (1.0 - o), mask=column_mask)


@triton.jit
def lstm_gates_backward(COUPLED: tl.constexpr, gates, cell, dropout_mask, d_cell, d_gates, size, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    column_mask = columns < size
    offsets = row * size + columns
    num_gates = 3 if COUPLED else 4
    start = row * num_gates * size
    first = columns + (num_gates - 3) * size
    f = tl.load(gates + start + first, mask=column_mask)
    g = tl.load(gates + start + first + size, mask=column_mask)
    d = tl.load(d_cell + offsets, mask=column_mask)
    d_forget = d * tl.load(cell + offsets, mask=column_mask)
    d_written = d * _apply_dropout_mask(g, dropout_mask, offsets, column_mask)
    if COUPLED:
        i = 1.0 - f
        d_forget -= d_written
    else:
        i = tl.load(gates + start + columns, mask=column_mask)
        tl.store(d_gates + start + columns, d_written * i * (1.0 - i), mask=column_mask)
    tl.store(d_gates + start + first, d_forget * f * (1.0 - f), mask=column_mask)
    d_g = _apply_dropout_mask(d * i * (1.0 - g * g), dropout_mask, offsets, column_mask)
    tl.store(d_gates + start + first + size, d_g, mask=column_mask)
    tl.store(d_cell + offsets, d * f, mask=column_mask)


@triton.jit
def gru(
    inputs,
    recurrent,
    gain,
    candidate_bias,
    hidden,
    dropout_mask,
    gates,
    recurrent_candidate,
    next_hidden,
    size,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    column_mask = columns < size
    offsets = row * size + columns
    start = row * 3 * size
    r = tl.sigmoid(_load_gate_input(inputs, recurrent, gain, start, columns, column_mask))
    z = tl.sigmoid(_load_gate_input(inputs, recurrent, gain, start, columns + size, column_mask))
    third = columns + 2 * size
    candidate_value = _apply_gain(tl.load(recurrent + start + third, mask=column_mask), gain, third, column_mask)
    candidate_value += tl.load(candidate_bias + columns, mask=column_mask)
    n = _tanh(tl.load(inputs + start + third, mask=column_mask) + r * candidate_value)
    tl.store(gates + start + columns, r, mask=column_mask)
    tl.store(gates + start + columns + size, z, mask=column_mask)
    tl.store(gates + start + third, n, mask=column_mask)
    tl.store(recurrent_candidate + offsets, candidate_value, mask=column_mask)
    written = _apply_dropout_mask(n, dropout_mask, offsets, column_mask)
    tl.store(
        next_hidden + offsets, written + z * (tl.load(hidden + offsets, mask=column_mask) - written), mask=column_mask
    )


@triton.jit
def gru_backward(
    gates, recurrent_candidate, hidden, dropout_mask, d_hidden, d_gates, d_recurrent, size, BLOCK: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    column_mask = columns < size
    offsets = row * size + columns
    start = row * 3 * size
    r = tl.load(gates + start + columns, mask=column_mask)
    z = tl.load(gates + start + columns + size, mask=column_mask)
    n = tl.load(gates + start + columns + 2 * size, mask=column_mask)
    d = tl.load(d_hidden + offsets, mask=column_mask)
    d_n = _apply_dropout_mask(d * (1.0 - z) * (1.0 - n * n), dropout_mask, offsets, column_mask)
    d_r = d_n * tl.load(recurrent_candidate + offsets, mask=column_mask) * r * (1.0 - r)
    d_z = (
        d
        * (tl.load(hidden + offsets, mask=column_mask) - _apply_dropout_mask(n, dropout_mask, offsets, column_mask))
        * z
        * (1.0 - z)
    )
    tl.store(d_gates + start + columns, d_r, mask=column_mask)
    tl.store(d_gates + start + columns + size, d_z, mask=column_mask)
    tl.store(d_gates + start + columns + 2 * size, d_n, mask=column_mask)
    tl.store(d_recurrent + start + columns, d_r, mask=column_mask)
    tl.store(d_recurrent + start + columns + size, d_z, mask=column_mask)
    tl.store(d_recurrent + start + columns + 2 * size, d_n * r, mask=column_mask)
    tl.store(d_hidden + offsets, d * z, mask=column_mask)


@triton.jit
def rnn(RELU: tl.constexpr, inputs, recurrent, gain, hidden, size, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    column_mask = columns < size
    values = _load_gate_input(inputs, recurrent, gain, row * size, columns, column_mask)
    values = tl.where(values < 0, 0.0, values) if RELU else _tanh(values)
    tl.store(hidden + row * size + columns, values, mask=column_mask)


@triton.jit
def rnn_backward(RELU: tl.constexpr, d_hidden, hidden, d_gates, size, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    column_mask = columns < size
    offsets = row * size + columns
    h = tl.load(hidden + offsets, mask=column_mask)
    slope = tl.where(h > 0, 1.0, 0.0) if RELU else 1.0 - h * h
    tl.store(d_gates + offsets, tl.load(d_hidden + offsets, mask=column_mask) * slope, mask=column_mask)
