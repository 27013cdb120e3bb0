"""Graft's words and rules. No input or output, no clock, no third party but numpy: everything else depends on this."""
