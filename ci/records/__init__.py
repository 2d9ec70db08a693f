"""What a run remembers: results, rows, journals, and the folders they are in."""
