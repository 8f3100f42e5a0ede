"""Optimization: gradients in, new weights out, and an average of the weights beside them.

settings ──build──> Optimizers (optimizers, muon) ──step──> weights ──averaging──> average
settings ──schedules.lr_factor──> the factor on the highest learning rate
"""
