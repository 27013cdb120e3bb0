"""The networks that a source can be, without their output: built by the same builders as a base."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.bases.builders import LOGITS, build_cnn, build_mlp
from training.bases.cuts import pooled
from training.errors import BadRecipe
from training.experiment.network import Network, Weights, assemble
from training.experiment.schema import Network as NetworkChoice
from training.recipe import ApplicationBase, CnnBase, MlpBase


class Bodies:
    """Networks on one body, each built once for a number of classes and new layers."""

    def __init__(self, choice: NetworkChoice, shape: tuple[int, ...], seed: int) -> None:
        """``shape``: of one item as the network takes it."""
        self._choice, self.shape, self._seed = choice, shape, seed
        self._made: dict[tuple[Any, ...], Network] = {}
        self._from_file: Weights | None = None

    @property
    def flat(self) -> bool:
        """Whether the network takes vectors."""
        return takes_vectors(self._choice)

    def network(self, classes: int, hidden: tuple[int, ...] = (), dropout: float = 0.0) -> Network:
        """The network with an output of so many classes, and new layers below it.

        Raises:
            BadRecipe: the network does not take such items.
        """
        key = (classes, hidden, dropout)
        if key not in self._made:
            body, penultimate = self._body()
            self._made[key] = assemble(body, penultimate, classes, hidden, dropout)
            if self._from_file is None:
                own = self._made[key].weights()
                self._from_file = {name: own[name] for name in self._made[key].body}
        return self._made[key]

    def given(self, network: Network, seed: int) -> Weights:
        """The weights of a source that learns nothing here: those of its file, or new ones."""
        if isinstance(self._choice, ApplicationBase) and self._choice.weights != "none":
            assert self._from_file is not None
            return self._from_file
        return network.fresh(seed, network.body)

    def _body(self) -> tuple[Any, Any]:
        match self._choice:
            case MlpBase() as choice:
                numbers: NDArray[np.float32] = np.zeros((1, *self.shape), dtype=np.float32)
                model = build_mlp(choice.params, 2, numbers, self._seed)
                return model, model.get_layer(LOGITS).input
            case CnnBase() as choice:
                try:
                    model = build_cnn(choice.params, 2, self.shape, self._seed)
                except ValueError as error:
                    raise BadRecipe(f"source.network: no such network fits items of {self.shape}: {error}") from error
                return model, model.get_layer(LOGITS).input
            case ApplicationBase() as choice:
                return self._application(choice)

    def _application(self, choice: ApplicationBase) -> tuple[Any, Any]:
        from training.bases.sources.application import build_application

        if tuple(choice.shape) != self.shape:
            raise BadRecipe(f"source.network: shape {choice.shape}, and the items are {list(self.shape)}")
        height, width, channels = choice.shape
        with tempfile.TemporaryDirectory(prefix="graft-") as name:
            weights = None if choice.weights == "none" else choice.weights
            model = build_application(choice.name, (height, width, channels), weights, Path(name))
        return model, pooled(model.outputs[0], model.layers[-1].name, choice.pooling)


def takes_vectors(choice: NetworkChoice) -> bool:
    """Whether a network takes vectors, and so images only as rows."""
    return isinstance(choice, MlpBase)
