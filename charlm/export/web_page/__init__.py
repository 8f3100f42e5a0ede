"""One HTML file that runs a language model in a browser, without a server and without a network.

    LoadedModel ──supported──> refused, by the name of the part that a page cannot run
         ├─quantize_cells, network──> what the network is made of (JSON), and its tensors ─┐
         └─ngram_tables, rarest n-grams left out until they fit──> byte streams ───────────┤
                                                          tensors, text_encoding ──────────┴──page──> one file

build_page.py      the public function: a model -> the text of a page
write_page.py      the same for `charlm export`; format.py is its entry in the table of formats
facts.py           what the page tells of its model
supported.py       which models a page can run
network.py         the network as JSON and tensors, in the form that page/model.js reads
ngram_tables.py    the tables of n-grams as streams of small whole numbers
tensors.py         arrays in one block of bytes, with an index
text_encoding.py   bytes as text that any HTML file may hold
vocabulary.py      the names of all ids
page.py            the frame of the file
scripts.py         the scripts of the page, and those of charlm/model_page that it shares with `charlm serve`, as one
page/              the scripts and the style that only this page has

The page computes what the int8 step of `charlm.sampling.fast` computes: the same 8-bit weights, inputs rounded to 16
bits in the same way, and sums in fp32 or better everywhere else.
"""
