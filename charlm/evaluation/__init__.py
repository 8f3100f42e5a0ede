"""Scores of a model on text: exact, comparable between vocabularies, and with an interval.

    model, TokenStream ──evaluate──> nats of each token ──Score──> perplexity, bits per character, bits per byte
                                          └──resampling_units, interval──> 95 % interval, difference of two models

evaluate            every token scored once, in lanes that run as one batch
lane                the definition: one lane, one state         lane_states      which lanes to score again
score               sums of nats and text, and their ratios
interval            the bootstrap                resampling_units    what it draws: documents or blocks
dynamic             dynamic evaluation           continuous_cache    a cache of recent features
calibration         temperatures                 recall              n-grams mixed with the network
settings            settings of dynamic evaluation and of `charlm tune`
tables              a row for each document or token, as parquet or CSV
baselines/          other methods on the same text
explain/            the surprisal of each character of a text
"""
