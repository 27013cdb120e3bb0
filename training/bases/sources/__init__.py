"""Where a base comes from, a module each. Whatever it is, it comes out as a ``BaseModel``."""
