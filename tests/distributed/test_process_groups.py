"""The store of our own processes."""

import socket

import pytest

from mimickit.distributed.process_groups import _serve
from mimickit.errors import ProcessGroupError


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ProcessGroupError, match=f"--master_port {port}: Address already in use; give another"):
            _serve(port)


def test_the_store_is_for_this_host_alone() -> None:
    server, port = _serve(None)
    with socket.socket() as other:
        other.bind(("127.0.0.2", port))  # which a listener on all addresses would have taken
    assert server.port == port
