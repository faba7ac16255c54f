"use strict";
// People as they come from the server, and the picture that their joints are dragged in.

// A joint is taken within so many pixels of a mouse, of a finger; the picture is enlarged so many times at most.
const MOUSE_PX = 14, FINGER_PX = 26, CLOSEST = 40;

// The index of the value that lies nearest to one, the first of those as near.
function nearest(values, to) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (Math.abs(values[i] - to) < Math.abs(values[best] - to)) best = i;
  return best;
}

// One person in 3D, as the view asks for them.
class Placed {
  constructor(told, color) {
    Object.assign(this, { id: told.id, color, first: told.first, shown: true });
    this.joints = new Float32Array(bytes(told.joints).buffer);
    this.seen = bytes(told.seen);
    this.states = bytes(told.states);
    this.size = this.joints.length / this.seen.length;
  }

  at(at) {
    const i = at - this.first;
    if (i < 0 || i >= this.seen.length || !this.seen[i]) return null;
    return { joints: this.joints.subarray(this.size * i, this.size * (i + 1)), seen: this.seen[i] === 2,
      states: this.states.subarray(this.size / 3 * i, this.size / 3 * (i + 1)) };
  }
}

// One person in 2D.
class Seen {
  constructor(packed) {
    Object.assign(this, { id: packed.id, color: packed.color });
    this.frames = new Int32Array(bytes(packed.frames).buffer);
    this.joints = new Float32Array(bytes(packed.joints).buffer);
    this.middles = new Float64Array(bytes(packed.middle_px).buffer);
    this.index = new Map(Array.from(this.frames, (f, i) => [f, i]));
  }

  at(at) {
    const i = this.index.get(at);
    return i === undefined ? null : this.joints.subarray(51 * i, 51 * (i + 1));
  }

  // Where joints that were not found in a frame can be taken from: as they lay in the nearest frame that shows them, or
  // at the middle. As `at`, with scores of those alone.
  missing(at) {
    const here = this.at(at), out = new Float32Array(51), i = this.index.get(at);
    for (let k = 0; here && k < 17; k++) {
      if (here[3 * k + 2] > 0) continue;
      let best = -1;
      for (let n = 0; n < this.frames.length; n++) {
        const nearer = best < 0 || Math.abs(this.frames[n] - at) < Math.abs(this.frames[best] - at);
        if (nearer && this.joints[51 * n + 3 * k + 2] > 0) best = n;
      }
      for (const axis of [0, 1]) {
        const away = best < 0 ? 0 : this.joints[51 * best + 3 * k + axis] - this.middles[2 * best + axis];
        out[3 * k + axis] = this.middles[2 * i + axis] + away;
      }
      out[3 * k + 2] = 1;
    }
    return out;
  }

  // Who they are, for a correction: by where they are in this frame, or in the nearest one that shows them.
  whose(at) {
    const best = nearest(this.frames, at);
    return { person: this.id, time_s: about.times[this.frames[best]], at_px: Array.from(this.middles.subarray(2 * best, 2 * best + 2)) };
  }
}

