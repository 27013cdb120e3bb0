"""``graft bench``: load on any server that speaks TensorFlow Serving's API, and what it answers in which time.

``command`` reads the flags and prints; ``metadata`` asks what a model takes, and ``questions`` makes requests of it;
``rest`` and ``rpc`` carry them; ``loops`` decides when one is sent; ``processes`` sends from processes of their own;
``findings`` counts.
"""
