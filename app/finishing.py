"""What a run's settings make of lifted poses: whose legs are shown, jitter taken out, limbs held, everybody placed."""

from __future__ import annotations

from sasmamba.app.config import Settings
from sasmamba.app.motion.body import people_without_legs
from sasmamba.app.motion.holding import hold_joints
from sasmamba.app.motion.placing import Placement, place
from sasmamba.app.motion.smoothing import smooth_take
from sasmamba.app.take import Take


def finish(take: Take, settings: Settings) -> None:
    """Settles whose legs are left out and how poses are, in place; they are then as files of poses have them."""
    take.upper = people_without_legs(take, "full" if settings.shows_guesses else settings.body)
    if settings.smooth:
        smooth_take(take)
    hold_joints(take)


def placed(take: Take, settings: Settings) -> Placement:
    """Where everybody is, see `place`."""
    return place(
        take,
        settings.fov_deg,
        intrinsics=settings.intrinsics,
        height_m=settings.height_m,
        known=settings.known_camera,
    )
