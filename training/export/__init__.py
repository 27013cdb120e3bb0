"""Writing what is published: SavedModels that any TensorFlow can load, and the files of Graft's own beside them."""
