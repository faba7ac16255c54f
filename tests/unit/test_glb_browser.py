"""GLB in a real browser: three.js finds joints where the take has them; others' characters play it by the names."""

from __future__ import annotations

import functools
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers_browser import Browser, browser, browser_here
from test_exports import scene, tumbling, walking
from test_rigs import LIMB_ENDS, x_bot

from sasmamba.app.export.formats import export_motion
from sasmamba.app.export.motion_table import R_YUP_WORLD, motions
from sasmamba.app.export.options import ExportOptions
from sasmamba.app.export.rig_motion import quaternions
from sasmamba.app.export.rigs import RIGS
from sasmamba.models.geometry import unit
from sasmamba.models.skeletons import H36M

#: Loads the clip, lights it, and answers `at(seconds)` with the joints' places by their order in each skin.
PAGE = """<!doctype html><meta charset="utf-8"><style>body { margin: 0 }</style>
<script type="importmap">{"imports": {"three": "/node_modules/three/build/three.module.js",
  "three/addons/": "/node_modules/three/examples/jsm/"}}</script>
<script type="module">
import * as THREE from "three";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";
const gltf = await new GLTFLoader().loadAsync("clip.glb");
const scene = new THREE.Scene(), mixer = new THREE.AnimationMixer(gltf.scene);
scene.add(gltf.scene, new THREE.HemisphereLight(0xffffff, 0x445566, 3));
mixer.clipAction(gltf.animations[0]).setLoop(THREE.LoopOnce).play();
const skins = [];
gltf.scene.traverse(thing => { if (thing.isSkinnedMesh) skins.push(thing); });
const grid = new THREE.GridHelper(10, 20), camera = new THREE.PerspectiveCamera(40, 1.6, .1, 50);
scene.add(grid);
camera.position.set(1.5, 1.8, 5);
camera.lookAt(.5, .9, 0);
const renderer = new THREE.WebGLRenderer({ antialias: true });
renderer.setSize(960, 600);
document.body.append(renderer.domElement);
window.at = seconds => {
  mixer.setTime(seconds);
  scene.updateMatrixWorld(true);
  renderer.render(scene, camera);
  return [...new Set(skins.map(mesh => mesh.skeleton))].map(skeleton =>
    skeleton.bones.map(bone => [bone.name, bone.getWorldPosition(new THREE.Vector3()).toArray()]));
};
// how far a vertex of every skin, moved by its bones, is from the floor: the lowest of all
window.lowest = () => Math.min(...skins.map(mesh => {
  let low = Infinity;
  const point = new THREE.Vector3();
  const count = mesh.geometry.attributes.position.count;
  for (let i = 0; i < count; i += 7) low = Math.min(low, mesh.getVertexPosition(i, point).y);
  return low;
}));
// a character that is not ours, with bones of its own lengths: plays the first person's clip by the names alone
const character = new THREE.Group(), others = new THREE.AnimationMixer(character), bones = {};
const bound = await (await fetch("character.json")).json();
for (const { name, parent, rotation, length } of bound) {
  const bone = bones[name] = new THREE.Bone();
  bone.name = name;
  bone.quaternion.set(...rotation);
  bone.position.set(0, length, 0);
  (bones[parent] ?? character).add(bone);
}
others.clipAction(gltf.animations[0]).setLoop(THREE.LoopOnce).play();
window.along = seconds => {
  others.setTime(seconds);
  character.updateMatrixWorld(true);
  return Object.entries(bones).map(([name, bone]) =>
    [name, new THREE.Vector3(0, 1, 0).applyQuaternion(bone.getWorldQuaternion(new THREE.Quaternion())).toArray()]);
};
window.ready = true;
</script>"""


