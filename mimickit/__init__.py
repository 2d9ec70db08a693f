"""MimicKit: physics characters that learn to move from motion-capture clips."""

__version__ = "0.1.0"
