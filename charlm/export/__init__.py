"""A model in the forms that other programs read: `charlm export`.

    RUN ──workflows/export──> ExportedModel ──ExportFormat.export──> a file or a directory, whole or not at all

- `formats`: the form of every format, and their table. A new one is a package here and an entry there.
- `exported_model`: what a format may know about the model.
- `web_page`: one HTML file that runs the model in a browser.
- `hub`: a directory for the Hugging Face hub. `onnx_step`: a step as a graph of operations. `taggers`: files for the
  taggers of stanza and flair.
"""
