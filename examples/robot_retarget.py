"""From a video to a humanoid robot: joint positions within its limits, and how far they stay from the person.

    sasmamba-demo video.mp4 --export npz
    pip install mujoco mink daqp
    python examples/robot_retarget.py video_3d.npz --robot mujoco_menagerie/unitree_g1/scene.xml --out g1.csv

--robot is an MJCF file of one of ROBOTS: Unitree's G1 and H1 as in MuJoCo Menagerie, or `humanoid.xml`, which comes
with `pip install dm_control`. For another robot write its bodies' names there.

Ankles follow the person's, scaled by the length of the legs, so that a foot that stands stands still; knees, elbows
and wrists lie in the person's directions at the robot's own lengths; pelvis, trunk and feet turn as the person's do.
The file has one row a frame: `time_s`, then MuJoCo's qpos by joint names (a free joint is x y z in metres and a
quaternion w x y z; hinges are radians). It is kinematics alone: whether the robot would keep its balance is not asked.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any, NamedTuple

import mink  # type: ignore # an example need not have it
import mujoco  # type: ignore
import numpy as np
from numpy.typing import NDArray

from sasmamba import H36M

Array = NDArray[Any]
#: By body part where it should be, (3,) metres, and how it should be turned, (3, 3); None: no matter.
Goal = dict[str, tuple["Array | None", "Array | None"]]
SIDES = ("left", "right")
#: Joints that the robot has, and the bones between them whose directions are compared.
POINTS = tuple(f"{side}_{joint}" for side in SIDES for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"))
BONES = {
    "thigh": ("hip", "knee"),
    "shank": ("knee", "ankle"),
    "upper arm": ("shoulder", "elbow"),
    "forearm": ("elbow", "wrist"),
}


class Robot(NamedTuple):
    """The bodies whose origins are a robot's joints, `{}` for left or right; `hand`: the wrist in its body's axes."""

    pelvis: str
    torso: str
    hip: str
    knee: str
    ankle: str
    shoulder: str
    elbow: str
    wrist: str
    hand: tuple[float, float, float] = (0, 0, 0)


ROBOTS = (
    Robot("pelvis", "torso_link", "{}_hip_roll_link", "{}_knee_link", "{}_ankle_roll_link", "{}_shoulder_roll_link",
          "{}_elbow_link", "{}_wrist_yaw_link"),  # Unitree G1
    Robot("pelvis", "torso_link", "{}_hip_pitch_link", "{}_knee_link", "{}_ankle_link", "{}_shoulder_roll_link",
          "{}_elbow_link", "{}_elbow_link", (0.28, 0, -0.015)),  # Unitree H1
    Robot("pelvis", "torso", "{}_thigh", "{}_shin", "{}_foot", "{}_upper_arm", "{}_lower_arm", "{}_hand"),  # dm_control
)  # fmt: skip


class Motion(NamedTuple):
    """One person: times (F,), joints (F, 17, 3), heels and toes (F, 4, 3) in metres, z up; planted feet (F, 2)."""

    times_s: Array
    joints: Array
    feet: Array
    planted: Array


def read_motion(path: Path, person: int | None) -> Motion:
    """The person of that number, or who is there longest, out of a NAME.npz or NAME.json."""
    if path.suffix == ".npz":
        with np.load(path) as file:
            joints, feet, planted = file["world3d"], file["feet3d"], file["planted"]
            times, numbers = file["times_s"], file["track_id"].tolist()
        row = numbers.index(person) if person else int(np.isfinite(joints).all((2, 3)).sum(1).argmax())
        return Motion(times, joints[row].astype(float), feet[row].astype(float), planted[row])
    people = json.loads(path.read_text())["people"]
    frames = (
        next(p for p in people if p["track_id"] == person)["frames"]
        if person
        else max((p["frames"] for p in people), key=len)
    )
    places = [np.array([frame[key] for frame in frames], float) for key in ("time_s", "joints", "feet", "planted")]
    return Motion(places[0], places[1], places[2], places[3] > 0)


class Body:
    """A robot: its model with a site at every joint of `POINTS`, and its measures as it stands at qpos 0."""

    def __init__(self, path: Path) -> None:
        spec = mujoco.MjSpec.from_file(str(path))
        names = {body.name for body in spec.bodies}
        found = [r for r in ROBOTS if {n.format(s) for n in r[:8] for s in SIDES} <= names]
        if not found:
            raise SystemExit(f"{path} is no robot that this example knows: write the names of its bodies into ROBOTS.")
        robot = found[0]
        for side in SIDES:
            for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"):
                body = spec.body(getattr(robot, joint).format(side))
                body.add_site(name=f"at_{side}_{joint}", pos=robot.hand if joint == "wrist" else (0, 0, 0))
        self.model = spec.compile()
        self.configuration = mink.Configuration(self.model, q=self.model.qpos0)
        self.rest = {name: self.where(name) for name in POINTS}
        turns = {"pelvis": robot.pelvis, "torso": robot.torso} | {f"{s}_foot": robot.ankle.format(s) for s in SIDES}
        self.bodies = {name: self.model.body(body).id for name, body in turns.items()}
        self.rest_pose = {name: self.pose(name) for name in turns}
        #: Corners of the boxes around what a foot is made of, (n, 3) from the ankle at rest.
        self.soles = {s: self.corners(f"{s}_foot") - self.rest[f"{s}_ankle"] for s in SIDES}

    def where(self, point: str) -> Array:
        """Where a joint of `POINTS` is now, (3,) metres."""
        return np.array(self.configuration.data.site(f"at_{point}").xpos)

    def pose(self, name: str) -> tuple[Array, Array]:
        """Place (3,) and axes (3, 3) of pelvis, torso or a foot, now."""
        data, body = self.configuration.data, self.bodies[name]
        return np.array(data.xpos[body]), np.array(data.xmat[body]).reshape(3, 3)

    def corners(self, foot: str) -> Array:
        """Where the corners of the boxes around a foot's parts are now, (n, 3)."""
        data, found = self.configuration.data, []
        signs = np.array(np.meshgrid(*[(-1, 1)] * 3)).reshape(3, 8)
        for geom in np.flatnonzero(self.model.geom_bodyid == self.bodies[foot]):
            box = self.model.geom_aabb[geom]
            turn = data.geom_xmat[geom].reshape(3, 3)
            found.append((data.geom_xpos[geom][:, None] + turn @ (box[:3, None] + signs * box[3:, None])).T)
        return np.concatenate(found)

    def length(self, a: str, b: str) -> float:
        """Between two joints at rest, metres; the mean of both sides."""
        return float(np.mean([np.linalg.norm(self.rest[f"{s}_{a}"] - self.rest[f"{s}_{b}"]) for s in SIDES]))


