"""A run for other readers: junit.xml for a CI system, summary.md for its page, a terminal's table, report.html."""
