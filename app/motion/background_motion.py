"""How the camera turns and zooms, from the background: corners found again in every picture, people masked.

Every picture is compared with a keyframe and not with the one before, so that errors do not add up while the camera
stays near; a new keyframe is made where too little of the old is in view, and an old one is taken up again as soon as
the camera comes back to it. The picture is warped to the keyframe first, by where the camera is expected, so that
corners have little way to go, and look the same when it has zoomed or rolled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.body_boxes import body_boxes
from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.turn_fit import Points, Readout, TurnFit, epipolar_share, fit_turn, rotation, rotation_vector
from sasmamba.app.types import Frame, Person2D, VideoMeta

#: Width (of a portrait the height) of the pictures that are compared: a pixel is an eighth of a degree at 60°.
WORK_PX = 480
#: Corners in a keyframe, how far apart, and at most so many in a cell of so many pixels, lest one tree decides.
_CORNERS, _APART_PX, _PER_CELL, _CELL_PX = 160, 9, 2, 30
#: What is looked for around a corner, pixels, and over how many halvings of the picture, near and far.
_WINDOW_PX, _NEAR_LEVELS, _FAR_LEVELS = 15, 1, 3
#: Least eigenvalue that a corner needs, as `cv2.calcOpticalFlowPyrLK` counts it: about 1.5 gray levels a pixel. What
#: has less looks the same wherever it is, and would always be found where it was expected.
_LEAST_TEXTURE = 2e-3
#: Steps of the fit at most: coarsely it only begins the fine one.
_COARSE_STEPS, _FINE_STEPS = 3, 6
#: Corners so near to the picture's edge are not looked for.
_EDGE_PX = 10
#: No zoom goes farther than this or its inverse.
_LEAST_ZOOM = 0.02
#: A corner agrees with a rotation that puts it so near to where it was found.
AGREES_PX = 1.0
#: So many corners must agree, and so large a share of those found, in so many of nine parts of the picture.
_LEAST_CORNERS, _LEAST_SHARE, _LEAST_PARTS = 10, 0.3, 2
#: So many corners are enough for full confidence; and so many outside the boxes around people, to leave those within
#: alone.
_ENOUGH, _PLENTY = 40, 80
#: A keyframe is left when less than this of it is in view or its scale is off by more (as a factor), and an older one
#: is taken up again when it is nearer than that.
_LEAVE_VIEW, _LEAVE_SCALE, _RETURN_VIEW, _RETURN_SCALE = 0.55, 1.25, 0.75, 1.12
#: Of the corners of a keyframe so many must still be found and agree, or a new one is made.
_WORN = 0.4
#: While nothing is found the camera goes on by so much of its last step.
_FADE = 0.8
#: Keyframes remembered; and for how long one is looked for that was lost, in a flash or behind a passer-by.
_KEYFRAMES, _LOST_S = 60, 0.4
#: After an older keyframe was looked for in vain none is for so long.
_AGAIN_S = 0.2
#: People are masked, and this much around them as a share of the size of the boxes that cover them.
_AROUND = 0.1
#: In the mask, what is beside a body and in the box around it: background, but for clothes, shadows and what is held.
_NEAR_PEOPLE = 128


@dataclass(slots=True, eq=False)
class _Keyframe:
    """The picture of a frame to compare with: corners (N, 2) in its pixels, where the camera was and how it turned."""

    frame: int
    gray: NDArray
    corners: NDArray
    R_start_cam: NDArray
    zoom: float
    spin: NDArray


@dataclass(slots=True)
class Sighting:
    """What one frame's background tells.

    Attributes:
        R_start_cam: (3, 3) camera axes of the frame to those of the first frame of all.
        zoom: relative to that.
        confidence: 0 to 1.
        parallax: share of corners that a step of the camera explains and no rotation does.
        compared_with: the frame that it was compared with.
        by_readout, readout_s: as in `TurnFit`.
    """

    R_start_cam: NDArray
    zoom: float
    confidence: float
    parallax: float = 0.0
    compared_with: int = -1
    by_readout: NDArray | None = None
    readout_s: NDArray | None = None


@dataclass(slots=True, eq=False)
class _Lost:
    """The keyframe was lost: since which frame, and all that there were."""

    since: int
    keyframe: _Keyframe
    others: list[_Keyframe]


class BackgroundMotion:
    """Follows the background through a video; `see` every frame in order, then read `sightings`.

    Rotation follows from the focal length that is assumed: where that is wrong, angles are wrong by the same factor
    and so are people's, so that who stands still still does.
    """

    def __init__(self, meta: VideoMeta, camera: Intrinsics) -> None:
        self._shrink = min(1.0, WORK_PX / max(meta.width, meta.height))
        self._size = max(16, round(meta.width * self._shrink)), max(16, round(meta.height * self._shrink))
        sx, sy = self._size[0] / meta.width, self._size[1] / meta.height
        # pixels of the small picture are counted from the middle of the first one, those of the camera from its corner
        self._K = np.array(
            [[camera.fx * sx, 0, camera.cx * sx - 0.5], [0, camera.fy * sy, camera.cy * sy - 0.5], [0, 0, 1]]
        )
        self._K_inverse = np.linalg.inv(self._K)
        x, y = np.meshgrid(np.linspace(0, self._size[0], 9), np.linspace(0, self._size[1], 9))
        self._grid = np.stack([x.ravel(), y.ravel(), np.ones(81)])  # points all over the picture
        self._fps = float(meta.fps)
        self.sightings: list[Sighting] = []
        self._keyframes: list[_Keyframe] = []
        self._keyframe: _Keyframe | None = None
        self._lost: _Lost | None = None
        self._missed = -math.inf  # the last frame in which an older keyframe was looked for in vain
        self._R_step, self._zoom_step = np.eye(3), 1.0
        self._readout = Readout()
        self._fading = cv2.createHanningWindow(self._size, cv2.CV_32F)

    @property
    def focal_px(self) -> float:
        """Of the pictures that are compared."""
        return float(self._K[0, 0])

    @property
    def state(self) -> tuple[Any, ...]:
        """All that the next frame is compared with, the keyframe and all there are first; it can be set to what it was,
        while no sighting is there that was not there then."""
        return self._keyframe, self._keyframes, self._lost, self._missed, self._R_step, self._zoom_step, self._readout

    @state.setter
    def state(self, known: tuple[Any, ...]) -> None:
        self._keyframe, self._keyframes, self._lost, self._missed, self._R_step, self._zoom_step, self._readout = known

    def see(self, frame: Frame, people: Sequence[Person2D]) -> None:
        """Takes in a frame and who is in it."""
        gray = self._small(frame.bgr)
        mask = self._mask(frame.bgr.shape, people)
        if self._keyframe is None:
            self._begin(gray, mask, np.eye(3), 1.0)
            self.sightings.append(Sighting(np.eye(3), 1.0, 1.0))
            return
        last = self.sightings[-1]
        expected = [(last.R_start_cam @ self._R_step, last.zoom * self._zoom_step), (last.R_start_cam, last.zoom)]
        if self._lost is not None:
            before = self.sightings[self._lost.since - 1]
            # it is tried a second time as if nothing had moved: a flash is over as soon as it came
            guesses = [expected[0], (before.R_start_cam, before.zoom)]
            if (found := self._find(gray, mask, self._lost.keyframe, guesses)) is not None:
                self._come_back(self._lost, found[0])
                return
            if len(self.sightings) - self._lost.since >= _LOST_S * self._fps:
                self._lost = None
        candidates = self._candidates(*expected[0])
        for keyframe in candidates:
            older = keyframe is not candidates[-1]  # it is looked for nowhere but where it is expected
            found = (
                self._find_near(gray, mask, keyframe, *expected[0], _NEAR_LEVELS)
                if older
                else self._find(gray, mask, keyframe, expected)
            )
            if found is not None:
                self._keyframe, (sighting, worn) = keyframe, found
                if worn or not self._near(keyframe, sighting.R_start_cam, sighting.zoom, _LEAVE_VIEW, _LEAVE_SCALE):
                    self._begin(gray, mask, sighting.R_start_cam, sighting.zoom)
                self._R_step = last.R_start_cam.T @ sighting.R_start_cam
                self._zoom_step = sighting.zoom / last.zoom
                self.sightings.append(sighting)
                return
            if older:
                self._missed = len(self.sightings)
        self._carry_on(gray, mask)

    def _carry_on(self, gray: NDArray, mask: NDArray) -> None:
        """Nothing was found: the camera is taken to go on, ever less, and is followed from here until it is found."""
        if self._lost is None:
            assert self._keyframe is not None
            self._lost = _Lost(len(self.sightings), self._keyframe, self._keyframes)
        last = self.sightings[-1]
        self._R_step, self._zoom_step = rotation(rotation_vector(self._R_step) * _FADE), self._zoom_step**_FADE
        R, zoom = last.R_start_cam @ self._R_step, last.zoom * self._zoom_step
        self._keyframes = []
        self._begin(gray, mask, R, zoom)
        self.sightings.append(Sighting(R, zoom, 0.0))

    def _spin(self, R: NDArray) -> NDArray:
        """(3,) radians per second by which a camera turns that is at R in the next frame and went on as before."""
        if not self.sightings:
            return np.zeros(3)
        step = rotation_vector(self.sightings[-1].R_start_cam.T @ R)
        # between frames it was measured; half a frame later it is wanted
        return (1.5 * step - 0.5 * rotation_vector(self._R_step) if len(self.sightings) > 1 else step) * self._fps

    def _come_back(self, lost: _Lost, sighting: Sighting) -> None:
        """The keyframe that was lost is there again: what was followed since without it is fitted in."""
        last = self.sightings[-1]
        self._keyframe, self._keyframes, self._lost = lost.keyframe, lost.others, None
        # from the frames' own chain to where they must have been: spread over the frames that were lost
        R_off = rotation_vector(sighting.R_start_cam @ last.R_start_cam.T)
        zoom_off = np.log(sighting.zoom / last.zoom)
        count = len(self.sightings) - lost.since + 1
        for n, s in enumerate(self.sightings[lost.since :], 1):
            share = n / count
            s.R_start_cam = rotation(share * R_off) @ s.R_start_cam
            s.zoom *= float(np.exp(share * zoom_off))
            s.by_readout = None
        self._R_step, self._zoom_step = np.eye(3), 1.0
        self.sightings.append(sighting)

    def chained(self) -> list[Sighting]:
        """All sightings, with what was learned of the sensor's readout later put into those before."""
        out: list[Sighting] = []
        for n, s in enumerate(self.sightings):
            if n == 0:
                out.append(s)
                continue
            before = n - 1 if s.by_readout is None else s.compared_with
            R = out[before].R_start_cam @ self.sightings[before].R_start_cam.T @ s.R_start_cam
            zoom = out[before].zoom / self.sightings[before].zoom * s.zoom
            if s.by_readout is not None and s.readout_s is not None:
                move = s.by_readout @ (self._readout.seconds - s.readout_s)
                R, zoom = R @ rotation(-move[:3]), zoom * float(np.exp(move[3]))
            out.append(replace(s, R_start_cam=R, zoom=zoom))
        return out

    def _small(self, bgr: NDArray) -> NDArray:
        """The picture in gray and small. Green stands for gray; halved exactly as far as that goes, which is fast."""
        gray = cv2.extractChannel(bgr, 1)
        while gray.shape[1] >= 2 * self._size[0] and gray.shape[0] >= 2 * self._size[1]:
            gray = cv2.resize(gray, (gray.shape[1] // 2, gray.shape[0] // 2), interpolation=cv2.INTER_AREA)
        return cv2.resize(gray, self._size, interpolation=cv2.INTER_LINEAR)

    def _mask(self, shape: tuple[int, ...], people: Sequence[Person2D]) -> NDArray[np.uint8]:
        """The small picture: 0 where bodies are, `_NEAR_PEOPLE` in the boxes around people, 255 elsewhere."""
        mask = np.full(self._size[::-1], 255, np.uint8)
        around = np.array([person.box_px for person in people]).reshape(-1, 4)
        for boxes_px, value in ((around, _NEAR_PEOPLE), (body_boxes(people), 0)):
            boxes = boxes_px * np.tile([self._size[0] / shape[1], self._size[1] / shape[0]], 2)
            margin = _AROUND * (boxes[:, 2:] - boxes[:, :2]).max(1, initial=0)[:, None]
            corners = np.concatenate([boxes[:, :2] - margin, boxes[:, 2:] + margin], 1).round().astype(int)
            for x0, y0, x1, y1 in corners.clip(min=0).tolist():
                mask[y0:y1, x0:x1] = value
        return mask

    def _begin(self, gray: NDArray, mask: NDArray, R: NDArray, zoom: float) -> None:
        """Makes a picture the keyframe."""
        corners = _corners(gray, np.asarray(mask > _NEAR_PEOPLE))
        if len(corners) < _PLENTY:
            corners = _corners(gray, np.asarray(mask > 0))
        self._keyframe = _Keyframe(len(self.sightings), gray, corners, R, zoom, self._spin(R))
        self._keyframes = [*self._keyframes[:1], *self._keyframes[1:][-_KEYFRAMES:], self._keyframe]

    def _candidates(self, R: NDArray, zoom: float) -> list[_Keyframe]:
        """The keyframes to compare with, best first: the oldest that is near, which is nearest to the start."""
        assert self._keyframe is not None
        lately = len(self.sightings) - self._missed < _AGAIN_S * self._fps
        for old in () if lately else self._keyframes:
            if old is self._keyframe:
                break
            if self._near(old, R, zoom, _RETURN_VIEW, _RETURN_SCALE):
                return [old, self._keyframe]
        return [self._keyframe]

    def _to_frame(self, keyframe: _Keyframe, R: NDArray, zoom: float) -> NDArray:
        """(3, 3) from pixels of a keyframe to pixels of a camera at R, zoom."""
        Z, Z_key = np.diag([zoom, zoom, 1]), np.diag([1 / keyframe.zoom, 1 / keyframe.zoom, 1])
        return self._K @ Z @ R.T @ keyframe.R_start_cam @ Z_key @ self._K_inverse

    def _near(self, keyframe: _Keyframe, R: NDArray, zoom: float, view: float, scale: float) -> bool:
        """Whether so much of a keyframe is in view of a camera at R, zoom, at nearly its scale."""
        if not 1 / scale < zoom / keyframe.zoom < scale:
            return False
        w, h = self._size
        at = self._to_frame(keyframe, R, zoom) @ self._grid
        at, front = at[:2] / np.where(at[2] > 0.1, at[2], 1), at[2] > 0.1
        return bool((front & (at > 0).all(0) & (at[0] < w) & (at[1] < h)).mean() > view)

    def _find(
        self, gray: NDArray, mask: NDArray, keyframe: _Keyframe, guesses: Sequence[tuple[NDArray, float]]
    ) -> tuple[Sighting, bool] | None:
        """Where the camera is, from a keyframe and where it may be, and whether the keyframe is worn; at last it is
        tried where the picture as a whole would have moved. None where too few corners are found again and agree."""
        # near first: among railings and windows what is looked for far away is found one railing on
        for levels in (_NEAR_LEVELS, _FAR_LEVELS):
            for R, zoom in guesses:
                if (found := self._find_near(gray, mask, keyframe, R, zoom, levels)) is not None:
                    return found
        (dx, dy), _ = cv2.phaseCorrelate(keyframe.gray.astype(np.float32), gray.astype(np.float32), self._fading)
        R = keyframe.R_start_cam @ rotation(np.array([dy / self._K[1, 1], -dx / self._K[0, 0], 0]) / keyframe.zoom)
        return self._find_near(gray, mask, keyframe, R, keyframe.zoom, _NEAR_LEVELS)

    def _find_near(
        self, gray: NDArray, mask: NDArray, keyframe: _Keyframe, R: NDArray, zoom: float, far: int
    ) -> tuple[Sighting, bool] | None:
        """The same from one guess, over so many halvings of the picture."""
        w, h = self._size
        # Coarsely first, from far; then, warped to where that was, finely: what a coarse window shows of the picture's
        # edge moves with the warp, and would hold the camera back to where it was expected.
        for levels in (far, 0):
            W = self._to_frame(keyframe, R, zoom)
            expected = _through(W, keyframe.corners)
            inside = (expected > _EDGE_PX) & (expected < [w - _EDGE_PX, h - _EDGE_PX])
            shows = np.where(inside.all(1), _at(mask, expected), 0)
            seen = np.asarray(shows > _NEAR_PEOPLE)
            if seen.sum() < _PLENTY:
                seen = np.asarray(shows > 0)
            if seen.sum() < _LEAST_CORNERS:
                return None
            corners, found = self._find_corners(gray, keyframe, W, seen, levels)
            if len(corners) < _LEAST_CORNERS:
                return None
            spin = self._spin(R)
            if len(self.sightings) == 1:  # only now is it known how the camera turned in the first frame
                keyframe.spin = spin
            key = Points(self._rays(corners), (corners + 0.5) / [w, h] - 0.5, keyframe.spin, keyframe.zoom)
            now = Points(self._rays(found), (found + 0.5) / [w, h] - 0.5, spin, zoom)
            R_key_cam, steps = keyframe.R_start_cam.T @ R, _COARSE_STEPS if levels else _FINE_STEPS
            fit = fit_turn(key, now, R_key_cam, readout=self._readout, focal_px=self.focal_px, steps=steps)
            if not _LEAST_ZOOM < fit.zoom < 1 / _LEAST_ZOOM:
                return None
            R, zoom = keyframe.R_start_cam @ fit.R_key_cam, fit.zoom
        agree = fit.residual_px < AGREES_PX * max(1.0, fit.zoom / keyframe.zoom)
        parts = len(np.unique((found[agree] // [w / 3, h / 3]).astype(int) @ [1, 10]))
        share = float(agree.mean())
        if agree.sum() < _LEAST_CORNERS or share < _LEAST_SHARE or parts < _LEAST_PARTS:
            return None
        confidence = share * min(1.0, agree.sum() / _ENOUGH) * min(1.0, parts / 4)
        sighting = Sighting(
            R,
            zoom,
            float(confidence),
            self._parallax(key, now, fit, agree, _at(mask, found) > _NEAR_PEOPLE),
            keyframe.frame,
            fit.by_readout,
            fit.readout_s,
        )
        self._readout = fit.readout
        return sighting, bool(agree.sum() < _WORN * len(keyframe.corners))

    def _find_corners(
        self, gray: NDArray, keyframe: _Keyframe, W: NDArray, seen: NDArray, levels: int
    ) -> tuple[NDArray, NDArray]:
        """Corners (N, 2) of a keyframe that are found again, and where they are in the picture."""
        as_keyframe = cv2.warpPerspective(
            gray, W, self._size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
        )
        corners = keyframe.corners[seen]
        moved, status, _ = cv2.calcOpticalFlowPyrLK(
            keyframe.gray,
            as_keyframe,
            corners[:, None],
            None,
            winSize=(_WINDOW_PX, _WINDOW_PX),
            maxLevel=levels,
            minEigThreshold=_LEAST_TEXTURE,
        )
        tracked = status[:, 0] > 0
        return corners[tracked], _through(W, moved[:, 0][tracked])

    def _parallax(self, key: Points, now: Points, fit: TurnFit, agree: NDArray, apart: NDArray) -> float:
        """Share of the corners found apart from people that do not agree and that a step of the camera explains; less
        where there are few."""
        agree = agree[apart]
        if len(agree) < _LEAST_CORNERS or agree.mean() > 0.9:
            return 0.0
        told = epipolar_share(key.some(apart), now.some(apart), fit, self.focal_px, AGREES_PX)
        return float((~agree).mean()) * told * min(1.0, len(agree) / _ENOUGH)

    def _rays(self, points_px: NDArray) -> NDArray:
        """Points (N, 2) of the small picture as x and y at depth 1."""
        return (points_px - self._K[:2, 2]) / self._K[[0, 1], [0, 1]]


def _through(H: NDArray, points: NDArray) -> NDArray:
    """Points (N, 2) through a homography (3, 3)."""
    at = np.concatenate([points, np.ones((len(points), 1))], 1) @ H.T
    return at[:, :2] / at[:, 2:]


def _corners(gray: NDArray, where: NDArray[np.bool_]) -> NDArray:
    """The best corners (N, 2) of a picture, not too many in one place."""
    corners = cv2.goodFeaturesToTrack(gray, 3 * _CORNERS, 0.003, _APART_PX, mask=where.astype(np.uint8))
    corners = np.zeros((0, 2), np.float32) if corners is None else corners[:, 0]
    cells = (corners // _CELL_PX).astype(int) @ [1, 1000]
    taken: dict[int, int] = {}
    keep = []
    for n, cell in enumerate(cells.tolist()):  # best first
        taken[cell] = taken.get(cell, 0) + 1
        if taken[cell] <= _PER_CELL:
            keep.append(n)
    return corners[keep[:_CORNERS]]


def _at(mask: NDArray, points: NDArray) -> NDArray:
    """What a mask says at points (N, 2), at its edge of those beyond."""
    column, row = points.round().astype(int).T
    return np.asarray(mask[row.clip(0, mask.shape[0] - 1), column.clip(0, mask.shape[1] - 1)])
