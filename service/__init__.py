"""The inference service: hot-swapped model versions behind REST and gRPC, and tuning jobs that grow new ones."""
