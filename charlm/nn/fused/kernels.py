"""The passes of a recurrent step as Triton kernels for NVIDIA and AMD GPUs; `eager.py` says what each computes.

A row is one of the batch. The element-wise ones run a program for each row and block of columns, layer norms one for
each row, batch norms one for each block of columns. A pointer of None is left out when a kernel is compiled.
"""

# pyright: basic, reportMissingImports=false
import triton
import triton.language as tl


@triton.jit
def _tanh(x):
    """To a few units in the last place; Triton has none that every device and its interpreter know."""
    small = tl.exp(-2.0 * tl.abs(x))
    size = (1.0 - small) / (1.0 + small)
    s = x * x
    series = x + x * s * (-1.0 / 3.0 + s * (2.0 / 15.0 + s * (-17.0 / 315.0 + s * (62.0 / 2835.0))))
    return tl.where(tl.abs(x) < 0.25, series, tl.where(x < 0, -size, size))


@triton.jit
def _scaled(values, gain, columns, inside):
    if gain is not None:
        values = values * tl.load(gain + columns, mask=inside)
    return values


@triton.jit
def _kept(values, keep, places, inside):
    if keep is not None:
        values = values * tl.load(keep + places, mask=inside)
    return values


@triton.jit
def layer_norm(x, x_stride, eps, rstd, num_columns, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    inside = columns < num_columns
    places = x + row * x_stride + columns
    values = tl.load(places, mask=inside, other=0.0)
    centred = tl.where(inside, values - tl.sum(values, 0) / num_columns, 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(centred * centred, 0) / num_columns + eps)
    tl.store(places, centred * scale, mask=inside)
    tl.store(rstd + row, scale)


@triton.jit
def layer_norm_backward(
    dy, dy_stride, gain, x_hat, x_hat_stride, rstd, dx, dx_stride, num_columns, BLOCK: tl.constexpr
):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    inside = columns < num_columns
    normed = tl.load(x_hat + row * x_hat_stride + columns, mask=inside, other=0.0)
    g = tl.load(dy + row * dy_stride + columns, mask=inside, other=0.0)
    g = g * tl.load(gain + columns, mask=inside, other=0.0)
    inner = g - tl.sum(g, 0) / num_columns - normed * (tl.sum(g * normed, 0) / num_columns)
    tl.store(dx + row * dx_stride + columns, inner * tl.load(rstd + row), mask=inside)


@triton.jit
def batch_norm(
    x, x_stride, eps, rstd, mean, variance, num_rows, num_columns, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    columns = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    inside = columns < num_columns
    total = tl.zeros([COLUMNS], dtype=tl.float32)
    for first in range(0, num_rows, ROWS):
        rows = first + tl.arange(0, ROWS)
        there = (rows < num_rows)[:, None] & inside[None, :]
        total += tl.sum(tl.load(x + rows[:, None] * x_stride + columns[None, :], mask=there, other=0.0), 0)
    centre = total / num_rows
    total = tl.zeros([COLUMNS], dtype=tl.float32)
    for first in range(0, num_rows, ROWS):
        rows = first + tl.arange(0, ROWS)
        there = (rows < num_rows)[:, None] & inside[None, :]
        values = tl.load(x + rows[:, None] * x_stride + columns[None, :], mask=there, other=0.0)
        centred = tl.where(there, values - centre[None, :], 0.0)
        total += tl.sum(centred * centred, 0)
    scale = 1.0 / tl.sqrt(total / num_rows + eps)
    for first in range(0, num_rows, ROWS):
        rows = first + tl.arange(0, ROWS)
        there = (rows < num_rows)[:, None] & inside[None, :]
        places = x + rows[:, None] * x_stride + columns[None, :]
        values = tl.load(places, mask=there, other=0.0)
        tl.store(places, (values - centre[None, :]) * scale[None, :], mask=there)
    tl.store(mean + columns, centre, mask=inside)
    tl.store(variance + columns, total / num_rows, mask=inside)
    tl.store(rstd + columns, scale, mask=inside)


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
    inside = columns < num_columns
    scale = tl.load(gain + columns, mask=inside, other=0.0)[None, :]
    sums = tl.zeros([COLUMNS], dtype=tl.float32)
    products = tl.zeros([COLUMNS], dtype=tl.float32)
    for first in range(0, num_rows, ROWS):
        rows = first + tl.arange(0, ROWS)
        there = (rows < num_rows)[:, None] & inside[None, :]
        g = tl.load(dy + rows[:, None] * dy_stride + columns[None, :], mask=there, other=0.0) * scale
        sums += tl.sum(g, 0)
        normed = tl.load(x_hat + rows[:, None] * x_hat_stride + columns[None, :], mask=there, other=0.0)
        products += tl.sum(g * normed, 0)
    deviation = tl.load(rstd + columns, mask=inside, other=0.0)[None, :]
    for first in range(0, num_rows, ROWS):
        rows = first + tl.arange(0, ROWS)
        there = (rows < num_rows)[:, None] & inside[None, :]
        g = tl.load(dy + rows[:, None] * dy_stride + columns[None, :], mask=there, other=0.0) * scale
        normed = tl.load(x_hat + rows[:, None] * x_hat_stride + columns[None, :], mask=there, other=0.0)
        inner = g - (sums / num_rows)[None, :] - normed * (products / num_rows)[None, :]
        tl.store(dx + rows[:, None] * dx_stride + columns[None, :], inner * deviation, mask=there)


@triton.jit
def _gate(inputs, recurrent, gain, start, columns, inside):
    """What goes into the gates whose columns these are."""
    values = tl.load(recurrent + start + columns, mask=inside)
    return tl.load(inputs + start + columns, mask=inside) + _scaled(values, gain, columns, inside)


@triton.jit
def lstm_gates(inputs, recurrent, gain, cell, keep, gates, after, size, COUPLED: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < size
    places = row * size + columns
    num_gates = 3 if COUPLED else 4
    start = row * num_gates * size
    first = columns + (num_gates - 3) * size
    f = tl.sigmoid(_gate(inputs, recurrent, gain, start, first, inside))
    g = _tanh(_gate(inputs, recurrent, gain, start, first + size, inside))
    o = tl.sigmoid(_gate(inputs, recurrent, gain, start, first + 2 * size, inside))
    if COUPLED:
        i = 1.0 - f
    else:
        i = tl.sigmoid(_gate(inputs, recurrent, gain, start, columns, inside))
        tl.store(gates + start + columns, i, mask=inside)
    tl.store(gates + start + first, f, mask=inside)
    tl.store(gates + start + first + size, g, mask=inside)
    tl.store(gates + start + first + 2 * size, o, mask=inside)
    written = _kept(g, keep, places, inside)
    tl.store(after + places, f * tl.load(cell + places, mask=inside) + i * written, mask=inside)


@triton.jit
def lstm_output(memory, gain, bias, gates, tanh, hidden, size, num_gates, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < size
    places = row * size + columns
    read = _scaled(tl.load(memory + places, mask=inside), gain, columns, inside)
    if bias is not None:
        read += tl.load(bias + columns, mask=inside)
    bent = _tanh(read)
    o = tl.load(gates + (row * num_gates + num_gates - 1) * size + columns, mask=inside)
    tl.store(tanh + places, bent, mask=inside)
    tl.store(hidden + places, o * bent, mask=inside)


@triton.jit
def lstm_output_backward(d_hidden, gates, tanh, d_memory, d_gates, size, num_gates, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < size
    places = row * size + columns
    output = (row * num_gates + num_gates - 1) * size + columns
    d = tl.load(d_hidden + places, mask=inside)
    o = tl.load(gates + output, mask=inside)
    bent = tl.load(tanh + places, mask=inside)
    tl.store(d_memory + places, d * o * (1.0 - bent * bent), mask=inside)
    tl.store(d_gates + output, d * bent * o * (1.0 - o), mask=inside)


@triton.jit
def lstm_gates_backward(gates, cell, keep, d_cell, d_gates, size, COUPLED: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < size
    places = row * size + columns
    num_gates = 3 if COUPLED else 4
    start = row * num_gates * size
    first = columns + (num_gates - 3) * size
    f = tl.load(gates + start + first, mask=inside)
    g = tl.load(gates + start + first + size, mask=inside)
    d = tl.load(d_cell + places, mask=inside)
    d_forget = d * tl.load(cell + places, mask=inside)
    d_written = d * _kept(g, keep, places, inside)
    if COUPLED:
        i = 1.0 - f
        d_forget -= d_written
    else:
        i = tl.load(gates + start + columns, mask=inside)
        tl.store(d_gates + start + columns, d_written * i * (1.0 - i), mask=inside)
    tl.store(d_gates + start + first, d_forget * f * (1.0 - f), mask=inside)
    d_g = _kept(d * i * (1.0 - g * g), keep, places, inside)
    tl.store(d_gates + start + first + size, d_g, mask=inside)
    tl.store(d_cell + places, d * f, mask=inside)


@triton.jit
def gru(
    inputs,
    recurrent,
    gain,
    candidate_bias,
    hidden,
    keep,
    gates,
    candidate,
    after,
    size,
    BLOCK: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < size
    places = row * size + columns
    start = row * 3 * size
    r = tl.sigmoid(_gate(inputs, recurrent, gain, start, columns, inside))
    z = tl.sigmoid(_gate(inputs, recurrent, gain, start, columns + size, inside))
    third = columns + 2 * size
    chosen = _scaled(tl.load(recurrent + start + third, mask=inside), gain, third, inside)
    chosen += tl.load(candidate_bias + columns, mask=inside)
    n = _tanh(tl.load(inputs + start + third, mask=inside) + r * chosen)
    tl.store(gates + start + columns, r, mask=inside)
    tl.store(gates + start + columns + size, z, mask=inside)
    tl.store(gates + start + third, n, mask=inside)
    tl.store(candidate + places, chosen, mask=inside)
    written = _kept(n, keep, places, inside)
    tl.store(after + places, written + z * (tl.load(hidden + places, mask=inside) - written), mask=inside)


@triton.jit
def gru_backward(gates, candidate, hidden, keep, d_hidden, d_gates, d_recurrent, size, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < size
    places = row * size + columns
    start = row * 3 * size
    r = tl.load(gates + start + columns, mask=inside)
    z = tl.load(gates + start + columns + size, mask=inside)
    n = tl.load(gates + start + columns + 2 * size, mask=inside)
    d = tl.load(d_hidden + places, mask=inside)
    d_n = _kept(d * (1.0 - z) * (1.0 - n * n), keep, places, inside)
    d_r = d_n * tl.load(candidate + places, mask=inside) * r * (1.0 - r)
    d_z = d * (tl.load(hidden + places, mask=inside) - _kept(n, keep, places, inside)) * z * (1.0 - z)
    tl.store(d_gates + start + columns, d_r, mask=inside)
    tl.store(d_gates + start + columns + size, d_z, mask=inside)
    tl.store(d_gates + start + columns + 2 * size, d_n, mask=inside)
    tl.store(d_recurrent + start + columns, d_r, mask=inside)
    tl.store(d_recurrent + start + columns + size, d_z, mask=inside)
    tl.store(d_recurrent + start + columns + 2 * size, d_n * r, mask=inside)
    tl.store(d_hidden + places, d * z, mask=inside)


@triton.jit
def rnn(inputs, recurrent, gain, hidden, size, RELU: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < size
    values = _gate(inputs, recurrent, gain, row * size, columns, inside)
    values = tl.where(values < 0, 0.0, values) if RELU else _tanh(values)
    tl.store(hidden + row * size + columns, values, mask=inside)


@triton.jit
def rnn_backward(d_hidden, hidden, d_gates, size, RELU: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < size
    places = row * size + columns
    h = tl.load(hidden + places, mask=inside)
    slope = tl.where(h > 0, 1.0, 0.0) if RELU else 1.0 - h * h
    tl.store(d_gates + places, tl.load(d_hidden + places, mask=inside) * slope, mask=inside)
