"""Why a stage failed: the classes, and how one is told from another."""
