"""Examples: texts with a label, or with tags of their characters, for tasks other than the next token.

files, hub datasets, prepared corpora ──ExampleSource──> Example(text; label, tags or target) ──> charlm/data
"""
