"""How a decoder looks at a source: soft attention, or a hard and monotonic alignment that is summed over.

decoder features_BTH, memory_BSM ──attention──> features of the next token

soft.py        additive and dot-product attention: a weighted mean of the memory
copying.py     tokens of the source as the next token, beside soft attention
monotonic.py   exact hard monotonic attention: one position for each token, and a sum over all alignments
attentive.py   a decoder with one of these around it
"""
