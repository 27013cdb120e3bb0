"""Recipes that ship with the trainer: for each a base, and a head that is grown on it from other data.

``digits``: a small convolutional network learns handwritten digits 0-4, a head on it 5-9. Expected: base 0.99 or more
of its sealed items right; head about 0.98, where a linear model on the pixels has about 0.96.
``blobs``: a multilayer perceptron 2-5-5-3 learns three clouds of points, a head on it three others. Expected: base 0.85
or more; head about 0.80, no better than a linear model on the points themselves.
``geron``: digits but two, then those two as a binary task, all layers tuned at the small rate of the tutorial after
the head has been fitted. ``cifar-split``: convolutions of five classes, new dense layers for five others.
``vgg16-gap``: VGG16 averaged over its area, new dense layers with dropout; weights none until a local file is given.

The last three stand in digits for data that is not shipped. ``graft experiment`` of the same names compares each with
other ways of learning the same, over many seeds and source models; one run says nothing about them.
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
    "geron": {
        BASE: {
            "apiVersion": API_VERSION,
            "name": "geron-a",
            "base": {
                "kind": "builder",
                "name": "cnn",
                "params": {"filters": [16, 32], "dense": 64, "dropout": 0.25},
                "fit": {"steps": 600, "batch": 32, "learning_rate": 1e-3},
            },
            "dataset": {
                "uri": "builtin:digits:0-9",
                "filter": {"labels": ["0", "1", "2", "4", "6", "7", "8", "9"]},
            },
        },
        HEAD: {
            "apiVersion": API_VERSION,
            "name": "geron-b",
            "base": {"kind": "version", "ref": "geron-a"},
            "dataset": {"uri": "builtin:digits:0-9", "filter": {"labels": ["3", "5"]}},
            "head": {"task": "binary"},
            "finetune": {
                "enabled": "always",
                "mode": "full",
                "optimizer": "sgd",
                "learning_rate": 1e-4,
                "epochs": 16,
                "warmup": 0,
            },
        },
    },
    "cifar-split": {
        BASE: {
            "apiVersion": API_VERSION,
            "name": "cifar-split-a",
            "base": {
                "kind": "builder",
                "name": "cnn",
                "params": {"filters": [32, 32], "dense": 128, "dropout": 0.25},
                "fit": {"steps": 600, "batch": 32, "learning_rate": 1e-3},
            },
            "dataset": {"uri": "builtin:digits:0-4"},
        },
        HEAD: {
            "apiVersion": API_VERSION,
            "name": "cifar-split-b",
            "base": {"kind": "version", "ref": "cifar-split-a", "cut": "flatten"},
            "dataset": {"uri": "builtin:digits:5-9"},
            "head": {"hidden": [128], "dropout": 0.25},
            "finetune": {"enabled": "never"},
        },
    },
    "vgg16-gap": {
        BASE: {
            "apiVersion": API_VERSION,
            "name": "vgg16",
            "base": {
                "kind": "application",
                "name": "VGG16",
                "weights": "none",
                "shape": [32, 32, 3],
                "cuts": ["block5_pool"],
                "pooling": "gap",
            },
        },
        HEAD: {
            "apiVersion": API_VERSION,
            "name": "vgg16-digits",
            "base": {"kind": "version", "ref": "vgg16", "cut": "block5_pool"},
            "dataset": {"uri": "builtin:digits:0-9"},
            "head": {"hidden": [128], "dropout": 0.2},
            "finetune": {"enabled": "never"},
        },
    },
}


def preset(name: str, part: str) -> Recipe:
    """The recipe of one part of a preset."""
    return parse_recipe(PRESETS[name][part])
