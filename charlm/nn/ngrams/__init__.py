"""An n-gram component inside a language model: counts of the training text, mixed with the network.

    training text ──counting──> NgramTables, and evidence about each training token without its own document
                                     │                       │
    features, context numbers ──NgramHead──> p(v) = w0 p_network(v) + w1 p_1(v) + ... + wN p_N(v)

settings.py          the settings, torch-free
tables.py            the n-grams of each order: counts, sums for each context, discounts
text_blocks.py       blocks and documents: what is counted once, and what is left out of the own evidence
order_counts.py      the n-grams of one order, their table, and the evidence
counting.py          one pass over the training text for each order
training_counts.py   the same for a text of any length: the rest of it is looked up
lookup.py            contexts of a text, and the probabilities after them, from the tables
head.py              the mixture as a head
model.py             a language model whose state also holds the numbers of its contexts
files.py             the tables in a checkpoint
build.py             settings, tables -> the head; the order that is usual for a vocabulary
"""
