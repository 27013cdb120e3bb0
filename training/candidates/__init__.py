"""What may become the answer of a head job: a linear head, a network on features, a fine-tuned model; and baselines.

Each is fitted by its phase, leaves what it needs in the work area, and from there answers for any item.
"""
