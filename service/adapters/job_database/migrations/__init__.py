"""How a database of an earlier Graft becomes one of this: Alembic's revisions, one a file in ``versions``.

Alembic reads this directory by itself; ``schema`` starts it and says where to. A revision is never changed once it was
released, and says everything itself: the tables of today (``tables.METADATA``) are not those it was written for.
"""
