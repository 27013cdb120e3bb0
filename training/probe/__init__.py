"""Fitting a linear head on fixed features: the solver, the choice among cuts and penalties, calibration."""
