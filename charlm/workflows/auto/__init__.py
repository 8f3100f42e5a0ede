"""`charlm train` without a config: settings for the time, the corpus and the machine.

corpus, minutes ──┐
machine.py: seconds of an update, measured ──┴──> rule.py: Choice ──> choose.py: settings below those of the user
"""
