"""A dataset of the Hugging Face hub in, documents out, one for each row.

    the hub, or a folder ── access: commit, config ──┐
    files ── local_files: each with its own columns ─┴──> rows ── row_reader: columns, checks ──> Document

source       the `Source`
access       every call of `datasets` and `huggingface_hub`
local_files  parquet, arrow, CSV and JSON files; json_rows: the values in JSON
search_dump  the search dumps of Wikimedia (CirrusSearch), which are JSON
row_reader   which columns are read, what is checked and counted
errors       exceptions of the libraries -> errors of charlm
"""
