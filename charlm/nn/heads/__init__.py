"""Heads: features -> a loss, or logits over the vocabulary.

HeadSettings, embedding ──build.py──> Head        features_BTH, targets_BT ──nll──> nats
                                                  features_BTH ──logits──> logits_BTV

softmax.py     the form of all heads; a linear layer; one that shares the embedding's vectors
adaptive.py    clusters of rare ids, for large vocabularies
"""
