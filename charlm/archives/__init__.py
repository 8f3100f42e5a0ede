"""Lossless compression of any file by an integer model: bits that another machine can check.

    bytes ──symbols──> ids ──lanes──> steps ──predictor──> integer intervals ──range_coder──> code ──archive──> file

compress, decompress   whole files, block by block       model       a predictor with its vocabulary
blocks                 one block in both directions      predictor   what an integer model must do
"""
