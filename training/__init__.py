"""The offline trainer: a program of its own that grows base and fine-tuned SavedModels by transfer learning."""
