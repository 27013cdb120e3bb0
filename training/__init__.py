"""The offline trainer: a program of its own that turns labelled data into published versions.

It knows the domain and nothing else of the service. It speaks to the outside through a directory (what it publishes)
and a pipe (one progress event a line), and is started as ``python -m training``.
"""
