"""Several processes that serve the same: the parent's hub, each one's membership, and what they say to each other."""
