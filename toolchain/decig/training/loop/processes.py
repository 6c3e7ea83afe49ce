"""The processes that train together: one, or those that torchrun or `accelerate launch` started.

Every process trains on crops of its own, and gradients are averaged before each update, so N
processes train on N times the batch. The main process alone decides and writes: it watches the
clock, opens the run folder, plans, judges and saves; the others take over what it decided.
"""

import atexit
import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch

# Functions of this module take the group of all processes as a default argument. Imported later
# (an optimiser's first step does), they hold that group, and its threads with it, until the
# interpreter is torn down; a thread that frees a tensor then ends the process by SIGABRT.
import torch.distributed.nn.functional
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from torch import distributed, nn

from decig.errors import DecigError

_PATIENCE = timedelta(days=1)
"""How long a process waits for another: planning on the main process can take long."""

T = TypeVar("T")

_at_work = False
"""Whether this process is amid what all do together, or failed in it."""


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Hold what the processes do together: where it fails in one, that one waits for no other.

    The others may wait for it in an exchange to which it never comes. Once its program ends, what
    started the processes ends them too.
    """
    global _at_work
    _at_work = True
    yield
    _at_work = False  # not where an exception was raised inside


class Processes:
    """The processes of this run, seen from one of them.

    Attributes:
        rank: number of this process, from 0 on.
        count: how many there are.
        device: where this process computes.
    """

    def __init__(self) -> None:
        """Meet the other processes, if this one was started together with others."""
        launched = "LOCAL_RANK" in os.environ
        no_gpu = parse_flag_from_env("ACCELERATE_USE_CPU")  # `accelerate launch --cpu`
        cpu = no_gpu or (launched and not torch.accelerator.is_available())
        state = PartialState(cpu=cpu, timeout=_PATIENCE)
        self.rank: int = state.process_index
        self.count: int = state.num_processes
        self.device: torch.device = state.device
        if self.device == torch.device("cuda"):
            # By its number: ONNX Runtime makes the GPU that it runs on the current one.
            self.device = torch.device("cuda", torch.cuda.current_device())
        if self.count > 1:
            atexit.register(_part)
            if not self.main:  # what is to be said, the main process says
                logging.getLogger("decig").setLevel(logging.ERROR)

    @property
    def main(self) -> bool:
        """Whether this is the process that decides and writes."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until every process has come this far."""
        if self.count > 1:
            distributed.barrier()

    def from_main(self, value: T) -> T:
        """Return the main process's value in every process."""
        if self.count == 1:
            return value
        box: list[Any] = [value]
        distributed.broadcast_object_list(box, src=0)
        return cast(T, box[0])

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, in the order of their ranks, in every process."""
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        distributed.all_gather_object(found, value)
        return cast(list[T], found)

    def to_main(self, value: T) -> list[T]:
        """Return the values of all processes, in the order of their ranks; none in the others."""
        if self.count == 1:
            return [value]
        found: list[Any] | None = [None] * self.count if self.main else None
        distributed.gather_object(value, found, dst=0)
        return cast(list[T], found or [])

    def on_main(self, work: Callable[[], T]) -> T:
        """Let the main process work while the others wait; all return what it found.

        Raises:
            DecigError: the main process raised it. Whatever else it raises ends the other
                processes too; they say nothing of it, and exit with the same code, or 1 where a
                signal ended it.
        """
        if self.count == 1:
            return work()
        done, failed = None, None
        if self.main:
            try:
                done = work()
            except BaseException as error:
                self.from_main((None, error.exit_code if isinstance(error, DecigError) else 1))
                raise
        done, failed = self.from_main((done, failed))
        if failed is not None:
            raise SystemExit(failed)
        return cast(T, done)

    def after_main(self, work: Callable[[], T], others: Callable[[], T]) -> T:
        """Let the main process work, then the others in a way of their own; each keeps its result.

        Raises:
            DecigError, SystemExit: as for `on_main`, where the main process fails.
        """
        done: list[T] = []
        self.on_main(lambda: done.extend([work()]))
        return done[0] if self.main else others()

    def mean(self, values: list[float]) -> list[float]:
        """Average numbers over the processes; one that is no number makes the mean none."""
        if self.count == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return [float(value) for value in total / self.count]

    @torch.no_grad()
    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace gradients by their mean over the processes, in one exchange.

        A parameter that took part in some processes only counts as zero in the others; one that
        took part in none keeps having no gradient.
        """
        if self.count == 1:
            return
        found = list(parameters)
        used = torch.tensor([float(p.grad is not None) for p in found], device=self.device)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in found]
        flat = torch.cat([used, *(gradient.float().flatten() for gradient in gradients)])
        distributed.all_reduce(flat)
        used, *parts = torch.split(flat, [len(found), *(p.numel() for p in found)])
        for parameter, taken, part in zip(found, used.tolist(), parts, strict=True):
            if taken:
                mean = (part / self.count).view(parameter.shape).to(parameter.dtype)
                parameter.grad = torch.empty_like(parameter).copy_(mean)

    @torch.no_grad()
    def take_from_main(self, module: nn.Module) -> None:
        """Give a module the main process's weights and statistics in every process."""
        if self.count == 1:
            return
        for tensor in (*module.parameters(), *module.buffers()):
            dense = tensor.detach().contiguous().clone()
            distributed.broadcast(dense, src=0)
            tensor.copy_(dense)


def _part() -> None:
    """Leave the other processes at the end of the program.

    After a good end as PyTorch wants it. NCCL waits for all processes there, so that one that
    failed would never end.
    """
    if not distributed.is_initialized():
        return
    if _at_work:
        distributed.distributed_c10d._abort_process_group()
    else:
        distributed.destroy_process_group()
