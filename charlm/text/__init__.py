"""Where text comes from: dumps, files, datasets and benchmarks in, documents of plain text out.

    settings ── build ──> Source ── tasks ──> Document(id, title, text, url) ── split ──> train | valid | test

document      Document, Source and the other types that sources share
settings      the settings of each source; build makes the source of them
sources/      one module for each kind of source
reading/      files: decompression, decoding, cutting into documents
dump/         the XML of a MediaWiki dump -> pages -> documents, in ranges that several processes can read
wikitext/     wikitext -> plain text
wikimedia/    which dumps exist, their files in the cache, subsets of them
download/     files and ranges of files over HTTP, with retries
split         which split a document belongs to
code_version  hashes of the code that made the documents
"""
