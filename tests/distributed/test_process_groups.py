"""Our own processes: their store, and the signals that reach them."""

import signal
import socket
import threading
from pathlib import Path

import pytest
import torch

from mimickit.distributed.process_groups import _serve, run_own_processes
from mimickit.errors import ProcessGroupError
from tests.distributed.process_group_work import note_a_signal, tell_when_all_wait


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("heed", [True, False])
def test_a_signal_counts_if_it_has_ended_the_work(tmp_path: Path, number: signal.Signals, heed: bool) -> None:
    threading.Thread(target=tell_when_all_wait, args=(tmp_path, 2, number), daemon=True).start()
    ended = run_own_processes([torch.device("cpu")] * 2, None, note_a_signal, tmp_path, heed)
    assert ended == (number if heed else 0)