def unit(v: Array) -> Array:
    return np.asarray(v / np.linalg.norm(v, axis=-1, keepdims=True))


def axes(ahead: Array, up: Array) -> Array:
    """(3, 3), columns ahead, left and up, `up` as given and `ahead` as near as it can be."""
    up = unit(up)
    left = unit(np.cross(up, ahead))
    return np.stack([np.cross(left, up), left, up], 1)


def targets(body: Body, motion: Motion, scale: float) -> list[Goal]:
    """What the robot should do in every frame."""
    of = {name: motion.joints[:, H36M[name.upper()]] for name in POINTS}
    ankles = np.stack([of[f"{s}_ankle"] for s in SIDES], 1)
    seen = np.isfinite(ankles).all(-1)
    if not seen.any():
        raise SystemExit("This person's feet are never seen, and a robot has to stand: choose another with --person.")
    # the floor under this person: somebody on a stage stands on the robot's floor, too
    rests = seen & motion.planted
    floor = float(np.median(ankles[rests][:, 2]) if rests.any() else np.quantile(ankles[seen][:, 2], 0.05))
    pelvis, spine, thorax = (motion.joints[:, H36M[n]] for n in ("PELVIS", "SPINE", "THORAX"))
    origin = np.array([*pelvis[0, :2], floor])
    hips = (body.rest["left_hip"] + body.rest["right_hip"]) / 2
    thick = -float(np.mean([body.soles[s][:, 2].min() for s in SIDES]))  # from the ankle down
    found = []
    for f in range(len(motion.joints)):

        def moved(place: Array) -> Array:
            return np.asarray(scale * (place - origin) + [0, 0, thick])

        def bone(a: str, b: str, f: int = f) -> Array:
            name = a.partition("_")[2], b.partition("_")[2]
            return np.asarray(body.length(*name) * unit(of[b][f] - of[a][f]))

        across = {joint: of[f"left_{joint}"][f] - of[f"right_{joint}"][f] for joint in ("hip", "shoulder")}
        turn = {
            "pelvis": axes(np.cross(across["hip"], spine[f] - pelvis[f]), spine[f] - pelvis[f]),
            "torso": axes(np.cross(across["shoulder"], thorax[f] - spine[f]), thorax[f] - spine[f]),
        }
        place = {"pelvis": moved(pelvis[f]) + turn["pelvis"] @ (body.rest_pose["pelvis"][0] - hips)}
        waist = place["pelvis"] + turn["pelvis"] @ (body.rest_pose["torso"][0] - body.rest_pose["pelvis"][0])
        for side, foot in (("left", 0), ("right", 2)):
            hip = place["pelvis"] + turn["pelvis"] @ (body.rest[f"{side}_hip"] - body.rest_pose["pelvis"][0])
            place[f"{side}_knee"] = hip + bone(f"{side}_hip", f"{side}_knee")
            shoulder = waist + turn["torso"] @ (body.rest[f"{side}_shoulder"] - body.rest_pose["torso"][0])
            place[f"{side}_elbow"] = shoulder + bone(f"{side}_shoulder", f"{side}_elbow")
            place[f"{side}_wrist"] = place[f"{side}_elbow"] + bone(f"{side}_elbow", f"{side}_wrist")
            sole = motion.feet[f, foot + 1] - motion.feet[f, foot]
            turn[f"{side}_foot"] = axes(np.array([*sole[:2], 0]), np.cross(sole, np.cross([0, 0, 1.0], sole)))
            place[f"{side}_ankle"] = moved(of[f"{side}_ankle"][f])
            deep = place[f"{side}_ankle"][2] + (body.soles[side] @ turn[f"{side}_foot"].T)[:, 2].min()
            place[f"{side}_ankle"][2] -= min(deep, 0)  # its feet are not the person's: none goes through the floor
        found.append({n: (place.get(n), turn.get(n)) for n in place | turn})
    return found


