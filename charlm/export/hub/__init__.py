"""`--format hub`: a directory as the Hugging Face hub likes it.

checkpoint ──the files of the model──> model.safetensors, model.json, vocab.json ..., manifest.json
     └── card ──> README.md                    the hub's own command uploads the directory
"""
