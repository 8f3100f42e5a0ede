"""Text <-> token ids, without loss.

    settings ──build_learner──> VocabLearner <── training texts      VocabLearner ──finish──> Vocab ──save──> vocab.json
    vocab.json ──load_vocab──> Vocab      text ──Vocab.encode──> ids ──Vocab.decode, stream_decoder──> text

`settings` describes vocabularies, `build` finds the class that implements one, and `base` says what each must do. One
file implements each kind: `char`, `byte`, `word`, `ngram`, `sentencepiece`, `symbols`; `fixed` is for those that learn
nothing.
`word_tokens` splits text into words, `cached_encoder` encodes each word once, `line_sample` bounds the training text,
and `target` holds the target that is not scored.
"""
