"""Files in, text and documents out.

    file ── unpacking, chunks ──> bytes ── decoding ──> text ── documents ──> documents

inputs     which files a path, a folder, a glob or `-` names
input_files  the hashes of these files, kept in the cache; whether one has changed
unpacking  bz2, xz and gz streams, with the offset of each piece in the file
chunks     the bytes of a text file of any of these formats, or of a zip; refuses binary files
decoding   bytes -> text in any encoding that Python knows; errors name the offset
documents  text -> one document, or one for each block or line; long texts in pieces
"""
