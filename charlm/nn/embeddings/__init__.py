"""Embeddings: token ids -> vectors.

EmbeddingSettings, vocabulary ──build.py──> Embedding        inputs_BT, state ──> x_BTD, state

token.py     one vector per id                      ngrams.py     a word as its character n-grams
context.py   hashed n-grams of tokens, added        spelling.py   n-grams of words that come as bytes
bag_sum.py   sums of rows of a table                bag_layout.py the sizes of a vocabulary's n-grams
"""
