"""The settings of a wiki in, the files of its dump out: local, in the cache, or on a server.

    settings ── releases ──> RemoteDumpFile ── dump_file ──> DumpPart ── subset ──> some ranges of it
    URL ──────── urls ─────────────────────────────┘

releases   which dumps a wiki has, where their files are, what they hash to
wikis      suggestions for languages and wikis that do not exist
dump_file  one file of a dump: whole in the cache, or in ranges
urls       the dump file that a URL names
part_names the order of the parts of a dump, and its date, by their names
segments   the segments that a subset of a file may consist of
subset     a random choice of segments with a given number of characters; article_selection: that of the last articles
"""
