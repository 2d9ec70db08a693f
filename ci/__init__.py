"""The job matrix: every case trains, tests and renders, each stage in a process of its own, and a gate says so.

Nothing here imports torch, newton, warp or mujoco: the framework is started as a subprocess and judged by its files.
"""
