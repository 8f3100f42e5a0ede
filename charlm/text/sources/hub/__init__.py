"""A dataset of the Hugging Face hub in, documents out, one for each row.

    settings ── access: commit, config ──> rows ── source: columns, checks ──> Document

source     the `Source`: which columns are read, what is checked
access     every call of `datasets` and `huggingface_hub`
json_rows  JSON files with lone surrogates, which `datasets` cannot read
errors     exceptions of the libraries -> errors of charlm
"""