// The picture, and joints on it. Picture pixels times `scale` plus `left`, `top` are pixels of the canvas.
class Picture {
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.zoom = 1;
    this.middle = [about.width / 2, about.height / 2];
    this.fingers = new Map();
    this.drag = null;
    this.listen();
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
  }

  resize() {
    const ratio = window.devicePixelRatio || 1, box = this.canvas.getBoundingClientRect();
    this.ratio = ratio;
    this.canvas.width = Math.max(1, Math.round(box.width * ratio));
    this.canvas.height = Math.max(1, Math.round(box.height * ratio));
    this.draw();
  }

  aim() {
    const { width, height } = this.canvas;
    this.scale = this.zoom * Math.min(width / about.width, height / about.height);
    if (this.zoom === 1) this.middle = [about.width / 2, about.height / 2];
    this.left = width / 2 - this.scale * this.middle[0];
    this.top = height / 2 - this.scale * this.middle[1];
  }

  // Of a pointer, in pixels of the picture.
  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * this.ratio - this.left) / this.scale, ((event.clientY - box.top) * this.ratio - this.top) / this.scale];
  }

  nearer(factor, at = this.middle) {
    const before = this.zoom;
    this.zoom = Math.max(1, Math.min(CLOSEST, this.zoom * factor));
    // what lies under the pointer stays there
    const share = before / this.zoom;
    this.middle = this.middle.map((m, k) => at[k] + (m - at[k]) * share);
    this.draw();
  }

  // The joint next to a place, within reach: [person, joint, its place]; of those as near the chosen person's.
  hit(at, reach) {
    let best = null, least = reach * this.ratio / this.scale;
    for (const person of [...seen].sort((a, b) => (b.id === chosen) - (a.id === chosen))) {
      for (const joints of [person.at(frame), person.id === chosen ? person.missing(frame) : null]) {
        for (let k = 0; joints && k < 17; k++) {
          const place = [joints[3 * k], joints[3 * k + 1]];
          const away = Math.hypot(place[0] - at[0], place[1] - at[1]) + (person.id === chosen ? 0 : .3 * least);
          if (joints[3 * k + 2] > 0 && away < least) {
            best = [person, k, place];
            least = away;
          }
        }
      }
    }
    return best;
  }

  listen() {
    const { canvas, fingers } = this;
    canvas.addEventListener("pointerdown", event => {
      canvas.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, [event.clientX, event.clientY]);
      if (fingers.size > 1) { this.drag = null; return this.draw(); }
      const at = this.place(event), found = this.hit(at, event.pointerType === "mouse" ? MOUSE_PX : FINGER_PX);
      if (!found) return undefined;
      choose(found[0].id, found[1]);
      // held where it was taken, so that a finger does not make it leap
      const held = found[2].map((v, k) => v - at[k]);
      this.drag = { whose: found[0].whose(frame), joint: found[1], held, to: null };
      return undefined;
    });
    canvas.addEventListener("pointermove", event => {
      const before = fingers.get(event.pointerId);
      if (!before) {
        canvas.classList.toggle("joint", Boolean(this.hit(this.place(event), MOUSE_PX)));
        return;
      }
      const now = [event.clientX, event.clientY], [dx, dy] = [now[0] - before[0], now[1] - before[1]];
      if (fingers.size === 2) {
        const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
        const span = p => Math.max(1, Math.hypot(p[0] - other[0], p[1] - other[1]));
        this.nearer(span(now) / span(before), this.place(event));
      } else if (this.drag) {
        if (!this.drag.to && Math.hypot(dx, dy) < 3) return;
        this.drag.to = this.place(event).map((v, k) => v + this.drag.held[k]);
      } else if (this.zoom > 1) {
        this.middle = [this.middle[0] - dx * this.ratio / this.scale, this.middle[1] - dy * this.ratio / this.scale];
      }
      fingers.set(event.pointerId, now);
      this.draw();
    });
    const end = event => {
      fingers.delete(event.pointerId);
      const drag = this.drag;
      this.drag = null;
      if (drag && drag.to && event.type === "pointerup") {
        const to_px = drag.to.map(v => Math.round(v * 100) / 100);
        // it stays where it was let go while the answer is under way
        seen.find(person => person.id === drag.whose.person).at(frame).set([...drag.to, 1], 3 * drag.joint);
        correct({ kind: "move_joint", whose: drag.whose, joint: about.joints[drag.joint], to_px, spread_s: Number(byId("spread").value) });
      }
      this.draw();
    };
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, end);
    canvas.addEventListener("wheel", event => {
      event.preventDefault();
      this.nearer(Math.exp(-event.deltaY * (event.deltaMode ? .05 : .0015)), this.place(event));
    }, { passive: false });
  }

  draw() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => { this.pending = false; this.paint(); });
  }

  paint() {
    this.aim();
    const { pen, canvas, scale, left, top } = this;
    pen.globalAlpha = 1;
    pen.fillStyle = "#14161a";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    const image = pictures.get(frame);
    if (image && image.complete && image.naturalWidth) pen.drawImage(image, left, top, scale * about.width, scale * about.height);
    if (!state) return;
    for (const person of seen) if (person.id !== chosen) this.paintPerson(person);
    for (const person of seen) if (person.id === chosen) this.paintPerson(person);
  }

  paintPerson(person) {
    const found = person.at(frame);
    if (!found) return;
    const { pen, ratio, drag } = this, mine = person.id === chosen, joints = Float32Array.from(found);
    if (mine && drag && drag.to) joints.set([...drag.to, 1], 3 * drag.joint);
    const at = k => [this.left + this.scale * joints[3 * k], this.top + this.scale * joints[3 * k + 1]];
    pen.globalAlpha = mine ? 1 : .55;
    pen.lineCap = pen.lineJoin = "round";
    for (const [a, b, side] of about.edges) {
      if (!(joints[3 * a + 2] > 0 && joints[3 * b + 2] > 0)) continue;
      for (const [width, style] of [[(mine ? 5 : 3.5), "#0e1013"], [(mine ? 3 : 2), side === "middle" ? person.color : about.sides[side]]]) {
        pen.lineWidth = width * ratio; pen.strokeStyle = style;
        pen.beginPath(); pen.moveTo(...at(a)); pen.lineTo(...at(b)); pen.stroke();
      }
    }
    let highest = null;
    for (let k = 0; k < 17; k++) {
      if (!(joints[3 * k + 2] > 0)) continue;
      const [x, y] = at(k), big = mine && k === joint;
      if (!highest || y < highest[1]) highest = [x, y];
      pen.beginPath(); pen.arc(x, y, (big ? 7 : mine ? 4.5 : 3) * ratio, 0, 7);
      pen.fillStyle = big ? "#ffffff" : person.color; pen.fill();
      pen.lineWidth = 1.5 * ratio; pen.strokeStyle = "#0e1013"; pen.stroke();
    }
    if (mine) this.paintMissing(person);
    if (!highest) return;
    pen.font = `700 ${13 * ratio}px system-ui, sans-serif`;
    pen.textAlign = "center"; pen.textBaseline = "bottom";
    pen.lineWidth = 4 * ratio; pen.strokeStyle = "#0e1013"; pen.fillStyle = person.color;
    pen.strokeText(`#${person.id}`, highest[0], highest[1] - 10 * ratio);
    pen.fillText(`#${person.id}`, highest[0], highest[1] - 10 * ratio);
    pen.globalAlpha = 1;
  }
  // Rings of joints that were not found: they can be dragged to where they are.
  paintMissing(person) {
    const { pen, ratio, drag } = this, joints = person.missing(frame);
    pen.setLineDash([3 * ratio, 3 * ratio]);
    for (let k = 0; k < 17; k++) {
      if (!joints[3 * k + 2] || (drag && drag.to && drag.joint === k)) continue;
      const x = this.left + this.scale * joints[3 * k], y = this.top + this.scale * joints[3 * k + 1];
      for (const [width, style] of [[4, "#0e1013"], [2, k === joint ? "#ffffff" : person.color]]) {
        pen.lineWidth = width * ratio; pen.strokeStyle = style;
        pen.beginPath(); pen.arc(x, y, 6 * ratio, 0, 7); pen.stroke();
      }
    }
    pen.setLineDash([]);
  }
}
