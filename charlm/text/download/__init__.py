"""URLs in, verified files or ranges of bytes out.

    whole_file ──────────────────┬──> connection ── requests ──> server
    range_cache ── range_reader ─┘        every attempt goes through retry

connection    one request: redirects, status, body, stalls
retry         when to try again, how long to wait, when to go on with the next mirror
whole_file    a whole file: resumes after breaks, checks size and hash (checksum)
range_reader  ranges of a file; range_cache: the ranges that were fetched, on disk or in memory
"""
