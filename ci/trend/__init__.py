"""The history of nights, and what it says in the morning."""
