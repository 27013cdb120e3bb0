"""Operations on Keras models, as the tutorials of transfer learning do them, each without side effects on its source.

cloning.clone(model) -> model                                   deep copy with weights; nested models opened up
cloning.in_float32(model) -> model                              the same, computing in float32
reusing.reuse(model, cut, pooling) -> feature model             all layers up to a cut
reusing.with_hidden(model, hidden, seed, activation=, dropout=) -> model     new dense layers on top
reusing.with_output(model, outputs, seed) -> model              a new linear layer ``logits`` on top
freezing.freeze(model, Unfreeze, batch_norm) -> names           sets flags, refuses to train nothing
freezing.training_graph(model, batch_norm) -> model             what to call in training, same layers
reinitialising.reinitialise(model, names, seed) -> names        fresh weights, fresh seeds
widening.widen(model, {layer: units}, seed) -> model            wider layers, same function
inputs.adapt_vectors(model, ...), inputs.adapt_images(model, ...) -> Adapted   another input in front
classes.extended(...), classes.aligned(...)                     old and new classes, on arrays
layers.layer_table(model), layers.parameter_counts(model)       for reports
layers.leaves(model), layers.resolve(model, names)              layers by address, ``base/block5_conv1``
"""
