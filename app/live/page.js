"use strict";
// The live page: people drawn from the WebSocket as they come; the picture alone where that cannot be had.

const COLORS = { left: "#ff9550", right: "#4fa3ff", middle: "#d5dae3" };
const TRACKS = ["#7fdb8b", "#f07fc0", "#ffd75e", "#5fdfe3", "#b79cff", "#ff7a7a", "#c5e36a", "#e8b98a", "#8fb8a8", "#d0a8d8"];
// A joint found in 2D with at least this score was seen; others are drawn as inferred.
const SEEN = .3;
// Frames that are kept: as many as trails on the floor show, and somewhat more.
const KEPT = 200;
// Somebody unseen for so many frames has no button any more.
const GONE = 300;
// The floor is framed anew when somebody comes so near to its edge, with so much room around them, metres.
const EDGE = .3, ROOM = 1.2;

const byId = id => document.getElementById(id);
const query = location.search;
let about = null, view = null, number = -1, held = false, misses = 0, delay = 0, period = 0, came = 0, newest = null, told = 0;
const people = [];

// One person as the view asks for them: poses by number.
class Person {
  constructor(id) {
    Object.assign(this, { id, color: TRACKS[(id - 1) % TRACKS.length], first: 0, seen: [], shown: true, poses: new Map(), last: 0 });
    this.button = document.createElement("button");
    this.button.type = "button";
    this.button.textContent = `#${id}`;
    this.button.style.background = this.color;
    this.button.setAttribute("aria-pressed", "true");
    this.button.setAttribute("aria-label", `Person ${id}`);
    this.button.addEventListener("click", () => {
      this.shown = !this.shown;
      this.button.setAttribute("aria-pressed", String(this.shown));
      view.draw();
    });
    byId("people").append(this.button);
  }

  add(at, { joints, score, observed }) {
    this.poses.set(at, {
      // what is left out is not a number, and the view leaves it out
      joints: joints.flatMap(place => place || [NaN, NaN, NaN]),
      states: joints.map((_, k) => k < score.length && score[k] < SEEN ? 1 : 2),
      seen: observed,
    });
    this.first = Math.max(0, at - KEPT);
    this.last = at;
    for (const old of this.poses.keys()) {
      if (old >= this.first) break;
      this.poses.delete(old);
    }
  }

  at(frame) {
    return this.poses.get(frame) || null;
  }
}

function begin(message) {
  about = message;
  const scene = { centre: [0, 2], radius_m: 1.5, top_m: 2 };
  while (people.length) people.pop().button.remove();
  number = -1;
  if (view) {
    Object.assign(view.data, { fps: message.fps });
    return;
  }
  view = new View(byId("view"), { joints: message.joints, edges: message.edges, sides: COLORS, fps: message.fps, scene }, people);
  view.framed = false;
}

// Everybody who is there must stand on the floor that is shown; it changes only when somebody leaves it.
function frame(places) {
  if (!places.length) return;
  const scene = view.data.scene, { centre } = scene;
  const away = Math.max(...places.map(([x, y]) => Math.hypot(x - centre[0], y - centre[1])));
  if (view.framed && away < scene.radius_m - EDGE) return;
  const low = [0, 1].map(k => Math.min(...places.map(p => p[k]))), high = [0, 1].map(k => Math.max(...places.map(p => p[k])));
  scene.centre = [0, 1].map(k => (low[k] + high[k]) / 2);
  scene.radius_m = Math.hypot(high[0] - low[0], high[1] - low[1]) / 2 + ROOM;
  view.framed = true;
  view.points = null;
  const zoom = view.zoom;
  view.look(view.azimuth, view.elevation);
  view.zoom = zoom;
}

function motion(message) {
  const now = performance.now();
  if (came) period += (period ? .05 : 1) * (now - came - period);
  came = now;
  delay += (delay ? .1 : 1) * (message.delay_ms - delay);
  if (number >= 0) misses += message.number - number - 1;
  number = message.number;
  newest = message;
  const places = [];
  for (const one of message.people) {
    let person = people.find(p => p.id === one.track_id);
    if (!person) people.push(person = new Person(one.track_id));
    person.add(number, one);
    places.push(one.joints[0]);
  }
  for (let i = people.length - 1; i >= 0; i--) {
    if (number - people[i].last > GONE) people.splice(i, 1)[0].button.remove();
  }
  if (!held) {
    frame(places);
    view.frame = number;
    view.draw();
  }
  if (now - told < 250) return;
  told = now;
  say(`${period ? (1000 / period).toFixed(0) : "–"} fps   ${delay.toFixed(0)} ms late${misses ? `   ${misses} skipped` : ""}${held ? "\nheld" : ""}`);
  if (!byId("angles").hidden && !held) tabulate();
}

function say(text) {
  byId("status").textContent = text;
}

// One row per angle, one column per person.
function tabulate() {
  const table = document.createElement("table"), head = table.insertRow();
  const cell = (row, kind, text) => row.appendChild(Object.assign(document.createElement(kind), { textContent: text }));
  cell(head, "th", "degrees");
  for (const { track_id } of newest.people) cell(head, "th", `#${track_id}`);
  for (const name of about.angles) {
    const row = table.insertRow();
    cell(row, "th", name.replaceAll("_", " "));
    for (const { angles } of newest.people) cell(row, "td", angles[name] === null ? "–" : angles[name].toFixed(0));
  }
  byId("angles").replaceChildren(table);
}

function video(on) {
  const picture = byId("picture");
  if (on) picture.src = `stream${query}`;
  else picture.removeAttribute("src");
  picture.hidden = !on;
  byId("video").setAttribute("aria-pressed", String(on));
}

function connect() {
  const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/motion${query}`);
  let spoke = false;
  socket.addEventListener("message", event => {
    const message = JSON.parse(event.data);
    if (message.type === "about") {
      begin(message);
      if (document.body.classList.replace("fallback", "in3d")) video(false);
      spoke = true;
    } else if (message.type === "motion") {
      motion(message);
    }
  });
  socket.addEventListener("close", event => {
    say(spoke ? `ended${event.reason ? `: ${event.reason}` : ""}; asking again` : "no 3D here: the picture alone");
    if (!spoke && !document.body.classList.contains("fallback")) {
      document.body.classList.add("fallback");
      video(true);
    }
    setTimeout(connect, 2000);
  });
}

byId("hold").addEventListener("click", event => {
  held = !held;
  event.currentTarget.setAttribute("aria-pressed", String(held));
});
byId("video").addEventListener("click", () => video(byId("picture").hidden));
byId("numbers").addEventListener("click", event => {
  const table = byId("angles");
  table.hidden = !table.hidden;
  event.currentTarget.setAttribute("aria-pressed", String(!table.hidden));
});
for (const button of document.querySelectorAll("[data-look]")) {
  button.addEventListener("click", () => view && view.look(...button.dataset.look.split(" ").map(Number)));
}
connect();
