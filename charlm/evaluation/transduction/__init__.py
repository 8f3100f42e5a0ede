"""Texts that transducers write, and how right they are.

    sources ──transduce.py──> n best targets of each, by beam_search.py ──score.py──> exact matches, error rates

edit_distance.py counts the edits between a text and a right one; answers.py finds sources with several right answers.
"""
