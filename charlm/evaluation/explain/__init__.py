"""What each character of a text cost a model, and what the model expected there.

text ──encode──> tokens ──surprisal──> bits, rank and alternatives of each token ─┐
  └──units──> what a reader can point at: whole characters of whole tokens ───────┴──> Explanation
Explanation ──terminal──> coloured lines      Explanation ──page──> one HTML file
"""
