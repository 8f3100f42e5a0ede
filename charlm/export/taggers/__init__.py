"""`--format stanza` and `--format flair`: character language models whose features their taggers read.

    LanguageModel ──plain_lstm──> PlainLSTM ──stanza_file, flair_file──> a file of torch.save

Both libraries know one network, an LSTM of characters. Their files are pickles, which charlm writes and never
reads.
"""
