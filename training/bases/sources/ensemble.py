"""A base from several published ones that take the same input: features side by side, or their answers averaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from service.domain.artifact import Manifest
from service.domain.tensors import DEFAULT_SIGNATURE
from training.base_graph import BaseGraph, read_base_manifest
from training.bases.base_model import BaseModel, drawn_sample
from training.bases.cuts import MOST_CUTS
from training.bases.publishing import cuts_of
from training.bases.references import version_directory
from training.errors import BadBase
from training.export.base_model import BaseNetwork
from training.recipe import EnsembleBase

JOINED, AVERAGED = "joined", "averaged"


def from_ensemble(choice: EnsembleBase, repository: Path, seed: int) -> BaseModel:
    """The base. Side by side it offers ``joined``, every member's last cut, and where they are few each member's own;
    averaged it offers the members' mean probabilities, and answers with them.

    Raises:
        BadBase: a member is missing, is no base, takes another input, or answers with other classes.
    """
    directories = [version_directory(repository, member) for member in choice.members]
    manifests = [read_base_manifest(directory) for directory in directories]
    first = manifests[0]
    for name, manifest in zip(choice.members, manifests, strict=True):
        if (manifest.input.kind, manifest.input.shape, manifest.input.columns) != (
            first.input.kind,
            first.input.shape,
            first.input.columns,
        ):
            raise BadBase(
                f"the members of an ensemble take the same input: {choice.members[0]} takes {_input_words(first)}, "
                f"{name} takes {_input_words(manifest)}"
            )
    graphs = [BaseGraph(directory) for directory in directories]
    averaged = choice.combine == "probabilities"
    network = _averaged(choice, graphs, manifests) if averaged else _joined(choice, graphs, manifests)
    return BaseModel(
        network=network,
        spec=first.input,
        task=first.task,
        labels=first.labels if averaged else (),
        sample=drawn_sample(first.input, seed),
        notes=[f"made of {', '.join(choice.members)}, which are not changed and cannot be fine-tuned as one"],
        facts={
            "source": " + ".join(choice.members),
            "members": [
                {"ref": name, "digest": manifest.digest}
                for name, manifest in zip(choice.members, manifests, strict=True)
            ],
        },
    )


def _joined(choice: EnsembleBase, graphs: list[BaseGraph], manifests: list[Manifest]) -> BaseNetwork:
    import tensorflow as tf

    functions = [graph.loaded.signatures["features"] for graph in graphs]
    cuts = [cuts_of(manifest)[-1] for manifest in manifests]
    widths = {JOINED: sum(manifest.features[cut] for manifest, cut in zip(manifests, cuts, strict=True))}
    alone = len(functions) < MOST_CUTS
    if alone:
        # A member's name may hold a sign that an output's name may not.
        names = [member.replace("@", "-") for member in choice.members]
        widths.update(
            {name: manifest.features[cut] for name, manifest, cut in zip(names, manifests, cuts, strict=True)}
        )

    def features(inputs: Any) -> dict[str, Any]:
        found = [function(inputs=inputs)[cut] for function, cut in zip(functions, cuts, strict=True)]
        return dict(zip(widths, [tf.concat(found, axis=1), *(found if alone else [])], strict=True))

    return BaseNetwork(features, widths, None, _variables(functions), _resources(graphs))


def _averaged(choice: EnsembleBase, graphs: list[BaseGraph], manifests: list[Manifest]) -> BaseNetwork:
    import tensorflow as tf

    labels = manifests[0].labels
    functions = []
    for name, manifest, graph in zip(choice.members, manifests, graphs, strict=True):
        answer = graph.loaded.signatures[DEFAULT_SIGNATURE]
        if not labels or manifest.labels != labels or manifest.task != manifests[0].task:
            raise BadBase(
                f"answers can be averaged only of the same classes: {choice.members[0]} has "
                f"{', '.join(labels) or 'none'}, {name} has {', '.join(manifest.labels) or 'none'}"
            )
        if "probabilities" not in answer.structured_outputs:
            raise BadBase(f"{name} answers without probabilities; base.combine features would do")
        functions.append(answer)

    def answer_of_all(inputs: Any) -> Any:
        return tf.add_n([function(inputs=inputs)["probabilities"] for function in functions]) / len(functions)

    def features(inputs: Any) -> dict[str, Any]:
        return {AVERAGED: answer_of_all(inputs)}

    widths = {AVERAGED: len(labels)}
    return BaseNetwork(features, widths, answer_of_all, _variables(functions), _resources(graphs))


def _variables(functions: list[Any]) -> list[Any]:
    """The variables that any of the functions reads, each once."""
    return list({id(variable.handle): variable for function in functions for variable in function.variables}.values())


def _resources(graphs: list[BaseGraph]) -> list[Any]:
    return [resource for graph in graphs for resource in getattr(graph.loaded, "resources", ())]


def _input_words(manifest: Manifest) -> str:
    return f"{manifest.input.kind} {list(manifest.input.shape)}"
