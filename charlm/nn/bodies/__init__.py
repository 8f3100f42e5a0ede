"""Bodies: the network between the embedding and the head.

BodySettings ──build.py──> Body        x_BTD, state ──> features_BTH, state

base.py        the form of all bodies
recurrent.py   layers of recurrent cells      stride.py, dilation.py   layers that step at every s-th token
window.py      the last n tokens              tcn.py    residual blocks of dilated convolutions
causal.py      the convolution of both        rglru.py   residual blocks of a gated linear recurrence and an MLP
"""
