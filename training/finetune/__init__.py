"""Training of weights by gradient: the one compiled loop, and fine-tuning of a base together with its head."""
