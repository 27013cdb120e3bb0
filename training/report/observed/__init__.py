"""What is looked at only to be reported: arrays in, plain values for the report out. Nothing here decides anything."""
