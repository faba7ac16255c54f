"""Decoded pictures as displayed: upright, square pixels, in the colours of a usual screen."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc, VideoReformatter
from numpy.typing import NDArray

#: Curves of high dynamic range: a picture so coded looks grey and flat where it is taken for a usual one.
_HDR = {ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67}
#: AVCOL_SPC_UNSPECIFIED. Untagged video from this size on is taken for BT.709, as players do, else for BT.601.
_UNTAGGED, _HD_WIDTH, _SD_HEIGHT = 2, 1280, 576
#: What lies behind a picture that one can see through: what browsers and viewers put there.
_BEHIND = 255


def _name_unknown_side_data() -> None:
    """Lets pictures with side data that PyAV's enum does not know (EXIF is some) show the rest of theirs.

    FFmpeg grows types faster than the enum does, and PyAV raises on the first it cannot name.
    """

    def name(cls: type[SideDataType], value: object) -> SideDataType:
        member: Any = object.__new__(cls)
        member._name_, member._value_ = f"UNKNOWN_{value}", value
        return member

    SideDataType._missing_ = classmethod(name)  # type: ignore[assignment, method-assign]


_name_unknown_side_data()


@dataclass(frozen=True, slots=True)
class _Upright:
    """How coded pictures become displayed ones: scale to square pixels, then transpose, then mirror."""

    width: int  # of the coded picture scaled to square pixels
    height: int
    transpose: bool
    flip_x: bool
    flip_y: bool
    #: One for all pictures: swscale takes seconds to prepare for high dynamic range, and then is quick.
    _tone_mapper: VideoReformatter = field(default_factory=VideoReformatter, repr=False, compare=False)
    _usual: VideoReformatter = field(default_factory=VideoReformatter, repr=False, compare=False)
    _alone: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def displayed(self) -> tuple[int, int]:
        """Width and height as displayed."""
        return (self.height, self.width) if self.transpose else (self.width, self.height)

    @classmethod
    def of(cls, picture: av.VideoFrame, pixel_aspect: Fraction | None) -> _Upright:
        """Reads the display matrix of a decoded picture; pixel_aspect is pixel width over height."""
        width, height = picture.width, picture.height
        # Nonsense aspects are common in old files; never throw pixels away, so stretch the shorter axis.
        if pixel_aspect and pixel_aspect != 1 and Fraction(1, 4) <= pixel_aspect <= 4:
            if pixel_aspect > 1:
                width = round(width * pixel_aspect)
            else:
                height = round(height / pixel_aspect)
        side_data: Any = picture.side_data
        data = side_data.get(SideDataType.DISPLAYMATRIX)
        if data is None:
            return cls(width, height, False, False, False)
        # (x', y') = (a x + c y, b x + d y); 16.16 fixed point, rows (a, b, u), (c, d, v), (x, y, w).
        a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
        transpose = abs(b) + abs(c) > abs(a) + abs(d)
        return cls(width, height, transpose, (c if transpose else a) < 0, (b if transpose else d) < 0)

    def __call__(self, picture: av.VideoFrame) -> NDArray[np.uint8]:
        """Decoded picture of any size and format to (height, width, 3) uint8 BGR as displayed."""
        bgr: Any = self._opaque(picture) if _has_alpha(picture) else self._scaled(picture, "bgr24")
        if self.transpose:
            bgr = cv2.transpose(bgr)
        if self.flip_x or self.flip_y:
            bgr = cv2.flip(bgr, -1 if self.flip_x and self.flip_y else int(self.flip_x))
        return np.ascontiguousarray(bgr, np.uint8)

    def _scaled(self, picture: av.VideoFrame, pix_fmt: str) -> Any:
        """(height, width, channels) with square pixels, in BT.709's colours."""
        target: dict[str, Any] = {"width": self.width, "height": self.height, "format": pix_fmt}
        if picture.color_trc in _HDR or picture.color_primaries == ColorPrimaries.BT2020:
            try:
                with self._alone:
                    mapped = self._tone_mapper.reformat(
                        picture, **target, dst_color_trc=ColorTrc.BT709, dst_color_primaries=ColorPrimaries.BT709
                    )
                return mapped.to_ndarray()
            except (av.FFmpegError, OSError, ValueError):  # tags that contradict each other: as if there were none
                pass
        with self._alone:
            # a picture's own reformatter starts threads, which live as long as the picture does
            return self._usual.reformat(picture, **target, src_colorspace=_matrix(picture)).to_ndarray()

    def _opaque(self, picture: av.VideoFrame) -> NDArray[np.uint8]:
        bgra = self._scaled(picture, "bgra")
        opacity = bgra[..., 3:]
        if (opacity == 255).all():
            return bgra[..., :3]
        mixed = bgra[..., :3] * (opacity / np.float32(255)) + _BEHIND * (1 - opacity / np.float32(255))
        return np.rint(mixed).astype(np.uint8)


_latest = threading.local()


def upright(picture: av.VideoFrame, pixel_aspect: Fraction | None) -> NDArray[np.uint8]:
    """A decoded picture as displayed: (height, width, 3) uint8 BGR, rotated and with square pixels.

    Whether a stream's pictures are mirrored is read anew where their size or rotation changes.
    """
    told = picture.width, picture.height, picture.rotation, pixel_aspect
    if getattr(_latest, "told", None) != told:
        # Not of every picture: one whose side data was asked for points to itself (PyAV), and then lies in memory until
        # Python looks for such circles, which it does by their number and not by their size.
        way = _Upright.of(picture, pixel_aspect)
        if getattr(_latest, "way", None) != way:  # the one before has what it prepared, where pictures are alike
            _latest.way = way
        _latest.told = told
    return _latest.way(picture)


def _has_alpha(picture: av.VideoFrame) -> bool:
    return picture.format.has_palette or any(component.is_alpha for component in picture.format.components)


def _matrix(picture: av.VideoFrame) -> Colorspace | None:
    """The matrix by which an untagged picture is read; None for its own."""
    yuv = not picture.format.is_rgb and len(picture.format.components) >= 3
    large = picture.width >= _HD_WIDTH or picture.height > _SD_HEIGHT
    return Colorspace.ITU709 if yuv and large and picture.colorspace == _UNTAGGED else None
