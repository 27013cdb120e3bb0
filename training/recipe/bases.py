"""What a model is grown from: a published version, a network built and trained on the spot, or a finished model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from training.recipe.strict import Name, Rate, Share, Strict, Width

MOST_CUTS_JOINED = 4
MOST_MEMBERS = 8
Pooling = Literal["auto", "gap", "flatten", "last", "mean", "none"]
"""How maps and sequences become vectors at a cut: ``gap`` averages over the area, ``mean`` over time, ``last`` takes
the last step, ``none`` leaves vectors and refuses the rest; ``auto`` flattens what is small and averages the rest."""


class VersionBase(Strict):
    """A head is grown on a published version, ``model`` or ``model@7``; ``cut`` may join several features."""

    kind: Literal["version"]
    ref: str = Field(min_length=1)
    cut: Name | Annotated[list[Name], Field(min_length=1, max_length=MOST_CUTS_JOINED)] = "auto"


class FitParams(Strict):
    """How a network from a builder is trained: a number of steps, not of epochs, so that it does not depend on size."""

    steps: int = Field(default=600, ge=1, le=1_000_000)
    batch: int = Field(default=64, ge=1, le=4_096)
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: Rate = 1e-3
    momentum: Share = 0.0
    """Of ``sgd``."""


class MlpParams(Strict):
    """Dense layers. ``standardise`` puts the training data's mean and spread into the graph."""

    hidden: list[Width] = Field(default=[64, 64], min_length=1, max_length=16)
    standardise: bool = True


class CnnParams(Strict):
    """Convolutions (3x3, no padding), pooling, one dense layer. ``shape`` is needed for encoded images."""

    shape: list[Width] | None = Field(default=None, min_length=3, max_length=3)
    filters: list[Width] = Field(default=[32, 64], min_length=1, max_length=16)
    dense: Width = 128
    dropout: Share = 0.25


class BilstmParams(Strict):
    """A vocabulary learned from the training texts, an embedding, a bidirectional LSTM; text comes in as text."""

    vocabulary: int = Field(default=20_000, ge=10, le=1_000_000)
    length: int = Field(default=128, ge=1, le=4_096)
    """Tokens of a text that are read; the rest is cut off."""
    embedding: Width = 64
    units: Width = 64
    dropout: Share = 0.25


class MlpBase(Strict):
    """A new multilayer perceptron, trained on the dataset."""

    kind: Literal["builder"]
    name: Literal["mlp"]
    params: MlpParams = MlpParams()
    fit: FitParams = FitParams()


class CnnBase(Strict):
    """A new convolutional network, trained on the dataset."""

    kind: Literal["builder"]
    name: Literal["cnn"]
    params: CnnParams = CnnParams()
    fit: FitParams = FitParams()


class BilstmBase(Strict):
    """A new network for texts or token numbers, trained on the dataset."""

    kind: Literal["builder"]
    name: Literal["bilstm"]
    params: BilstmParams = BilstmParams()
    fit: FitParams = FitParams()


class Digest(Strict):
    """A local file and the sha256 it must have; a job never fetches anything."""

    file: str = Field(min_length=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class KerasFileParams(Strict):
    """What a Keras file does not say of itself."""

    labels: list[str] | None = Field(default=None, min_length=2)
    columns: list[str] | None = None
    shape: list[Width] | None = None
    """Needed when the model leaves its input size open."""
    rescale: float | None = Field(default=None, gt=0)
    """Factor on the input, for a model that was trained on 0..1 where images arrive as 0..255."""


class KerasFileBase(Strict):
    """A finished Keras model, ``.keras`` or ``.h5``, taken as it is."""

    kind: Literal["keras_file"]
    ref: str = Field(min_length=1)
    params: KerasFileParams = KerasFileParams()
    cuts: list[Name] | None = Field(default=None, min_length=1)
    """Layers to cut after; None finds them."""
    pooling: Pooling = "auto"


class SavedModelBase(Strict):
    """A finished SavedModel: a float output of one of its signatures is the feature. It cannot be fine-tuned."""

    kind: Literal["saved_model"]
    ref: str = Field(min_length=1)
    signature: Name = "serving_default"
    output: Name | None = None
    """Needed when the signature has several float outputs."""
    shape: list[Width] | None = Field(default=None, min_length=1, max_length=3)
    """Of one item; needed when the signature leaves it open."""
    pooling: Pooling = "auto"


APPLICATIONS = (
    "VGG16",
    "MobileNetV2",
    "MobileNetV3Small",
    "MobileNetV3Large",
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2S",
    "ConvNeXtTiny",
    "ConvNeXtSmall",
)
ApplicationName = Literal[
    "VGG16",
    "MobileNetV2",
    "MobileNetV3Small",
    "MobileNetV3Large",
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2S",
    "ConvNeXtTiny",
    "ConvNeXtSmall",
]


class ApplicationBase(Strict):
    """An image network of ``keras.applications`` without its top; its own preprocessing goes into the export."""

    kind: Literal["application"]
    name: ApplicationName
    weights: Literal["none"] | Digest = "none"
    shape: list[Width] = Field(default=[224, 224, 3], min_length=3, max_length=3)
    cuts: list[Name] | None = Field(default=None, min_length=1)
    pooling: Pooling = "gap"


class EnsembleBase(Strict):
    """Several published bases that take the same input, as one: features side by side, or answers averaged."""

    kind: Literal["ensemble"]
    members: list[str] = Field(min_length=2, max_length=MOST_MEMBERS)
    """``model`` or ``model@7``."""
    combine: Literal["features", "probabilities"] = "features"

    @model_validator(mode="after")
    def _members_differ(self) -> EnsembleBase:
        if len(set(self.members)) != len(self.members):
            raise ValueError("the members of an ensemble differ")
        return self


BuilderBase = Annotated[MlpBase | CnnBase | BilstmBase, Field(discriminator="name")]
AnyBase = Annotated[
    VersionBase | BuilderBase | KerasFileBase | SavedModelBase | ApplicationBase | EnsembleBase,
    Field(discriminator="kind"),
]
