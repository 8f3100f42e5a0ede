"""The fast step of sampling: one token of each stream goes in, the logits of the next one come out.

    tokens_B ──embedding──> x_BD ──body: layer after layer──> features_BH ──head──> logits_BV
                                     │
                                     └── layer: inputs and state ──matmul──norms──cells──> output, next state

Buffers, matrices and operations are laid out once; a step only runs them. Every step agrees with the model's forward.

- `stepper`: which step runs a model (fast, CUDA graph, or the model itself). `base`: what a stepper is.
- `fused`: the fast step as a whole; its matrices are shared by steppers of different numbers of streams.
- `embedding`, `body`, `layer`: the parts of the fast step. `cells`: one step of each cell; a new one registers there.
- `norms`, `matmul`, `kernels`: the operations that they are made of.
"""
