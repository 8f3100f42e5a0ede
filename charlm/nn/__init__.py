"""Networks: settings -> a model that maps token ids and a state to features, and features to a loss or to logits.

    ids ──embeddings/──> vectors ──bodies/──> features ──heads/──> nats, or logits
                                     └── recurrent: cells/, one step each; fused/, whole chunks fast

    settings.py     the settings of a network, without torch        build.py      settings -> a network
    model.py        the form that all networks have                 state.py      what a network carries on
    norm.py         batch, layer, rms and weight normalisation      dropout.py    masks that a resumed run repeats
    quantize.py     matrices in 8-bit integers                      summary.py    the table of `charlm inspect`

No module here knows text. In every package, build.py imports the implementations, and these their settings.py.
"""
