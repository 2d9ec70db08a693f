"""Whether a run passed: what came back, held against what was planned."""
