"""What TF Serving keeps in files and shows to its monitoring: one module a format."""
