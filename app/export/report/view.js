"use strict";
// The people in 3D. World axes: metres, x right, y away from the camera, z up, floor at z = 0.

function bytes(text) {
  const raw = atob(text), out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}

const MISSING = -32768;
// How much of a limb is drawn that is unknown, inferred, seen.
const SHARE = [.12, .45, 1];
const RADIUS_M = { pelvis: .07, hip: .06, knee: .047, ankle: .035, spine: .075, thorax: .07, nose: .04, head_top: .05,
  shoulder: .047, elbow: .036, wrist: .026, heel: .03, toe: .024 };

class View {
  constructor(canvas, data, people) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.data = data;
    this.people = people;
    this.frame = 0;
    const kind = data.joints.map(name => name.replace(/^(left|right)_/, ""));
    this.limbs = data.edges.map(([a, b, side]) => ({ a, b, side, radius: (RADIUS_M[kind[a]] + RADIUS_M[kind[b]]) / 2 }));
    this.head = [kind.indexOf("nose"), kind.indexOf("head_top")];
    this.step = [.5, 1, 2, 5, 10, 20, 50].find(step => data.scene.radius_m / step < 14) || 100;
    this.turning = new Map();
    this.listen();
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.azimuth = 28; this.elevation = 13;
    this.resize();
  }

  reset() {
    this.look(28, 13);
  }

  // Looks from there, as near as shows everybody of the whole clip.
  look(azimuth, elevation) {
    const { centre, top_m } = this.data.scene, { width, height } = this.canvas;
    this.azimuth = azimuth; this.elevation = elevation; this.zoom = 1;
    this.target = [centre[0], centre[1], Math.min(top_m, 2.2) / 2];
    let near = .5, far = 60 * this.data.scene.radius_m + 60;
    for (let i = 0; i < 40; i++) {
      this.fitted = (near + far) / 2;
      this.aim();
      const [left, top, right, bottom, close] = this.outline;
      if (!close && right - left < .86 * width && bottom - top < .74 * height) far = this.fitted;
      else near = this.fitted;
    }
    this.fitted = far;
    this.aim();
    for (let i = 0; i < 8; i++) { // who is near moves more than who is far, so that it takes several turns
      const [left, top, right, bottom] = this.outline;
      this.fitted *= Math.max(1, (right - left) / (.9 * width), (bottom - top) / (.8 * height));
      this.move((width - left - right) / 2, (height - top - bottom) / 2 + .03 * height);
      this.aim();
    }
  }

  // From where to where everybody of the whole clip is in the picture, and whether somebody is too near to be seen.
  get outline() {
    const box = [Infinity, Infinity, -Infinity, -Infinity, false];
    for (const point of this.extent) {
      const [x, y, depth] = this.project(...point);
      box.splice(0, 5, Math.min(box[0], x), Math.min(box[1], y), Math.max(box[2], x), Math.max(box[3], y), box[4] || depth < .3);
    }
    return box;
  }

  // Points that hold everybody: heads, hands, feet and the floor below, of some hundred poses.
  get extent() {
    if (this.points) return this.points;
    const { radius_m, centre, top_m } = this.data.scene, points = [];
    for (const person of this.people) {
      const step = Math.max(1, Math.floor(person.seen.length / 200));
      for (let i = 0; i < person.seen.length; i += step) {
        const pose = person.at(person.first + i), j = pose && pose.joints;
        if (!j) continue;
        const own = [[j[0], j[1], 0], [j[3 * this.head[1]], j[3 * this.head[1] + 1], j[3 * this.head[1] + 2] + .2]];
        for (let k = 0; k < j.length; k += 9) own.push([j[k], j[k + 1], j[k + 2]]);
        points.push(...own.filter(point => point.every(Number.isFinite))); // of whom a part was never seen, the rest
      }
    }
    if (!points.length) {
      for (const [x, y] of [[-1, 0], [1, 0], [0, -1], [0, 1]]) {
        for (const z of [0, top_m]) points.push([centre[0] + x * radius_m, centre[1] + y * radius_m, z]);
      }
    }
    return this.points = points;
  }

  resize() {
    const ratio = window.devicePixelRatio || 1, box = this.canvas.getBoundingClientRect();
    const width = Math.max(1, Math.round(box.width * ratio)), height = Math.max(1, Math.round(box.height * ratio));
    this.ratio = ratio;
    if (width === this.canvas.width && height === this.canvas.height) return;
    this.canvas.width = width; this.canvas.height = height;
    this.look(this.azimuth, this.elevation);
  }

  draw() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => { this.pending = false; this.paint(); });
  }

  aim() {
    const a = this.azimuth * Math.PI / 180, e = this.elevation * Math.PI / 180;
    const forward = [-Math.sin(a) * Math.cos(e), Math.cos(a) * Math.cos(e), -Math.sin(e)];
    const right = [Math.cos(a), Math.sin(a), 0];
    const up = [right[1] * forward[2] - right[2] * forward[1], right[2] * forward[0] - right[0] * forward[2],
      right[0] * forward[1] - right[1] * forward[0]];
    const { width, height } = this.canvas;
    this.focal = 1.5 * Math.min(width, height);
    const distance = this.fitted / this.zoom;
    this.distance = distance;
    this.axes = { right, up, forward };
    this.eye = this.target.map((c, k) => c - forward[k] * distance);
  }

  // World point to [x px, y px, depth m].
  project(x, y, z) {
    const { right, up, forward } = this.axes, [ex, ey, ez] = this.eye;
    const dx = x - ex, dy = y - ey, dz = z - ez;
    const depth = dx * forward[0] + dy * forward[1] + dz * forward[2];
    const scale = this.focal / Math.max(depth, .05);
    return [this.canvas.width / 2 + scale * (dx * right[0] + dy * right[1] + dz * right[2]),
      this.canvas.height / 2 - scale * (dx * up[0] + dy * up[1] + dz * up[2]), depth];
  }

  paint() {
    this.aim();
    const { pen, canvas } = this, ground = pen.createLinearGradient(0, 0, 0, canvas.height);
    ground.addColorStop(0, "#2b3038"); ground.addColorStop(1, "#14161a");
    pen.globalAlpha = 1;
    pen.fillStyle = ground;
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.lineCap = pen.lineJoin = "round";
    this.paintFloor();
    const here = this.people.filter(p => p.shown).map(p => ({ person: p, pose: p.at(this.frame) })).filter(p => p.pose);
    for (const { person } of here) this.paintTrail(person);
    for (const { pose } of here) this.paintShadow(pose);
    this.paintBodies(here);
    for (const { person, pose } of here) this.paintTag(person, pose);
    if (!here.length) {
      pen.fillStyle = "#a3adba"; pen.textAlign = "center"; pen.textBaseline = "middle";
      pen.font = `${15 * this.ratio}px system-ui, sans-serif`;
      pen.fillText("nobody in this frame", canvas.width / 2, canvas.height - 30 * this.ratio);
    }
  }

  paintFloor() {
    const { centre, radius_m } = this.data.scene, step = this.step, { pen } = this;
    const reach = Math.ceil((radius_m * 1.6 + step) / step) * step;
    const middle = centre.map(c => Math.round(c / step) * step);
    pen.lineWidth = this.ratio;
    for (let k = -reach; k <= reach + 1e-9; k += step) {
      for (const along of [0, 1]) {
        // in short pieces: far ones fade, and those behind the eye are left out
        const pieces = 16;
        let from = null;
        for (let i = 0; i <= pieces; i++) {
          const t = -reach + 2 * reach * i / pieces;
          const to = along ? this.project(middle[0] + k, middle[1] + t, 0) : this.project(middle[0] + t, middle[1] + k, 0);
          const fade = .42 * Math.exp(-Math.pow(Math.hypot(k, t) / reach * 1.25, 4));
          if (from && from[2] > .1 && to[2] > .1 && fade > .01) {
            pen.strokeStyle = `rgba(142,154,172,${fade})`;
            pen.beginPath(); pen.moveTo(from[0], from[1]); pen.lineTo(to[0], to[1]); pen.stroke();
          }
          from = to;
        }
      }
    }
  }

  // Where the pelvis was in the last two seconds, on the floor.
  paintTrail(person) {
    const { pen } = this;
    pen.strokeStyle = person.color; pen.lineWidth = 2 * this.ratio; pen.globalAlpha = .55;
    pen.beginPath();
    let on = false;
    for (let f = Math.max(person.first, this.frame - Math.round(2 * this.data.fps)); f <= this.frame; f++) {
      const pose = person.at(f), at = pose && this.project(pose.joints[0], pose.joints[1], 0);
      if (at && at[2] > .1) on ? pen.lineTo(at[0], at[1]) : pen.moveTo(at[0], at[1]);
      on = Boolean(at && at[2] > .1);
    }
    pen.stroke();
    pen.globalAlpha = 1;
  }

  // All limbs in one stroke: where they overlap the shadow is no darker.
  paintShadow(pose) {
    const { pen } = this, j = pose.joints, at = k => this.project(j[3 * k], j[3 * k + 1], 0);
    const middle = at(0)[2];
    if (middle < .3) return;
    pen.strokeStyle = "rgba(0,0,0,.4)"; pen.lineWidth = .11 * this.focal / middle;
    pen.beginPath();
    for (const { a, b } of this.limbs) {
      const p = at(a), q = at(b);
      if (!(p[2] > .1 && q[2] > .1)) continue; // behind the eye, or not known
      pen.moveTo(p[0], p[1]); pen.lineTo(q[0], q[1] + .01);
    }
    pen.stroke();
  }

  paintBodies(here) {
    const { pen } = this, parts = [];
    for (const { person, pose } of here) {
      const j = pose.joints;
      const alpha = (...joints) => SHARE[Math.min(...joints.map(k => pose.states[k]), pose.seen ? 2 : 1)];
      const at = joint => this.project(j[3 * joint], j[3 * joint + 1], j[3 * joint + 2]);
      for (const { a, b, side, radius } of this.limbs) {
        if (this.head.includes(b)) continue; // the head is a ball
        parts.push({ p: at(a), q: at(b), radius, alpha: alpha(a, b),
          color: side === "middle" ? person.color : this.data.sides[side] });
      }
      const [nose, top] = this.head, neck = at(this.limbs.find(l => l.b === nose).a);
      const mid = [0, 1, 2].map(k => .45 * j[3 * nose + k] + .55 * j[3 * top + k]), ball = this.project(...mid);
      parts.push({ p: neck, q: ball, radius: .045, alpha: alpha(nose, top), color: person.color });
      parts.push({ p: ball, q: ball, radius: .105, ahead: .1, alpha: alpha(nose, top), color: person.color });
      parts.push({ p: ball, q: at(nose), radius: .05, ahead: .12, bare: true, alpha: alpha(nose, top),
        color: person.color });
    }
    // the head's ball lies over the neck that ends in it
    const depth = part => (part.p[2] + part.q[2]) / 2 - (part.ahead || 0);
    const drawn = parts.filter(({ p, q }) => p[2] > .1 && q[2] > .1); // not behind the eye, and known
    drawn.sort((x, y) => depth(y) - depth(x));
    for (const { p, q, radius, alpha, color, bare } of drawn) {
      const width = Math.max(1.5 * this.ratio, 2 * radius * this.focal / ((p[2] + q[2]) / 2));
      const line = (w, style, shift) => {
        pen.strokeStyle = style; pen.lineWidth = w;
        pen.beginPath(); pen.moveTo(p[0] - shift, p[1] - shift); pen.lineTo(q[0] - shift + .01, q[1] - shift); pen.stroke();
      };
      pen.globalAlpha = alpha;
      if (!bare) line(width + 2.5 * this.ratio, "#0e1013", 0);
      line(width, color, 0);
      pen.globalAlpha = alpha * .28;
      line(width * .35, "#ffffff", width * .16);
    }
    pen.globalAlpha = 1;
  }

  paintTag(person, pose) {
    const { pen, ratio } = this, top = this.head[1], j = pose.joints;
    const [x, y, depth] = this.project(j[3 * top], j[3 * top + 1], j[3 * top + 2] + .16);
    if (depth < .1) return;
    const text = `#${person.id}`, size = 13 * ratio;
    pen.font = `700 ${size}px system-ui, sans-serif`;
    const width = pen.measureText(text).width + 12 * ratio, height = size * 1.5;
    pen.globalAlpha = pose.seen ? 1 : .6;
    pen.fillStyle = person.color;
    pen.beginPath();
    pen.roundRect(x - width / 2, y - height, width, height, height / 2);
    pen.fill();
    pen.fillStyle = "#0e1013"; pen.textAlign = "center"; pen.textBaseline = "middle";
    pen.fillText(text, x, y - height / 2 + ratio);
    pen.globalAlpha = 1;
  }

  turn(right, up) {
    this.azimuth = (this.azimuth + right) % 360;
    this.elevation = Math.max(-20, Math.min(89, this.elevation + up));
    this.draw();
  }

  nearer(factor) {
    this.zoom = Math.max(.2, Math.min(12, this.zoom * factor));
    this.draw();
  }

  // Moves what is looked at so that the picture follows a finger over dx, dy pixels of the canvas.
  move(dx, dy) {
    const metres = this.distance / this.focal, { right, up } = this.axes;
    this.target = this.target.map((c, k) => c - metres * (dx * right[k] - dy * up[k]));
    this.draw();
  }

  listen() {
    const { canvas, turning } = this;
    canvas.addEventListener("contextmenu", event => event.preventDefault());
    canvas.addEventListener("pointerdown", event => {
      canvas.setPointerCapture(event.pointerId);
      turning.set(event.pointerId, [event.clientX, event.clientY]);
    });
    const end = event => turning.delete(event.pointerId);
    for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) canvas.addEventListener(name, end);
    canvas.addEventListener("pointermove", event => {
      const before = turning.get(event.pointerId);
      if (!before) return;
      const now = [event.clientX, event.clientY], dx = now[0] - before[0], dy = now[1] - before[1];
      if (turning.size === 2) {
        const other = [...turning].find(([id]) => id !== event.pointerId)[1];
        const span = p => Math.max(1, Math.hypot(p[0] - other[0], p[1] - other[1]));
        this.nearer(span(now) / span(before));
        this.move(dx / 2 * this.ratio, dy / 2 * this.ratio);
      } else if (event.buttons === 2 || event.shiftKey) {
        this.move(dx * this.ratio, dy * this.ratio);
      } else if (turning.size === 1) {
        this.turn(-dx * .4, dy * .3);
      }
      turning.set(event.pointerId, now);
    });
    canvas.addEventListener("wheel", event => {
      if (document.activeElement !== canvas && !event.ctrlKey) return; // the page scrolls until the view is chosen
      event.preventDefault();
      this.nearer(Math.exp(-event.deltaY * (event.deltaMode ? .05 : .0015)));
    }, { passive: false });
    canvas.addEventListener("keydown", event => {
      const keys = { ArrowLeft: () => this.turn(5, 0), ArrowRight: () => this.turn(-5, 0), ArrowUp: () => this.turn(0, 4),
        ArrowDown: () => this.turn(0, -4), "+": () => this.nearer(1.15), "=": () => this.nearer(1.15),
        "-": () => this.nearer(1 / 1.15), "0": () => this.reset() };
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      keys[event.key]();
    });
  }
}
