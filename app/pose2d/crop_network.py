"""Joints of the person in a square of a picture, by a network that sees one person in a square crop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from sasmamba.app.pose2d.squares import Square, unmirrored
from sasmamba.common.arrays import FloatArray

#: `map`, or the same on several threads.
Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


class Network(Protocol):
    """What `movenet_networks.PoseNetwork` does: crops (n, side, side, 3) uint8 RGB to (n, 17, 3) x, y in fractions of
    the crop, and score."""

    side: int

    def __call__(self, crops: NDArray[np.uint8], /) -> FloatArray: ...


def estimate(network: Network, bgr: NDArray[np.uint8], square: Square, *, mirror: bool = False) -> FloatArray:
    """(17, 3) x px, y px and score of the person in a square of the picture; depends on nothing else.

    Args:
        mirror: average with what the network says of the mirrored crop, each joint weighted by its score.
    """
    return estimates(map, network, bgr, [square], mirror=mirror)[0]


def estimates(
    each: Map, network: Network, bgr: NDArray[np.uint8], squares: list[Square], *, mirror: bool
) -> list[FloatArray]:
    """`estimate` of several squares; `each` cuts them and applies the network to the crops, in order, on any number of
    threads.

    Every crop is a call of its own, so that the answers do not depend on how many there are.
    """
    crops: list[NDArray[np.uint8]] = list(each(lambda square: square.cut(bgr, network.side), squares))
    if mirror:
        crops += [np.asarray(cv2.flip(crop, 1), np.uint8) for crop in crops]
    answers = list(each(lambda crop: network(crop[None])[0], crops))
    if mirror:
        straight, mirrored = answers[: len(squares)], answers[len(squares) :]
        answers = [_average(one, unmirrored(other)) for one, other in zip(straight, mirrored, strict=True)]
    return [
        np.concatenate([square.to_picture(joints[:, :2]), joints[:, 2:]], 1).astype(np.float32)
        for square, joints in zip(squares, answers, strict=True)
    ]


def crop_ms(network: Network) -> float:
    """Milliseconds that one crop takes here: the shortest of three, after one that is not like the others."""
    crop = np.zeros((1, network.side, network.side, 3), np.uint8)
    network(crop)
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        network(crop)
        seconds.append(time.perf_counter() - begin)
    return 1000 * min(seconds)


def _average(one: FloatArray, other: FloatArray) -> FloatArray:
    """(17, 3) of two answers, each joint's place weighted by its score."""
    weight = one[:, 2:] / np.maximum(one[:, 2:] + other[:, 2:], 1e-6)
    joints = weight * one + (1 - weight) * other
    joints[:, 2] = (one[:, 2] + other[:, 2]) / 2
    return joints
