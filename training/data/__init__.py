"""Labelled data: reading it, finding everything that is wrong with it, and naming it by its content.

Needs numpy and Pillow only, so that a check starts at once.
"""
