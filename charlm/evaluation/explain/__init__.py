"""Why a model predicts what it predicts: a text in colours, with what is behind them.

of a language model    explanation, text_units, surprisal    the bits, rank and alternatives of each token
of labels              effects                               what the label's probability loses without each character
of tags                tags                                  how uncertain the tag of each character or word is

Explanation, LabelEffects or TagExplanation ──draw_*──> Drawing ──terminal──> coloured lines
                                                                ──page──────> one HTML file

drawing    what all of them show        colours    bits -> colours
cards      what the page's scripts read visible    text with what is invisible written out
"""
