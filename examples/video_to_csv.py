"""A video to a table: where everybody's wrists and ankles are in the world, frame by frame.

    python examples/video_to_csv.py VIDEO OUT.csv

The world's axes: metres, x right, y away from the camera, z up, floor at z = 0.
"""

import csv
import sys

import sasmamba
from sasmamba import H36M

JOINTS = (H36M.LEFT_WRIST, H36M.RIGHT_WRIST, H36M.LEFT_ANKLE, H36M.RIGHT_ANKLE)


def main(video: str, out: str) -> None:
    take = sasmamba.analyse(video)
    with open(out, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["person", "time_s", "joint", "x_m", "y_m", "z_m"])
        for person in take.people.values():
            for time_s, joints in zip(person.times_s, person.world_m, strict=True):
                for joint in JOINTS:
                    place = [f"{metres:.4f}" for metres in joints[joint]]
                    table.writerow([person.track_id, f"{time_s:.4f}", joint.name.lower(), *place])
    for person in take.people.values():
        print(f"person {person.track_id}: {len(person.times_s)} frames from {person.times_s[0]:.2f} s on")
    for problem in take.problems:
        print(f"note: {problem}")


if __name__ == "__main__":
    main(*sys.argv[1:])
