"""Measuring this machine: ``nox -s bench`` on its processor, ``nox -s bench -- --gpu`` on its NVIDIA GPUs.

`figures` are what is measured, with bounds. `cpu` compares the engines without a GPU. `gpu` goes through the parts of
`parts`, each a module, and keeps a `record` of them; they run programs with `programs`, one for each thing that is
timed, so that nothing is warm that a user would find cold.
"""
