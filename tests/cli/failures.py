"""What ends a command, with the exit code and the line that it ends in."""

import errno

from decig.errors import BadInputError, DecigError, StoppedError, TargetMissedError, Terminated


class OutOfMemoryError(RuntimeError):
    """As PyTorch's, by its name."""


LACKS = (
    MemoryError(),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    OutOfMemoryError("Tried to allocate 2.00 GiB"),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
    Exception("bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 8"),
)

FAILURES = [
    (DecigError("it broke"), 1, "decig: error: it broke"),
    (BadInputError("x.onnx: no"), 2, "decig: error: x.onnx: no"),
    (TargetMissedError("too slow"), 3, "decig: error: too slow"),
    (KeyboardInterrupt(), 130, "decig: interrupted"),
    (StoppedError("stopped; go on"), 130, "decig: error: stopped; go on"),
    (Terminated(), 143, "decig: interrupted"),
    (StoppedError("stopped; go on", Terminated()), 143, "decig: error: stopped; go on"),
    *((lack, 1, "decig: error: out of memory") for lack in LACKS),
    (OSError(errno.ENOSPC, "No space", "/tmp/x"), 1, "decig: error: /tmp/x: the disk is full"),
    (
        PermissionError(errno.EACCES, "not yours", "/tmp/x"),
        1,
        "decig: error: /tmp/x: not yours",
    ),
    (
        ValueError("odd\nthing"),
        1,
        "decig: internal error: ValueError: odd (run again with --debug)",
    ),
]
