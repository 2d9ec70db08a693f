"""What is wrong with this machine, this checkout and a case, before a run finds out."""
