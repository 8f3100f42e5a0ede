"""Settings in, a `Source` of documents out: one module for each kind of source.

wikipedia       a MediaWiki dump, downloaded or local
text_files      plain text files, folders, globs, standard input
hub/            a dataset of the Hugging Face hub, or local files in its formats
enwik8, text8   the benchmarks; published_file: what both have in common; text8_filter: the rules that make text8
mix             several sources in one corpus
python_docs     the sample corpus: Python's own documentation

To add one: a module here, a settings class in `text/settings.py` and in its union, and a case in `text/build.py`.
"""
