"""The window that live pictures are shown in, where there is a display."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from types import TracebackType
from typing import Self

import cv2
from numpy.typing import NDArray

from sasmamba.app.render.text import font_folder
from sasmamba.common.errors import UserError

_TITLE = "sasmamba-demo"
#: A window opens no wider than this; the user may make it larger.
_WINDOW_WIDTH = 1600

# Qt ends the whole process where it finds no display, so another process asks.
_ASK = "import cv2; cv2.namedWindow('probe'); cv2.waitKey(1); cv2.destroyAllWindows()"


@functools.cache
def can_show() -> tuple[bool, str]:
    """Whether a window can be opened here, and if not, why, in a few words."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False, "there is no display"
    try:
        asked = subprocess.run([sys.executable, "-c", _ASK], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False, "the display does not answer"
    return asked.returncode == 0, "" if asked.returncode == 0 else "the display cannot be used"


class Window:
    """A window on this machine's display.

    Raises:
        UserError: there is no display to open it on.
    """

    def __init__(self) -> None:
        possible, why = can_show()
        if not possible:
            raise UserError(
                f"No window can be opened: {why}. Use --serve to watch in a browser, or --out to record.", exit_code=1
            )

    def __enter__(self) -> Self:
        # OpenCV points its Qt to a folder of letters that its wheel lacks, and Qt complains; matplotlib has some.
        os.environ["QT_QPA_FONTDIR"] = str(font_folder())
        cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        self._sized = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cv2.destroyAllWindows()

    def show(self, picture: NDArray) -> None:
        """Shows (height, width, 3) uint8 BGR; the window takes the first picture's size, as far as screens go."""
        if not self._sized:
            scale = min(1.0, _WINDOW_WIDTH / picture.shape[1])
            cv2.resizeWindow(_TITLE, round(scale * picture.shape[1]), round(scale * picture.shape[0]))
            self._sized = True
        cv2.imshow(_TITLE, picture)

    def key(self) -> str:
        """The key that was pressed, "" for none; "q" too where the window was closed. Must be called often."""
        code = cv2.waitKeyEx(1)
        if cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1:
            return "q"
        return _KEYS.get(code, chr(code & 0xFF) if 0 < code & 0xFF < 0x80 else "")


#: Arrow keys as GTK, Qt, Windows and macOS number them.
_KEYS = {
    27: "q",
    **dict.fromkeys((65361, 0x250000, 2424832, 63234, 81), "left"),
    **dict.fromkeys((65363, 0x270000, 2555904, 63235, 83), "right"),
    **dict.fromkeys((65362, 0x260000, 2490368, 63232, 82), "up"),
    **dict.fromkeys((65364, 0x280000, 2621440, 63233, 84), "down"),
}
