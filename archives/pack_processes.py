"""Batches of small members packed by processes of their own.

What Python itself does for a file of some kilobytes costs half as much time as compressing it, and the threads of one
interpreter take turns at it. A worker process gets the description of a batch through its standard input, reads and
packs the files, and leaves the result in a slot of memory that it shares with this process; only the eight bytes that
say so come back through its standard output. Content that this process holds already goes to it in the same slot.

A worker ends when its standard input does: also where this process was killed.
"""

from __future__ import annotations

import mmap
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from archives.blocks import codec_for
from archives.entry import Entry
from archives.memory import keep_freed_memory
from archives.packing import PackedBatch, pack_batch
from errors import ArchiveError
from model import Compression, CompressionMethod, HeldContent, Member, SeekableContent, StreamContent

# A batch has at most 1 MiB of content, names and links, or is one member of at most that.
_SLOT_SIZE = 2 << 20

_ANSWER = struct.Struct("<II")
_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); from archives.pack_processes import work; "
    "work(int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))"
)


class PackProcesses:
    """As many worker processes as there are cores. At most ``depth`` batches may be under way for each of them."""

    def __init__(self, compression: Compression, depth: int) -> None:
        self._workers = [_Worker(compression, depth) for _ in range(os.cpu_count() or 1)]
        self._next = 0

    def pack(self, batch: Sequence[Member]) -> Callable[[], PackedBatch]:
        """Begin to pack a batch; the answer waits for the result. Results must be taken in the order of the batches.

        Raises ArchiveError where a worker died.
        """
        worker = self._workers[self._next % len(self._workers)]
        self._next += 1
        worker.send(batch)
        return lambda: worker.receive(batch)

    def close(self) -> None:
        """End the workers, at once, whatever they are doing."""
        for worker in self._workers:
            worker.close()


def can_be_sent(batch: Sequence[Member]) -> bool:
    """Whether another process can read the content of all these members."""
    return all(
        member.content is None
        or isinstance(member.content, HeldContent)
        or (isinstance(member.content, SeekableContent) and member.content.can_be_sent)
        for member in batch
    )


class _Worker:
    """One worker process, and the slots of memory that it fills in turn."""

    def __init__(self, compression: Compression, slots: int) -> None:
        descriptor = os.memfd_create("holdfast-pack")
        try:
            os.ftruncate(descriptor, slots * _SLOT_SIZE)
            self._memory = mmap.mmap(descriptor, slots * _SLOT_SIZE)
            root = str(Path(__file__).parent.parent)
            arguments = (root, str(descriptor), compression.method.value, str(compression.level))
            # A session of its own: Ctrl-C on the terminal is for this process, which then ends its workers.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-X", "utf8", "-c", _START, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[descriptor],
                start_new_session=True,
            )
        except OSError as error:
            raise ArchiveError(f"A process that packs files could not be started: {error.strerror}.") from error
        finally:
            os.close(descriptor)
        self._requests = _pipe(self._process.stdin)
        self._answers = _pipe(self._process.stdout)
        self._slots = slots
        self._next_request = 0
        self._next_answer = 0

    def send(self, batch: Sequence[Member]) -> None:
        described = self._shared(batch)
        try:
            pickle.dump(described, self._requests, pickle.HIGHEST_PROTOCOL)
            self._requests.flush()
        except OSError:
            raise self._died() from None

    def receive(self, batch: Sequence[Member]) -> PackedBatch:
        answer = self._answers.read(_ANSWER.size)
        if len(answer) != _ANSWER.size:
            raise self._died()
        data_size, facts_size = _ANSWER.unpack(answer)
        start = self._next_answer * _SLOT_SIZE
        self._next_answer = (self._next_answer + 1) % self._slots
        data = self._memory[start : start + data_size]
        facts, notes = pickle.loads(self._memory[start + data_size : start + data_size + facts_size])  # noqa: S301 - ours
        entries = [
            Entry(batch[number], method, size, packed_size, crc32, offset, header_size, note=note)
            for number, method, size, packed_size, crc32, offset, header_size, note in facts
        ]
        return PackedBatch(data, entries, notes)

    def _shared(self, batch: Sequence[Member]) -> list[tuple[Any, ...]]:
        """The descriptions, once the content that is held here lies in the slot of the batch."""
        position = self._next_request * _SLOT_SIZE
        self._next_request = (self._next_request + 1) % self._slots
        described = []
        for member in batch:
            content: SeekableContent | StreamContent | tuple[int, int] | None = member.content
            if isinstance(content, HeldContent):
                end = position + len(content.data)
                self._memory[position:end] = content.data
                content, position = (position, end), end
                member.content = None  # it would stay in memory twice until the batch comes back
            described.append(_described(member, content))
        return described

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._requests, self._answers):
            with suppress(OSError):
                pipe.close()
        self._memory.close()

    def _died(self) -> ArchiveError:
        exit_code = self._process.wait()
        return ArchiveError(f"A process that packs files ended before its time (exit code {exit_code}); run it again.")


def work(descriptor: int, method: str, level: int) -> None:
    """What a worker process does until its standard input ends."""
    keep_freed_memory()
    codec = codec_for(Compression(CompressionMethod(method), level))
    memory = mmap.mmap(descriptor, 0)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    start = 0
    while True:
        try:
            described = pickle.load(requests)  # noqa: S301 - from the process that started this one
        except EOFError:
            return
        members = [_member(memory, *description) for description in described]
        batch = pack_batch(members, codec)
        numbers = {id(member): number for number, member in enumerate(members)}
        facts = [
            (numbers[id(e.member)], e.method, e.size, e.packed_size, e.crc32, e.offset, e.header_size, e.note)
            for e in batch.entries
        ]
        packed_facts = pickle.dumps((facts, batch.notes), pickle.HIGHEST_PROTOCOL)
        middle = start + len(batch.data)
        memory[start:middle] = batch.data
        memory[middle : middle + len(packed_facts)] = packed_facts
        answers.write(_ANSWER.pack(len(batch.data), len(packed_facts)))
        answers.flush()
        start = (start + _SLOT_SIZE) % len(memory)


def _described(member: Member, content: object) -> tuple[Any, ...]:
    """What packing needs of a member; half the cost of sending all of it."""
    return (
        member.path,
        member.kind,
        member.mode,
        member.uid,
        member.gid,
        member.modified_ns,
        member.size,
        content,
        member.link_target,
    )


def _member(memory: mmap.mmap, *description: Any) -> Member:
    path, kind, mode, uid, gid, modified_ns, size, content, link_target = description
    if isinstance(content, tuple):
        start, end = content
        content = HeldContent(memory[start:end])
    return Member(path, kind, mode, uid, gid, "", "", modified_ns, size, content, link_target)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ArchiveError("A process that packs files has no pipe.")
    return pipe
