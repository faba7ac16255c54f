"""Everything that is measured of a person, in the order in which a table has it."""

from __future__ import annotations

from sasmamba.app.motion.angle_range import ranges_of_motion
from sasmamba.app.motion.gait import gait
from sasmamba.app.motion.jumps import jumps
from sasmamba.app.motion.measure import Measure
from sasmamba.app.motion.performance import Performance
from sasmamba.app.motion.standing_up import standing_up
from sasmamba.app.motion.steps import steps_of


def measures(who: Performance) -> list[Measure]:
    """Gait, jumps, standing up, and the range of every joint angle, each with its 95 % half-width or why there is none.

    A group that cannot be measured at all has its rows, too, each with the reason.
    """
    steps = steps_of(who)
    return [*gait(who, steps), *jumps(who, steps), *standing_up(who), *ranges_of_motion(who)]
