"""Charts as SVG text: small pure functions from numbers to markup, with one module for scales and one for drawing.

Colours are the page's CSS variables, so that a chart is light or dark as its reader's system is. Nothing is drawn by a
library: the process that trains has no need of one.
"""
