"""Classical baselines of transduction, from one sequence of symbols to another: pronunciation, transliteration.

    pairs ──fit──> TransductionBaseline ──sources──> predicted targets

run              the baselines of a corpus, one after the other
base             the interface, and pairs of a source and a target
simple           the source itself; the most frequent target of each source
joint_ngram      a joint n-gram model of source and target
alignment        its joint tokens: pairs cut into chunks that belong together
lattice          all ways to cut pairs, many at once
backoff_ngrams   its probabilities: Kneser-Ney as an automaton
"""
