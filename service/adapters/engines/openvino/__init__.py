"""OpenVINO as an engine: what it may be given, how a signature comes to it, how it runs there."""
