"""The REST doors: TF Serving's predict, status and metadata, Graft's own tuning API, health and metrics."""
