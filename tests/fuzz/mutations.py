"""Ways to damage a file: bytes, blocks, ends, numbers in headers, stamps of packets."""

from __future__ import annotations

import io
import random
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import av

#: Numbers that readers stumble over, as containers store them.
_ODD = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE)


def _at(data: bytearray, rng: random.Random) -> int:
    """A place: in half of all cases near either end, where containers keep their headers and indices."""
    if rng.random() < 0.5:
        near = min(len(data), 700)
        return rng.randrange(near) if rng.random() < 0.6 else len(data) - 1 - rng.randrange(near)
    return rng.randrange(len(data))


def _bits(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 5, 20, 100))):
        data[_at(data, rng)] ^= 1 << rng.randrange(8)


def _number(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 2, 4))):
        size = rng.choice((1, 2, 4, 8))
        value = (rng.choice(_ODD) & ((1 << 8 * size) - 1)).to_bytes(size, rng.choice(("big", "little")))
        at = _at(data, rng)
        data[at : at + size] = value


def _block(data: bytearray, rng: random.Random) -> None:
    at, size = _at(data, rng), rng.choice((1, 4, 16, 200, 2000))
    kind = rng.randrange(5)
    if kind == 0:
        del data[at : at + size]
    elif kind == 1:
        data[at:at] = rng.randbytes(size)
    elif kind == 2:
        data[at : at + size] = bytes(min(size, len(data) - at))
    elif kind == 3:
        data[at:at] = data[at : at + size] * rng.choice((1, 2, 10))
    else:
        other = _at(data, rng)
        data[at : at + size] = data[other : other + size]


def _end(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def _digits(data: bytearray, rng: random.Random) -> None:
    """Numbers written out, in JSON and TOML."""
    found = list(re.finditer(rb"\d+(\.\d+)?", bytes(data[:20000])))
    if found:
        number = rng.choice(found)
        odd = (b"0", b"-1", b"1e999", b"nan", b"99999999999", b"2147483648", b'"7"', b"null", b"[]", b"0.5", b"1" * 400)
        data[number.start() : number.end()] = rng.choice(odd)


_KINDS: tuple[Callable[[bytearray, random.Random], None], ...] = (_bits, _number, _block, _end, _digits)


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Bytes with one to three things done to them."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if data:
            rng.choice(_KINDS)(data, rng)
    return bytes(data)


def damaged_inside(seed: Path, rng: random.Random) -> bytes:
    """An archive that is sound itself, one of its members damaged: checksums would hide the rest from readers."""
    with zipfile.ZipFile(seed) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    members[name] = damaged(members[name], rng)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def restamped(seed: Path, target: Path, rng: random.Random) -> None:
    """Writes a copy whose packets, pictures' and sound's, have other stamps: shifted, jittering, holed, set back."""
    kind, far = rng.choice(("shift", "jitter", "hole", "back", "some")), rng.choice((1, 40, 1000, 10**6, 10**10, 2**40))
    with av.open(str(seed)) as source, av.open(str(target), "w") as out:
        streams = {s.index: out.add_stream_from_template(s) for s in source.streams}
        after, broken = rng.randrange(20), 0
        for number, packet in enumerate(source.demux()):
            if packet.dts is None or not packet.size:
                continue
            move: int = {
                "shift": far,
                "jitter": rng.randrange(-far, far + 1) % 5000,
                "hole": far * (number > after),
                "back": -min(far, packet.dts) * (number > after),
                "some": far * (rng.random() < 0.1),
            }[kind]
            packet.pts, packet.dts = (packet.pts or 0) + move, packet.dts + move
            packet.stream = streams[packet.stream.index]
            try:
                out.mux(packet)
            except (av.FFmpegError, OSError, OverflowError):  # the muxer refuses some; without them it is odd enough
                broken += 1


def make(seeds: list[Path], target: Path, rng: random.Random, *, video: bool) -> Path:
    """Writes a damaged copy of one of the seeds under a name with its suffix."""
    seed = rng.choice(seeds)
    path = target.with_suffix(seed.suffix)
    if video and rng.random() < 0.2:
        try:
            restamped(seed, path, rng)
        except (av.FFmpegError, OSError, OverflowError, ValueError):
            path.unlink(missing_ok=True)
        if path.exists() and path.stat().st_size:
            return path
    inside = seed.suffix == ".npz" and rng.random() < 0.7
    path.write_bytes(damaged_inside(seed, rng) if inside else damaged(seed.read_bytes(), rng))
    return path
