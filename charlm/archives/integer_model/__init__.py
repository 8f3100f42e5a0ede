"""A model of whole numbers: the frequencies that it predicts are the same on every machine, to the bit.

    checkpoint ──convert──> IntegerModel (layout) ──to_bytes──> integer.safetensors ──parse_model──> IntegerModel
    symbols_L ──network: reference.py or network.c──> powers_LV ──counts.py or counts.c──> frequencies_LV of sum 2**24

- `fixed_point`: how numbers are stored and rounded. `activation_tables`: sigmoid, tanh and powers of two.
- `description`, `layout`, `parse_model`: the format. `bounds`: the proof that no sum leaves its range.
- `supported`, `convert`, `convert_layers`, `quantize`: from floats to the format; nothing else sees a float.
- `reference`: the step in numpy. `compiled` and `network.c`: the same in C.
- `counts`, `mixing`, `mixing_tables`, `frequencies`: counts of the text so far, what mixes them with the network, and
  the frequencies, in Python. `compiled_counts` and `counts.c`: the same in C. `training_tables`: n-grams of the
  training text.
- `predictor`: all of it as a `LanePredictor`. `files`: the model of a checkpoint.
"""
