"""Fast unrolls: a recurrent cell over a whole chunk of text, with the results of its plain steps.

    cell, x_BTD, state ──backend.py: the fastest unroll that fits──> output_BTH, state
                            ├── lstm_unroll.py, gru_unroll.py    a chunk as one call of C (chunk_in_c.py, chunk.h)
                            ├── torch_unrolls.py           cuDNN, oneDNN
                            ├── rnn.py, lstm.py, gru.py    large products, and kernels for what is between two of them
                            └── mingru.py                  one large product, and a kernel for all time steps
                                  └── kernels.py: in torch, in C (compiled.py, kernels.c, linear_recurrences.c) or in
                                                  Triton (triton_backend.py, triton_kernels.py)

rglru.py and depthwise.py run the recurrence and the convolution of the body `rglru` with the same kernels. scan.py is
their time loop in torch.

To give a cell a fused unroll:

1. Write NAME.py: the kernels of a step in torch, and the unroll as an autograd function (rnn.py is the shortest).
   steps.py has the rest: normalised products, dropout and zoneout masks, gradients of the weights.
2. Add a case to `fused_unroll` in backend.py. The cell is in the tests of tests/nn/test_fused.py from then on.
3. If it is not fast enough, add a function of a kernel's name to kernels.c, to triton_kernels.py, or to both. Nothing
   else has to know: its arguments are those in torch, and a backend without it runs the kernel in torch.
"""
