"""Text from a trained model: options and a prompt go in, text comes out, one token at a time.

    SamplingOptions ──plan_sampling──> SamplingPlan ─┐
    prompt ──prime──> PrimedState ───────────────────┴──> SamplingLoop: logits ── constraint ── filters ── draw
                                                              ^                                         │
                                                              └──── stepper <── token ── detokenizer ───┴──> text

- `reference`: the whole sampler in a plain loop; read this first.
- `options`: what can be asked for, with defaults and ranges. `plan`: the same, resolved for a vocabulary.
- `prime`: how a prompt is read. `sampling_loop`: how texts grow side by side. `generate`: one text, several, the best.
- `growing_text`: what decides the next token of a text, beside the model; texts of different plans draw side by side.
- `filters`: temperature, top-k, top-p, min-p, typical-p, penalties. `shared_filters`: those of several texts at once.
- `random_draw`: how a token is drawn from a seed.
- `detokenizer`: when a token becomes text. `beam`: the most probable text. `session`: a conversation that can go back.
- `snapshot`: a point of a conversation, which a file can keep.
- `novelty`: how much of a text is copied from the training text.
- `constraints/`: which ids can still lead to an accepted text. `fast/`: the fast step, one token in, logits out.
"""
