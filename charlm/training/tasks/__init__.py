"""Tasks: what the trainer must know of what is predicted. It knows no task by name.

    corpus ──build_task──> Task ──> batches of training text, a new model, the score of validation text

language    the next token of a text, in batches for truncated back-propagation
labels      a label for each document, or tags of its characters, in batches of whole documents
generate    the next token of a document with a given label, in batches of whole documents
"""
