"""Other servers a user could pick, each in an environment of its own, serving the same models beside Graft."""
