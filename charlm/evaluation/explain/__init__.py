"""The surprisal of each character of a text, and what the model expected there.

text ──encode──> tokens ──surprisal──> bits, rank and alternatives of each token ─┐
  └──text_units──> the parts to point at: whole characters of whole tokens ───────┴──> Explanation
Explanation ──terminal──> coloured lines      Explanation ──page──> one HTML file

explanation           the text with its surprisals     colours    bits -> colours
surprising_places     its most surprising units        visible    text with what is invisible written out
data                  what the page's script reads
"""
