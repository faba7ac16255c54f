"""What a source's name means; apart from the sources, for a command line that loads no video library to tell."""

from __future__ import annotations

import os
import re

_STREAM = re.compile(r"(rtsp|rtsps|rtmp|rtmps|http|https|udp|tcp|srt|rtp)://", re.IGNORECASE)
#: A longer number is no camera's.
_CAMERA_NUMBER = re.compile(r"[0-9]{1,4}")


def is_stream(source: str) -> bool:
    """Whether a name is a network address."""
    return bool(_STREAM.match(source))


def is_live(source: str) -> bool:
    """Whether a name means a camera or a stream rather than a file: a number, a video device, an address."""
    numbered = bool(_CAMERA_NUMBER.fullmatch(source)) and not os.path.exists(source)
    return numbered or source.startswith("/dev/video") or is_stream(source)