#: Of a metre and of a radian off, by body part; of a radian from the frame before, for every joint.
COSTS = {
    "pelvis": (1, 1),
    "torso": (0, 0.5),
    "knee": (1, 0),
    "ankle": (10, 0),
    "foot": (0, 1),
    "elbow": (2, 0),
    "wrist": (2, 0),
}
CALM = 0.1
#: From so many frames the motion is begun, and the best is taken.
BEGINNINGS = 5


def follow(body: Body, wanted: list[Goal]) -> Array:
    """qpos (F, nq) by inverse kinematics within the joints' limits; what is not known in a frame pulls at nothing."""
    model, configuration = body.model, body.configuration
    tasks = {}
    for name in wanted[0]:
        cost = COSTS[name.rpartition("_")[2]]
        frame = (body.bodies[name], "body") if name in body.bodies else (f"at_{name}", "site")
        tasks[name] = mink.FrameTask(*frame, position_cost=cost[0], orientation_cost=cost[1], lm_damping=0.1)
    # what no target decides stays near the pose before: an arm that is straight does not spin
    calm = mink.PostureTask(model, cost=CALM)
    limits = [mink.ConfigurationLimit(model)]

    def settle(q: Array, active: list[Any], steps: int) -> tuple[float, Array]:
        """What is left of the targets from a start on, weighed, and the pose."""
        configuration.update(q)
        for _ in range(steps):
            step = mink.solve_ik(configuration, [calm, *active], dt=1.0, solver="daqp", damping=1e-6, limits=limits)
            configuration.integrate_inplace(step, 1.0)
            if np.abs(step).max() < 1e-4:
                break
        left = sum(float(np.square(task.cost * task.compute_error(configuration)).sum()) for task in active)
        return left, configuration.q.copy()

    def towards(goal: Goal) -> list[Any]:
        active = []
        for name, (place, turn) in goal.items():
            neutral = body.rest_pose[name][1] if name in body.bodies else np.eye(3)
            at, axes_at = np.zeros(3) if place is None else place, neutral if turn is None else turn @ neutral
            if np.isfinite(at).all() and np.isfinite(axes_at).all():
                turned = mink.SO3.from_matrix(axes_at)
                tasks[name].set_target(mink.SE3.from_rotation_and_translation(turned, at))
                active.append(tasks[name])
        return active

    # An arm can reach a place in two ways, and a limit lets only one of them go on: from several frames on the robot
    # goes from rest into the person's pose and then through time, forwards and backwards; the nearest track is taken.
    best, best_left = np.empty(0), np.inf
    for begin in np.unique(np.linspace(0, len(wanted) - 1, BEGINNINGS).astype(int)):
        rows, total = [np.empty(0)] * len(wanted), 0.0
        for frames in (range(begin, len(wanted)), range(begin - 1, -1, -1)):
            q = rows[begin] if rows[begin].size else at_rest(body, wanted[begin])
            for f in frames:
                calm.set_target(q)
                left, q = settle(q, towards(wanted[f]), 100 if f == begin else 20)
                rows[f] = q
                total += left
        if total < best_left:
            best, best_left = np.array(rows), total
    return best


