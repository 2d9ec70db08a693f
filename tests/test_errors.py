"""Failures under their own class, whichever library raised them, and what is said of them."""

import errno
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mimickit import errors
from mimickit.errors import (
    CapacityError,
    DisplayError,
    DivergenceError,
    InputError,
    MimicKitError,
    MissingDataError,
    RenderError,
    classify,
    tell,
)

ROOT = Path(__file__).resolve().parents[1]
KINDS = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, MimicKitError)]

CUDA_NOTE = "CUDA kernel errors might be asynchronously reported at some other API call.\nout of memory"


def cuda(text: str) -> Exception:
    return torch.AcceleratorError(f"CUDA error: {text}\n{CUDA_NOTE}")


def nccl(reason: str) -> Exception:
    text = "NCCL error in: NCCLUtils.cpp:94, unhandled cuda error, NCCL version 2.21.5\n"
    text += "ncclUnhandledCudaError: Call to CUDA function failed.\nLast error:\n"
    return torch.distributed.DistBackendError(text + reason)


def of_pyglet() -> Exception:
    return type("ContextException", (Exception,), {"__module__": "pyglet.gl"})("Could not create GL context")


def of_mujoco(text: str) -> Exception:
    import mujoco

    return mujoco.FatalError(text)


LIBRARY_FAILURES = [
    (OSError(errno.ENOSPC, "No space left on device"), "disk_full"),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk_full"),
    (RuntimeError("unable to write to file </torch_12>: No space left on device (28)"), "disk_full"),
    (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598"), "disk_full"),
    (OSError(errno.EACCES, "Permission denied"), "unexpected"),
    (MemoryError(), "out_of_memory"),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), "out_of_memory"),
    (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "out_of_memory"),
    (cuda("out of memory"), "out_of_memory"),
    (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "out_of_memory"),
    (RuntimeError("Failed to allocate 123 bytes on device 'cuda:0'"), "out_of_memory"),
    (of_mujoco("could not allocate mjData"), "out_of_memory"),
    (nccl("Cuda failure 2 'out of memory'"), "out_of_memory"),
    (of_mujoco("mj_stackAlloc: out of memory, stack overflow"), "capacity"),
    (cuda("unspecified launch failure"), "driver"),
    (cuda("an illegal memory access was encountered"), "driver"),
    (cuda("no CUDA-capable device is detected"), "driver"),
    (RuntimeError("The NVIDIA driver on your system is too old (found version 11040)."), "driver"),
    (RuntimeError("No CUDA GPUs are available"), "driver"),
    (RuntimeError("CUDA error 700 detected on device cuda:0: an illegal memory access was encountered"), "driver"),
    (nccl("Cuda failure 719 'unspecified launch failure'"), "driver"),
    # An index out of range on the GPU: a bug, like one on the CPU.
    (cuda("device-side assert triggered"), "unexpected"),
    (cuda("invalid argument"), "unexpected"),
    (nccl("Cuda failure 1 'invalid argument'"), "process_group"),
    (torch.distributed.DistNetworkError("The server socket has failed to listen on any address"), "process_group"),
    (torch.distributed.DistStoreError("wait timeout after 300000ms"), "process_group"),
    (RuntimeError("[/x/third_party/gloo/gloo/transport/tcp/pair.cc:537] Connection closed by peer"), "process_group"),
    (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "unexpected"),  # a download, say
    (of_pyglet(), "display"),
    (ModuleNotFoundError("No module named 'newton'", name="newton"), "import_error"),
    (ImportError("libcudart.so.12: cannot open shared object file"), "import_error"),
    (ImportError("cannot import name 'x' from 'mimickit.files'", name="mimickit.files"), "unexpected"),
    (ValueError("a note that mentions out of memory"), "unexpected"),
    (RuntimeError("the reason is below\nout of memory"), "unexpected"),
    (KeyError("out of memory"), "unexpected"),
]


@pytest.mark.parametrize(
    ("error", "kind"), [pytest.param(*row, id=f"{i}-{row[1]}") for i, row in enumerate(LIBRARY_FAILURES)]
)
def test_a_library_s_failure_has_its_class(error, kind):
    failure = classify(error)
    assert getattr(failure, "kind", "unexpected") == kind
    if kind == "unexpected":
        assert failure is error
    else:
        assert failure.__cause__ is error
        assert (str(error) or kind.replace("_", " ")) in str(failure)
        assert "; " in str(failure)


def raised(outer: Exception, inner: Exception, explicit: bool = False) -> Exception:
    """``outer``, raised while ``inner`` was handled, or from it."""
    try:
        try:
            raise inner
        except Exception as caught:
            raise outer from (caught if explicit else None)
    except Exception as error:
        return error


