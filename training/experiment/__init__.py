"""Experiments: several ways of learning one task, side by side on the same data, over many seeds and source models.

One run of one arm proves nothing where seeds differ by more than arms do. An experiment repeats, keeps every single
score, and says from the numbers alone which differences are larger than chance.
"""
