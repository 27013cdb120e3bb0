"""One network of an experiment: its graph is built once, and its weights are set anew for every fit.

Building and tracing a network costs seconds and, hundreds of times over, gigabytes; setting weights costs neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from training.bases.cuts import cut_tensors
from training.bases.surgery.freezing import freeze
from training.bases.surgery.reinitialising import reinitialise
from training.errors import BadRecipe
from training.experiment.arms import Stage
from training.finetune.loop import Schedule, Stepper
from training.recipe import Unfreeze
from training.seeds import child_seed

Weights = dict[str, list[NDArray[Any]]]
"""The weights of each layer by its name."""
OUTPUT = "logits"
ROWS_AT_ONCE = 256
NORMALISATION = "BatchNormalization"


@dataclass(eq=False)
class Network:
    """A Keras model from inputs to logits [n, K], and what is compiled for it."""

    model: Any
    features_model: Any
    """The body: the same layers, from inputs to what the new layers are given."""
    new: tuple[str, ...]
    """Layers with weights on top of the body, the output last."""
    body: tuple[str, ...]
    """Layers of the body that have weights, from the input up."""
    _steppers: dict[tuple[Any, ...], Stepper] = field(default_factory=dict)
    _asked: Any = None
    _cuts: Any = None

    def trained(self, which: Literal["all", "head"] | Unfreeze) -> tuple[str, ...]:
        """The names of the layers that a stage trains, from the input up.

        Raises:
            BadRecipe: there are no such layers.
        """
        if which == "head":
            return self.new
        if which == "all":
            return (*self.body, *self.new)
        # The flags it sets matter to nothing but normalisation, which stays frozen: variables are chosen by name.
        return (*freeze(self.features_model, which), *self.new)

    def fresh(self, seed: int, names: Sequence[str] | None = None) -> Weights:
        """New initial weights of some layers, by default of all."""
        wanted = names if names is not None else (*self.body, *self.new)
        before = self.weights()
        reinitialise(self.model, [name for name in wanted if name not in self._fixed()], seed)
        found = {name: self.model.get_layer(name).get_weights() for name in wanted}
        self._assign(before)
        return found

    def put(self, weights: Mapping[str, Sequence[NDArray[Any]]], seed: int) -> None:
        """Put weights in, and start the random numbers of the layers (dropout) where this seed says."""
        self._assign(weights)
        known = {id(weight) for weight in self.model.weights}
        for place, variable in enumerate(self.model.variables):
            if id(variable) not in known:
                variable.assign(np.array([child_seed(seed, "random state", place), 0], dtype=variable.dtype))

    def weights(self) -> Weights:
        """The weights as they are now."""
        return {name: self.model.get_layer(name).get_weights() for name in (*self.body, *self.new)}

    def parameters(self, names: Sequence[str]) -> int:
        """How many numbers training may change in these layers."""
        return sum(int(np.prod(one.shape)) for name in names for one in self._variables(name))

    def stepper(self, stage: Stage, schedule: Schedule) -> tuple[Stepper, list[Any]]:
        """What trains as the stage says, compiled at the first call, and the variables that it trains."""
        names = self.trained(stage.train)
        variables = [one for name in names for one in self._variables(name)]
        key = (names, stage.optimizer, stage.learning_rate, stage.momentum, stage.weight_decay)
        if key not in self._steppers:
            self._steppers[key] = Stepper(self.model, variables, cross_entropy, schedule, None)
        return self._steppers[key], variables

    def logits(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Answers [n, K]."""
        if self._asked is None:
            self._asked = _compiled(self.model, x)
        return np.concatenate([np.asarray(self._asked(rows)) for rows in _portions(x)])

    def features(self, x: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
        """Features [n, D] at every cut of the body, in the order of the graph; the last is the penultimate layer."""
        import keras

        if self._cuts is None:
            cuts = {name: tensor for name, tensor in cut_tensors(self.model).items() if name not in self.new}
            if not cuts:
                raise BadRecipe("the network has no layer whose output can be cut as features")
            self._cuts = list(cuts), _compiled(keras.Model(self.model.inputs[0], list(cuts.values())), x)
        names, asked = self._cuts
        parts = [asked(rows) for rows in _portions(x)]
        parts = [part if isinstance(part, list | tuple) else [part] for part in parts]
        return {name: np.concatenate([np.asarray(part[place]) for part in parts]) for place, name in enumerate(names)}

    def _assign(self, weights: Mapping[str, Sequence[NDArray[Any]]]) -> None:
        for name, values in weights.items():
            self.model.get_layer(name).set_weights(list(values))

    def _fixed(self) -> set[str]:
        """Layers whose weights are facts, not draws: the scale of an application's own preprocessing."""
        return {layer.name for layer in self.model.layers if hasattr(layer, "adapt")}

    def _variables(self, name: str) -> list[Any]:
        layer = self.model.get_layer(name)
        # Statistics of a frozen network are the source's; a unit that is normalised otherwise is another unit.
        return [] if type(layer).__name__ == NORMALISATION else list(layer.trainable_variables)


def assemble(body: Any, penultimate: Any, classes: int, hidden: Sequence[int], dropout: float) -> Network:
    """The network of a body's graph up to a tensor [n, D], with new layers and an output of so many classes on top."""
    import keras

    lower = keras.Model(body.inputs[0], penultimate)
    known = {layer.name for layer in lower.layers}
    features = penultimate
    for place, units in enumerate(hidden, start=1):
        start = keras.initializers.HeUniform(0)
        features = keras.layers.Dense(units, "relu", kernel_initializer=start, name=f"new_{place}")(features)
        if dropout:
            features = keras.layers.Dropout(dropout, seed=0, name=f"new_dropout_{place}")(features)
    logits = keras.layers.Dense(classes, kernel_initializer=keras.initializers.GlorotUniform(0), name=OUTPUT)(features)
    model = keras.Model(body.inputs[0], logits)
    for layer in model.layers:
        if type(layer).__name__ == NORMALISATION:
            layer.trainable = False
    weighted = [layer.name for layer in model.layers if layer.weights]
    return Network(
        model,
        lower,
        tuple(name for name in weighted if name not in known),
        tuple(name for name in weighted if name in known),
    )


def cross_entropy(logits: Any, wanted: Any) -> Any:
    """Of logits [n, K] and classes [n]: [n]."""
    from keras import ops

    return ops.sparse_categorical_crossentropy(wanted, logits, from_logits=True)


def _portions(x: NDArray[Any]) -> list[NDArray[Any]]:
    return [x[start : start + ROWS_AT_ONCE] for start in range(0, len(x), ROWS_AT_ONCE)]


def _compiled(model: Any, x: NDArray[Any]) -> Callable[[NDArray[Any]], Any]:
    import tensorflow as tf

    signature = [tf.TensorSpec([None, *x.shape[1:]], x.dtype)]
    return tf.function(lambda rows: model(rows, training=False), input_signature=signature, autograph=False)