def test_a_full_disk_is_told_whatever_it_was_called():
    full = OSError(errno.ENOSPC, "No space left on device")
    failure = classify(raised(InputError("--out_dir x: cannot be written"), full))
    assert failure.kind == "disk_full"
    assert str(failure).startswith("--out_dir x: cannot be written; free space")
    assert classify(raised(RenderError("The encoder failed"), full, explicit=True)).kind == "disk_full"
    assert classify(raised(KeyError("closing"), full)).kind == "disk_full"
    again = classify(failure)
    assert again is failure


def test_a_clean_up_that_fails_too_does_not_hide_the_failure():
    first = DivergenceError("loss is NaN")
    assert classify(raised(RuntimeError("cannot close"), first)) is first
    assert classify(raised(RuntimeError("cannot close"), torch.OutOfMemoryError("CUDA out of memory"))).kind == (
        "out_of_memory"
    )


def test_what_was_handled_before_does_not_explain_what_came_after():
    for handled in (InputError("no such file"), ModuleNotFoundError("No module named 'tensorboard'")):
        error = raised(KeyError("tb"), handled)
        assert classify(error) is error


def test_an_input_error_because_of_an_absent_package_is_about_the_package():
    absent = ModuleNotFoundError("No module named 'newton'", name="newton")
    failure = classify(raised(InputError("engine_name 'newton' needs the package 'newton'"), absent, explicit=True))
    assert (failure.kind, str(failure)) == ("import_error", "engine_name 'newton' needs the package 'newton'")
    assert classify(raised(InputError("bad"), KeyError("x"), explicit=True)).kind == "input"


@pytest.mark.parametrize("kind", KINDS)
def test_every_class_travels_between_processes_and_stays_what_it_is(kind):
    """As mimickit/launch.py sends them: the class and the message."""
    sent, message = pickle.loads(pickle.dumps((kind, "what happened")))
    failure = sent(message)
    assert type(failure) is kind
    assert str(failure) == "what happened"
    assert classify(failure) is failure


def test_exit_codes_are_those_of_old():
    """Numbers are only ever added: records and scripts know them."""
    assert {cls.exit_code: cls.kind for cls in KINDS} == {
        1: "unexpected",
        2: "input",
        3: "out_of_memory",
        4: "capacity",
        5: "render",
        6: "divergence",
        7: "process_group",
        8: "disk_full",
        9: "driver",
        10: "display",
        11: "missing_data",
        12: "import_error",
    }
    assert len({cls.kind for cls in KINDS}) == len(KINDS)


def test_the_tables_for_people_list_every_code():
    readme = (ROOT / "README.md").read_text()
    for cls in KINDS:
        assert f"| {cls.exit_code} | {cls.kind} |" in errors.__doc__
        assert f"\n| {cls.exit_code} | " in readme


def test_the_narrow_classes_are_caught_as_the_wide_ones():
    assert issubclass(MissingDataError, InputError)
    assert issubclass(DisplayError, RenderError)


def test_tell_is_one_paragraph_or_a_traceback(capsys):
    assert tell(CapacityError("too few contacts")) == ("capacity", 4)
    assert capsys.readouterr().err == "error (capacity): too few contacts\n"
    assert tell(KeyError("x")) == ("unexpected", 1)
    assert capsys.readouterr().err == "KeyError: 'x'\n"


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (cuda("unspecified launch failure"), True),
        (torch.distributed.DistNetworkError("no port"), True),
        (ImportError("libcudart.so.12"), True),
        (MemoryError(), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
    ],
)
def test_where_it_happened_is_shown_when_the_message_cannot_say(capsys, error, shown):
    failure = classify(raised(error, KeyError("before")))
    assert tell(failure) == (failure.kind, failure.exit_code)
    text = capsys.readouterr().err
    assert ("Traceback" in text) == shown
    assert f"error ({failure.kind}): " in text


def test_a_stderr_without_room_leaves_the_exit_code():
    script = (
        "import sys\nfrom mimickit.errors import *\n"
        "codes = [tell(DiskFullError('x')), tell(KeyError('x'))]\n"
        "print(codes, flush=True)\nimport os; os._exit(codes[0][1])\n"
    )
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, stderr=full, stdout=subprocess.PIPE, text=True, check=False
        )
    assert ended.returncode == 8
    assert ended.stdout == "[('disk_full', 8), ('unexpected', 1)]\n"


def test_a_run_on_a_port_that_is_taken(tmp_path):
    """The real thing: torch.distributed itself, in a process of its own."""
    script = (
        "import sys, torch.distributed as dist\nfrom mimickit.errors import classify, tell\n"
        "url = f'tcp://127.0.0.1:{sys.argv[1]}'\n"
        "try:\n    dist.init_process_group('gloo', init_method=url, rank=0, world_size=2)\n"
        "except Exception as error:\n    sys.exit(tell(classify(error))[1])\n"
    )
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = subprocess.run(
            [sys.executable, "-c", script, port], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )
    assert ended.returncode == 7, ended.stderr
    assert "error (process_group): " in ended.stderr
    assert port in ended.stderr
