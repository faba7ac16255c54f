"""GLB in a real browser: three.js loads the file, plays it, and finds the joints where the take has them."""

from __future__ import annotations

import functools
import os
import threading
from fractions import Fraction
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from helpers_browser import browser, browser_here
from test_exports import scene, tumbling, walking

from sasmamba.app.export.formats import export_motion
from sasmamba.app.export.motion_table import R_YUP_WORLD, motions
from sasmamba.app.export.options import ExportOptions
from sasmamba.app.export.rigs import RIGS
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
window.ready = true;
</script>"""


def test_three_js_plays_it(tmp_path: Path) -> None:
    pytest.importorskip("pygltflib", reason="pygltflib, which writes GLB, is not installed")
    modules = Path(os.environ.get("NODE_PACKAGES", "")) / "node_modules"
    if not browser_here() or not (modules / "three").is_dir():
        pytest.skip("needs chromium, and three installed by npm in the folder that NODE_PACKAGES names")
    take, placement = scene({1: walking(60), 2: tumbling(60)}, fps=Fraction(30), start=10)
    export_motion(take, placement, tmp_path / "clip", ["glb"], options=ExportOptions("mixamo"))
    (tmp_path / "page.html").write_text(PAGE)
    (tmp_path / "node_modules").symlink_to(modules.resolve())
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with browser(1000, 700) as window:
            window.call("/url", {"url": f"http://127.0.0.1:{server.server_port}/page.html"})
            window.until("return window.ready")
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
            assert window.run("return at(1)") is not None
            assert -0.6 < window.run("return lowest()") < 0.1  # one of them tumbles through the floor
            picture = window.picture()
            assert np.ptp(picture.reshape(-1, 3).astype(int), 0).min() > 100  # something is drawn
            if folder := os.environ.get("KEEP_PICTURES"):
                import cv2

                cv2.imwrite(str(Path(folder) / "three.png"), picture)
        server.shutdown()
