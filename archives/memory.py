"""Memory that was used once, and is used again."""

from __future__ import annotations

# Of what glibc takes as the size of large memory at most, and a little less: mallopt(3), M_MMAP_THRESHOLD.
_LARGE = 31 << 20


def keep_freed_memory() -> None:
    """Have the C library keep the memory of blocks that were packed for the next ones.

    glibc gives memory back to the kernel that is larger than anything freed before, and meeting it again costs a page
    fault for each 4 KiB: 2 GB of files met 210,000 of them, and with this 25,000. What is freed here was never touched.
    """
    bytes(_LARGE)
