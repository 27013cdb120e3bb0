"""Base models: building, training, taking over, and choosing where they are cut. The only room that knows Keras."""
