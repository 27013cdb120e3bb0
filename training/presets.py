"""Recipes that ship with the trainer: for each a base, and a head that is grown on it from other data.

``digits``: a small convolutional network learns handwritten digits 0-4, a head on it 5-9. Expected: base 0.99 or more
of its sealed items right; head about 0.98, where a linear model on the pixels has about 0.96.
``blobs``: a multilayer perceptron 2-5-5-3 learns three clouds of points, a head on it three others. Expected: base 0.85
or more; head about 0.80, no better than a linear model on the points themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.recipe import API_VERSION, Recipe, parse_recipe

BASE, HEAD = "base", "head"

PRESETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "digits": {
        BASE: {
            "apiVersion": API_VERSION,
            "name": "digits",
            "base": {
                "kind": "builder",
                "name": "cnn",
                "params": {"filters": [32, 64], "dense": 128, "dropout": 0.25},
                "fit": {"steps": 600, "batch": 64, "learning_rate": 1e-3},
            },
            "dataset": {"uri": "builtin:digits:0-4"},
        },
        HEAD: {
            "apiVersion": API_VERSION,
            "name": "digits-5-9",
            "base": {"kind": "version", "ref": "digits"},
            "dataset": {"uri": "builtin:digits:5-9"},
        },
    },
    "blobs": {
        BASE: {
            "apiVersion": API_VERSION,
            "name": "blobs",
            "base": {
                "kind": "builder",
                "name": "mlp",
                "params": {"hidden": [5, 5], "standardise": False},
                "fit": {"steps": 1600, "batch": 32, "learning_rate": 1e-2},
            },
            "dataset": {"uri": "builtin:blobs:1"},
        },
        HEAD: {
            "apiVersion": API_VERSION,
            "name": "blobs-2",
            "base": {"kind": "version", "ref": "blobs"},
            "dataset": {"uri": "builtin:blobs:2"},
        },
    },
}


def preset(name: str, part: str) -> Recipe:
    """The recipe of one part of a preset."""
    return parse_recipe(PRESETS[name][part])
