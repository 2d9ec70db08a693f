"""What a run is asked to do: the command line, arg files and the typed YAML configurations.

Nothing here imports torch, so a case can be read, checked and printed in a fraction of a second.

``parse_run_arguments`` (``arguments.py``) reads the command line and the arg file, ``load_case`` (``case.py``) the
YAML files they name. Every wrong value ends in one ``InputError`` that lists each problem with its file, line and key.
"""
