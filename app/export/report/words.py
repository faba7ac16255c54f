"""What the page's terms mean, in plain words."""

from __future__ import annotations

from sasmamba.app.motion.measure import NEEDED

WORDS = {
    "2D score": "how sure the detector of joints is, from 0 (a guess) to 1; below 0.5 it is often wrong",
    "Filled in": "not seen in that frame: the pose comes from the frames before and after",
    "No pose": "not seen for so long that nothing is filled in",
    "Height in picture": "from the top to the bottom of the person in the picture, in pixels (px), in the middle case",
    "95 % band": "the truth lies within it in 95 of 100 cases",
    "About": f"marked ≈: known less well than most uses need, which is within {NEEDED['range'].most:g}° of an angle, "
    f"{100 * NEEDED['step_length'].most:g} % of a length, {100 * NEEDED['cadence'].most:g} % of a cadence, "
    f"{100 * NEEDED['peak_velocity'].most:g} % of a peak speed; go by the interval, and call two figures different "
    "only where their intervals do not meet",
    "Range": "the greatest value less the least",
    "Peak speed": "how fast the angle changes at most, in degrees per second",
    "Flexion": "bending; 0° is a straight joint",
    "Abduction": "to the side, away from the body's middle",
    "Dorsiflexion": "toes towards the shin",
    "Elevation": "how far the upper arm is raised from hanging, in whatever direction",
    "Inclination": "how far from upright",
    "Side view": "sagittal plane: seen from the person's right, who then faces to the right",
    "Front view": "frontal plane: seen from before the person, whose left is then on the right",
    "On the ground": "a foot that rests, on the floor or on whatever it stands on",
    "Step": "from one foot's coming down to the other's",
    "Stride": "from one foot's coming down to the same foot's coming down again: two steps",
    "Cadence": "steps per minute",
    "Double support": "the share of a stride in which both feet are on the ground",
    "Symmetry": "how alike left and right are; 0 % is no difference",
    "Cycle": "one round of a movement that repeats, drawn from 0 % (its beginning) to 100 % (its end) whatever it took",
    "Standard deviation": "how much single cycles differ from their mean: two thirds of them by less than this",
}