def at_rest(body: Body, goal: Goal) -> Array:
    """The robot's pose (nq,) at rest, at the person's place and turned as they are."""
    rest, (at, turned) = np.array(body.model.qpos0), goal["pelvis"]
    if at is not None and turned is not None and np.isfinite(at).all():
        rest_at, rest_turned = body.rest_pose["pelvis"]
        q = mink.SO3.from_matrix(turned @ rest_turned.T)
        rest[:3], rest[3:7] = at + q.apply(rest[:3] - rest_at), (q @ mink.SO3(rest[3:7])).wxyz
    return rest


def joint_names(model: Any) -> list[str]:
    """What each number of qpos is: root_x … root_qz for the free joint, then the joints' names."""
    free, ball = int(mujoco.mjtJoint.mjJNT_FREE), int(mujoco.mjtJoint.mjJNT_BALL)
    parts = {free: ("_x", "_y", "_z", "_qw", "_qx", "_qy", "_qz"), ball: ("_qw", "_qx", "_qy", "_qz")}
    named = [model.joint(j).name or ("root" if model.jnt_type[j] == free else f"joint_{j}") for j in range(model.njnt)]
    return [name + part for name, kind in zip(named, model.jnt_type, strict=True) for part in parts.get(kind, ("",))]


def told(body: Body, motion: Motion, wanted: list[Goal], qpos: Array) -> str:
    """How far the robot stays from the person, as a table, and what its limits and the floor had to do with it."""
    model, configuration = body.model, body.configuration
    off: dict[str, list[float]] = {}
    turned: dict[str, list[float]] = {}
    below = 0.0
    for f, q in enumerate(qpos):
        configuration.update(q)
        for name, (place, _) in wanted[f].items():
            if place is not None:
                at = body.pose(name)[0] if name in body.bodies else body.where(name)
                off.setdefault(name.rpartition("_")[2], []).append(float(100 * np.linalg.norm(at - place)))
        for bone, (a, b) in BONES.items():
            for s in SIDES:
                human = motion.joints[f, H36M[f"{s}_{b}".upper()]] - motion.joints[f, H36M[f"{s}_{a}".upper()]]
                cosine = unit(human) @ unit(body.where(f"{s}_{b}") - body.where(f"{s}_{a}"))
                turned.setdefault(bone, []).append(float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))))
        below = min(below, *(body.corners(f"{s}_foot")[:, 2].min() for s in SIDES))
    lines = ["part        median   90 % below"]
    lines += [f"{p:<10} {np.nanmedian(v):5.1f} cm   {np.nanquantile(v, 0.9):5.1f} cm" for p, v in off.items()]
    lines += [f"{p:<10} {np.nanmedian(v):5.1f}°    {np.nanquantile(v, 0.9):5.1f}°" for p, v in turned.items()]
    hinges = np.flatnonzero(model.jnt_limited)
    angles, reach = qpos[:, model.jnt_qposadr[hinges]], model.jnt_range[hinges]
    beyond = np.degrees(np.maximum(reach[:, 0] - angles, angles - reach[:, 1]).max())
    at_limit = (np.minimum(angles - reach[:, 0], reach[:, 1] - angles) < np.radians(1)).mean(0)
    named = [
        f"{model.joint(int(hinges[k])).name} {100 * at_limit[k]:.0f} %"
        for k in np.argsort(-at_limit)
        if at_limit[k] > 0.05
    ]
    speed = np.abs(np.diff(angles, axis=0) / np.diff(motion.times_s)[:, None])
    lines += [
        f"limits      {max(beyond, 0):.2f}° beyond at most; reached by {', '.join(named) or 'hardly any joint'}",
        f"speed       {np.quantile(speed, 0.99):.1f} rad/s (99 % of joints and frames are slower)",
        f"feet        at most {-100 * below:.1f} cm below the floor",
    ]
    return "\n".join(lines)


