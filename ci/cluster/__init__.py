"""A run in parts on a cluster: jobs submitted, watched, brought together."""
