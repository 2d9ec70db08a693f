"""Running cases: processes, stages, one case, many cases."""
