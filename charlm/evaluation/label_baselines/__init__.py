"""Simple models of labels and tags, scored on the same examples and in the same figures as a network.

    corpus ──LabelledTexts of train──> Predictor ──texts of the split──> probabilities ──> LabelScore

frequencies     the most frequent label or tag; of a word, its most frequent tags
ngrams          a Kneser-Ney n-gram model for each class, by Bayes' rule
regression      logistic regression over character n-grams of the text, or over a window around each tag
longest_match   segments: the longest training segment that fits
"""
