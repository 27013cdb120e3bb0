"""The gRPC doors: TF Serving's services, with its own message classes, and standard health and reflection."""
