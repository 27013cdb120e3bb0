"""The composition root: the one place that knows every part, joins them, and starts and stops them in order.

``parts`` joins what does the work, ``doors`` what it is asked through; ``service`` is the life of both in one process,
``process`` that process. ``crew`` is the parent of several such processes, each of which is a ``worker``.
"""
