"""Why a model predicts what it predicts: a text in colours, with what is behind them.

of a language model    explanation, text_units, surprisal    the bits, rank and alternatives of each token

Explanation ──draw_surprisals──> Drawing ──terminal──> coloured lines
                                         ──page──────> one HTML file

drawing    what all of them show        colours    bits -> colours
cards      what the page's scripts read visible    text with what is invisible written out
"""
