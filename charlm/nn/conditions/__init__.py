"""What a conditional language model is given: a label, or a text.

condition ──ConditionalModel.given──> LanguageModel, bound to it: sampling, beams, scores work on it unchanged

labels.py     a label, as a vector at every step, or as the initial state
source.py     another text, through an encoder and attention
"""
