"""The texts of all requests side by side, a token of each at a time.

    prompt ──prompt_queue──> its last ids ──┐
    text, its drawn token ──────────────────┴──row_batch──> logits of each ──model_writer──> events of its request

- `request_progress`: what a request has been told, and whether it goes on.
- `rows`: a prompt that is read, a text that is written. `row_batch`: states of rows that come and go at every step.
- `model_writer`: what one model does in a turn. `prompt_queue`: prompts until a few ids are left.
- `prompt_cache`: states after prompts. `chunk_reader`: many ids of prompts at once.
- `scoring`: log-probabilities. `limited_detokenizer`: a text of so many tokens.
- `same_rows`: whether a row's numbers depend on its place in a batch, or on the number of rows, for `--deterministic`.
"""
