"""The recipe: the declarative description of one training run, read strictly.

Nowhere else is its shape known. ``reading`` turns a file or a command line into one; the other modules say what its
parts may hold.
"""

from training.recipe.bases import (
    AnyBase,
    ApplicationBase,
    BilstmBase,
    BilstmParams,
    CnnBase,
    CnnParams,
    EnsembleBase,
    FitParams,
    KerasFileBase,
    KerasFileParams,
    MlpBase,
    MlpParams,
    SavedModelBase,
    VersionBase,
)
from training.recipe.data import AugmentChoice, DatasetChoice, InputChoice, LimitsChoice, SplitChoice
from training.recipe.heads import FinetuneChoice, HeadChoice, ProbeChoice, Unfreeze
from training.recipe.judging import EvaluateChoice, GateChoice, OodChoice, PublishChoice
from training.recipe.reading import json_schema, parse_overrides, parse_recipe, read_recipe, with_settings
from training.recipe.whole import API_VERSION, MODEL_NAME, Overrides, Recipe

__all__ = [
    "API_VERSION",
    "MODEL_NAME",
    "AnyBase",
    "ApplicationBase",
    "AugmentChoice",
    "BilstmBase",
    "BilstmParams",
    "CnnBase",
    "CnnParams",
    "DatasetChoice",
    "EnsembleBase",
    "EvaluateChoice",
    "FinetuneChoice",
    "FitParams",
    "GateChoice",
    "HeadChoice",
    "InputChoice",
    "KerasFileBase",
    "KerasFileParams",
    "LimitsChoice",
    "MlpBase",
    "MlpParams",
    "OodChoice",
    "Overrides",
    "ProbeChoice",
    "PublishChoice",
    "Recipe",
    "SavedModelBase",
    "SplitChoice",
    "Unfreeze",
    "VersionBase",
    "json_schema",
    "parse_overrides",
    "parse_recipe",
    "read_recipe",
    "with_settings",
]
