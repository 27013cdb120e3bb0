"""What happened, as a page of metrics for Prometheus."""
