"""What a stage must leave behind to count as passed."""
