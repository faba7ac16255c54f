"""Where somebody who walks treads, though no foot of theirs is seen to rest: the lower one comes down at every step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.footing import BEARS_M, Body

#: Once in so long the lower foot comes down, of somebody who walks.
_STEP_S = 0.5


def treads(body: Body, walks: NDArray) -> list[tuple[int, NDArray]]:
    """Frame and place (3,) where the lower ankle was low, one for every `_STEP_S` of frames (F,) in which somebody
    walks; in level axes.

    One of a walker's feet is always on the floor, but it seldom seems to rest where frames are few, joints jitter, or
    the camera goes along.
    """
    ankles, lower = body.ankles, body.ankles[..., 2].argmin(1)
    low = ankles[np.arange(len(ankles)), lower]
    walks = walks & (body.pelvis[:, 2] - low[:, 2] > BEARS_M)
    beat = np.floor((body.time - body.time[:1]) / _STEP_S).astype(int)
    out = []
    for k in np.unique(beat[walks]):
        here = np.flatnonzero(walks & (beat == k))
        if body.time[here[-1]] - body.time[here[0]] > 0.5 * _STEP_S:
            frame = here[np.argsort(low[here, 2])[len(here) // 4]]
            out.append((int(frame), low[frame]))
    return out
