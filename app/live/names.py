"""What a source's name means; apart from the sources, for a command line that loads no video library to tell."""

from __future__ import annotations

import re
from pathlib import Path

_STREAM = re.compile(r"(rtsp|rtsps|rtmp|rtmps|http|https|udp|tcp|srt|rtp)://", re.IGNORECASE)


def is_stream(source: str) -> bool:
    """Whether a name is a network address."""
    return bool(_STREAM.match(source))


def is_live(source: str) -> bool:
    """Whether a name means a camera or a stream rather than a file: a number, a video device, an address."""
    camera = (source.isdecimal() and not Path(source).exists()) or source.startswith("/dev/video")
    return camera or is_stream(source)