def draw(body: Body, wanted: list[Goal], qpos: Array, path: Path) -> None:
    """Six moments side by side; balls are where the person's joints, brought to the robot's size, are."""
    import cv2  # comes with sasmamba-demo

    renderer, camera = mujoco.Renderer(body.model, 400, 260), mujoco.MjvCamera()
    camera.distance, camera.elevation, camera.azimuth = 2.6, -8, 120
    pictures = []
    for f in np.linspace(0, len(qpos) - 1, 6).astype(int):
        body.configuration.update(qpos[f])
        data = body.configuration.data
        camera.lookat = [*data.qpos[:2], 0.75 * body.rest_pose["pelvis"][0][2]]
        renderer.update_scene(data, camera)
        for place, _ in wanted[f].values():
            if place is not None and np.isfinite(place).all():
                ball = renderer.scene.geoms[renderer.scene.ngeom]
                red = np.array([0.9, 0.3, 0.2, 1], np.float32)
                mujoco.mjv_initGeom(
                    ball, mujoco.mjtGeom.mjGEOM_SPHERE, np.full(3, 0.035), place, np.eye(3).ravel(), red
                )
                renderer.scene.ngeom += 1
        pictures.append(renderer.render())
    small = [cv2.IMWRITE_WEBP_QUALITY, 85] if path.suffix == ".webp" else []
    cv2.imwrite(str(path), np.hstack(pictures)[..., ::-1], small)


def main() -> None:
    """Retargets what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("motion", type=Path, help="NAME_3d.npz (--export npz) or NAME_3d.json (--export json)")
    parser.add_argument("--robot", type=Path, required=True, help="an MJCF file")
    parser.add_argument("--out", type=Path, required=True, help="the robot's motion, .csv")
    parser.add_argument("--person", type=int, help="their number; without it who is there longest")
    parser.add_argument("--picture", type=Path, help="six moments as a picture (without a screen: MUJOCO_GL=egl)")
    arguments = parser.parse_args()
    motion, body = read_motion(arguments.motion, arguments.person), Body(arguments.robot)
    there = np.isfinite(motion.joints[:, H36M.PELVIS]).all(-1)
    motion = Motion(*(part[there] for part in motion))

    def person_length(a: str, b: str) -> float:
        of = [motion.joints[:, H36M[f"{s}_{a}".upper()]] - motion.joints[:, H36M[f"{s}_{b}".upper()]] for s in SIDES]
        return float(np.nanmedian(np.linalg.norm(of, axis=-1)))

    legs = (("hip", "knee"), ("knee", "ankle"))
    scale = sum(body.length(*bone) for bone in legs) / sum(person_length(*bone) for bone in legs)
    wanted = targets(body, motion, scale)
    qpos = follow(body, wanted)
    with arguments.out.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["time_s", *joint_names(body.model)])
        for time_s, q in zip(motion.times_s, qpos, strict=True):
            table.writerow([f"{time_s:.4f}", *(f"{value:.5f}" for value in q)])
    print(f"{len(qpos)} frames, {body.model.njnt - 1} joints; the robot is {scale:.2f} of the person's size")
    print(told(body, motion, wanted, qpos))
    if arguments.picture:
        draw(body, wanted, qpos, arguments.picture)


if __name__ == "__main__":
    main()
