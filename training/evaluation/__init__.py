"""Figures on a test, each with its uncertainty: pure functions on arrays that do not know where answers come from."""