#: Loads a VRM avatar with its consortium's reader, and plays the first person's clip on its humanoid.
VRM_PAGE = """<!doctype html><meta charset="utf-8">
<script type="importmap">{"imports": {"three": "/node_modules/three/build/three.module.js",
  "three/addons/": "/node_modules/three/examples/jsm/",
  "@pixiv/three-vrm": "/node_modules/@pixiv/three-vrm/lib/three-vrm.module.js"}}</script>
<script type="module">
import * as THREE from "three";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";
import { VRMLoaderPlugin } from "@pixiv/three-vrm";
const loader = new GLTFLoader();
loader.register(parser => new VRMLoaderPlugin(parser));
const { vrm } = (await loader.loadAsync("avatar.gltf")).userData;
const [clip] = (await loader.loadAsync("clip.glb")).animations;
const tracks = clip.tracks.flatMap(track => {
  const [name, what] = track.name.split("."), bone = vrm.humanoid.getNormalizedBoneNode(name);
  if (!bone || what !== "quaternion") return [];
  track.name = `${bone.name}.${what}`;
  return [track];
});
const mixer = new THREE.AnimationMixer(vrm.scene);
mixer.clipAction(new THREE.AnimationClip("clip", -1, tracks)).setLoop(THREE.LoopOnce).play();
window.at = seconds => {
  mixer.setTime(seconds);
  vrm.update(0);
  vrm.scene.updateMatrixWorld(true);
  return Object.fromEntries(Object.keys(vrm.humanoid.humanBones).map(name =>
    [name, vrm.humanoid.getRawBoneNode(name).getWorldPosition(new THREE.Vector3()).toArray()]));
};
window.ready = true;
</script>"""


@contextmanager
def served(folder: Path, page: str, *packages: str) -> Iterator[Browser]:
    """A browser that shows the page, with packages of npm; without them the test is skipped."""
    pytest.importorskip("pygltflib", reason="pygltflib, which writes GLB, is not installed")
    modules = Path(os.environ.get("NODE_PACKAGES", "")) / "node_modules"
    if not browser_here() or not all((modules / name).is_dir() for name in packages):
        pytest.skip(f"needs chromium, and {', '.join(packages)} by npm in the folder that NODE_PACKAGES names")
    (folder / "page.html").write_text(page)
    (folder / "node_modules").symlink_to(modules.resolve())
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with browser(1000, 700) as window:
            window.call("/url", {"url": f"http://127.0.0.1:{server.server_port}/page.html"})
            window.until("return window.ready")
            yield window
        server.shutdown()


def character() -> list[dict[str, object]]:
    """Mixamo's X Bot as it is bound: bones by the names that three.js gives them, turned in their parents' axes."""
    bound = x_bot()
    out: list[dict[str, object]] = []
    for n, node in enumerate(RIGS["mixamo"]):
        above = RIGS["mixamo"][node.parent].name if node.parent >= 0 else ""
        turned = bound[above].T @ bound[node.name] if above else bound[node.name]
        rotation = quaternions(turned[None])[0].tolist()
        names = (node.name.replace(":", ""), above.replace(":", ""))
        out.append({"name": names[0], "parent": names[1], "rotation": rotation, "length": 0.1 + 0.01 * n})
    return out


def avatar() -> dict[str, Any]:
    """A VRM 1.0 without a surface: a small T, every bone's own axes turned at random, as avatars' may be."""
    rng, nodes, rig = np.random.default_rng(8), [], RIGS["vrm"]
    turned = [np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in rig]
    turned = [R * np.linalg.det(R) for R in turned]
    for n, node in enumerate(rig):
        above = turned[node.parent] if node.parent >= 0 else np.eye(3)
        offset = 0.2 * unit(np.array(node.rest or (0, 1, 0)))
        nodes.append(
            {
                "name": f"bone {n}",
                "translation": (above.T @ offset).tolist(),
                "rotation": quaternions((above.T @ turned[n])[None])[0].tolist(),
                "children": [m for m, other in enumerate(rig) if other.parent == n],
            }
        )
        if not nodes[-1]["children"]:
            del nodes[-1]["children"]
    bones = {node.name: {"node": n} for n, node in enumerate(rig)}
    meta = {"name": "a T", "authors": ["nobody"], "licenseUrl": "https://vrm.dev/licenses/1.0/"}
    vrm = {"specVersion": "1.0", "meta": meta, "humanoid": {"humanBones": bones}}
    return {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": nodes,
        "extensionsUsed": ["VRMC_vrm"],
        "extensions": {"VRMC_vrm": vrm},
    }


