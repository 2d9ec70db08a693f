"""Subcommands of ``python -m mimickit.data``: one module each, with DESCRIPTION, add_arguments and run."""
