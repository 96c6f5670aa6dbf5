# SPDX-License-Identifier: MIT
"""Loading of an external memory over the host link: written, read back by the device, and compared."""

import zlib
from collections.abc import Callable

from firstspike_arch.memory_image import ALIGNMENT, MemoryImage
from firstspike_hw.link.frames import (
    CRC_BYTES,
    FRAME_BYTES_MIN,
    MEMORY_ADDRESS_BYTES,
    Capability,
    Kind,
    MemoryFault,
)

from .link import Link, LinkError

__all__ = ["load_memory"]


def load_memory(link: Link, image: MemoryImage, progress: Callable[[int, int], None] | None = None) -> int:
    """Write an image into the external memory of a device, and return the number of octets, all of which are proved.

    The device reads what it has written, and answers the CRC-32 of it. A request that is sent again has the same
    outcome.

    Parameters
    ----------
    progress : callable
        Called as ``progress(answered, total)``, counts of requests.

    Raises
    ------
    ValueError
        The device has no external memory to be written.
    LinkError
        A request got no answer; or the memory does not hold what was written, or ends before: the message says where.
    """
    device = link.identity
    if not device.capabilities & Capability.EXTERNAL_MEMORY:
        raise ValueError(f"{device.name} must have an external memory for weights to be loaded there, but has none")
    room = device.buffer_bytes // 2 - FRAME_BYTES_MIN - MEMORY_ADDRESS_BYTES
    size, base = room // ALIGNMENT * ALIGNMENT, image.base
    contents = image.contents + bytes(-len(image.contents) % ALIGNMENT)
    starts = range(0, len(contents), size)
    parts = [contents[start : start + size] for start in starts]
    answers = link.exchange([
        (Kind.MEMORY, (base + start).to_bytes(MEMORY_ADDRESS_BYTES, "little") + part)
        for start, part in zip(starts, parts, strict=True)], progress)
    for start, part, answer in zip(starts, parts, answers, strict=True):
        found, fault = int.from_bytes(answer[:CRC_BYTES], "little"), answer[CRC_BYTES:]
        if fault == bytes([MemoryFault.UNREADABLE]):
            raise LinkError(f"the external memory must have octets {base + start}…{base + start + len(part) - 1}, but "
                            "cannot be read there")
        if fault != b"\0" or found != zlib.crc32(part):
            raise LinkError(f"the external memory must hold what was written at {base + start}…"
                            f"{base + start + len(part) - 1} (CRC-32 {zlib.crc32(part):08x}), not what it answered "
                            f"({answer.hex()})")
    return len(image.contents)
