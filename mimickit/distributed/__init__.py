"""Processes that train together, on one host or several: how they meet, agree, watch over each other and end."""
