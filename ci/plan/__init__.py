"""Before a run: which cases, in which shards, and what is expected back."""
