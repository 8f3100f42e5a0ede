"""Lossless compression of any file by an integer model: bits that another machine can check."""