def test_three_js_plays_it(tmp_path: Path) -> None:
    pytest.importorskip("pygltflib", reason="pygltflib, which writes GLB, is not installed")
    take, placement = scene({1: walking(60), 2: tumbling(60)}, fps=Fraction(30), start=10)
    export_motion(take, placement, tmp_path / "clip", ["glb"], options=ExportOptions("mixamo"))
    (tmp_path / "character.json").write_text(json.dumps(character()))
    with served(tmp_path, PAGE, "three") as window:
        for frame in range(10, 70, 10):
            found = window.run("return at(arguments[0])", frame / 30)
            assert len(found) == 2
            for person, bones in zip(motions(take, placement), found, strict=True):
                truth = person.points[frame - 10] @ R_YUP_WORLD.T
                assert [name.removesuffix("_1") for name, _ in bones] == [
                    node.name.replace(":", "") for node in RIGS["mixamo"]
                ]
                for (_, place), node in zip(bones, RIGS["mixamo"], strict=True):
                    if node.share == 1 and node.at < len(H36M):
                        assert np.linalg.norm(np.array(place) - truth[node.at]) < 1e-3
            along = dict(window.run("return along(arguments[0])", frame / 30))
            points = motions(take, placement)[0].points[frame - 10] @ R_YUP_WORLD.T
            for name, (a, b) in LIMB_ENDS.items():
                assert apart_deg(along[name.replace(":", "")], points[b] - points[a]) < 0.2, name
        assert window.run("return at(1)") is not None
        assert -0.6 < window.run("return lowest()") < 0.1  # one of them tumbles through the floor
        picture = window.picture()
        assert np.ptp(picture.reshape(-1, 3).astype(int), 0).min() > 100  # something is drawn
        if folder := os.environ.get("KEEP_PICTURES"):
            import cv2

            cv2.imwrite(str(Path(folder) / "three.png"), picture)


def test_a_vrm_avatar_plays_it(tmp_path: Path) -> None:
    """By three-vrm, whose normalised bones stand as the world does at rest, whatever the avatar's own axes."""
    pytest.importorskip("pygltflib", reason="pygltflib, which writes GLB, is not installed")
    take, placement = scene({1: walking(60)}, fps=Fraction(30))
    export_motion(take, placement, tmp_path / "clip", ["glb"], options=ExportOptions("vrm"))
    (tmp_path / "avatar.gltf").write_text(json.dumps(avatar()))
    chains = [
        (f"{side}{a}", f"{side}{b}", H36M[f"{side.upper()}_{c}"], H36M[f"{side.upper()}_{d}"])
        for side in ("left", "right")
        for a, b, c, d in (
            ("UpperLeg", "LowerLeg", "HIP", "KNEE"),
            ("LowerLeg", "Foot", "KNEE", "ANKLE"),
            ("UpperArm", "LowerArm", "SHOULDER", "ELBOW"),
            ("LowerArm", "Hand", "ELBOW", "WRIST"),
        )
    ]
    with served(tmp_path, VRM_PAGE, "three", "@pixiv/three-vrm") as window:
        for frame in range(0, 60, 10):
            found = {name: np.array(place) for name, place in window.run("return at(arguments[0])", frame / 30).items()}
            points = motions(take, placement)[0].points[frame] @ R_YUP_WORLD.T
            for start, end, a, b in chains:
                assert apart_deg(found[end] - found[start], points[b] - points[a]) < 0.2, start


def apart_deg(a: Any, b: Any) -> float:
    """Between two directions."""
    return float(np.degrees(np.arccos(min(unit(np.asarray(a)) @ unit(np.asarray(b)), 1))))
