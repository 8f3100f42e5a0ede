"""Baselines: how well other methods predict the same text, scored in the same units as a network.

    settings ──build──> Baseline ──results(corpus, split)──> BaselineResult with a Score

run          all baselines of a corpus, in order      frequencies    uniform and unigram
settings     which baselines, and their settings      ngram          Kneser-Ney on a corpus
build        settings -> Baseline                     kneser_ney     the model: p(w | h)
result       Baseline and BaselineResult              ngram_counts   its counts, in bounded memory
                                                      compressed     a compressor as a baseline
                                                      compressors    PPMd, xz, zstd, bzip2
                                                      split_text     the bytes that compressors get
"""
