"""Find what a wrong word, key, value or command line was meant to be: the cure of an error message.

    a misspelled word ──> words           the nearest of the words that are allowed
    an unknown key    ──> setting_keys    the nearest of all keys and values of a settings class
    a wrong value     ──> values          the same value as charlm reads it: 1e3 -> 1000, xz -> [{type="xz"}]
    pydantic's error  ──> setting_errors  WHAT; CURE of a setting
    Typer's error     ──> usage_errors    WHAT; CURE of a command line, with `synonyms`: what other programs call things
                                          and `other_programs`: the options of nanoGPT and char-rnn

Nothing here knows charlm's settings, commands or files: callers pass the settings class or the command line.
"""
