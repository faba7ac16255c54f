"use strict";
// Corrections by hand: what is done here is sent, and what it comes to in 2D and 3D comes back.

const byId = id => document.getElementById(id);
// Pictures that are kept, and fetched ahead.
const KEPT = 60, AHEAD = 4;
const plain = name => name.replaceAll("_", " ");

let about = null, state = null, view = null, busy = false;
let frame = 0, chosen = 0, joint = null, playing = 0;
let stretch = null; // [first, last] frame that was marked, or null: this frame
let seen = [], people = [], corrected = []; // the last: frames of corrections
const pictures = new Map();

async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  const answer = await fetch(path + location.search, options);
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer.json();
}

function say(text, bad = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("bad", bad);
}

let picture = null;

function image(at) {
  if (at < 0 || at >= about.times.length || pictures.has(at)) return;
  const made = new Image();
  made.addEventListener("load", () => { if (at === frame) picture.draw(); });
  made.addEventListener("error", () => pictures.delete(at));
  made.src = `frame/${at}.jpg${location.search}`;
  pictures.set(at, made);
  for (const old of pictures.keys()) {
    if (pictures.size <= KEPT) break;
    if (Math.abs(old - frame) > AHEAD) pictures.delete(old);
  }
}

function show(at) {
  frame = Math.max(0, Math.min(about.times.length - 1, at));
  image(frame);
  for (let k = 1; k <= AHEAD; k++) image(frame + k);
  image(frame - 1);
  view.frame = frame;
  view.draw();
  picture.draw();
  const last = about.times[about.times.length - 1], told = `${about.times[frame].toFixed(2)} s of ${last.toFixed(2)} s, frame ${frame}`;
  byId("scrub").value = frame;
  byId("scrub").setAttribute("aria-valuetext", told);
  byId("clock").textContent = told;
  tell();
}

const mine = () => seen.find(person => person.id === chosen) || null;
const shot = () => about.shots.findIndex(([from, to]) => from <= frame && frame < to);
const span = () => stretch || [frame, frame];
const seconds = () => { const [a, b] = span(); return { from_s: about.times[a], to_s: about.times[b] }; };

function choose(id, which = null) {
  chosen = id;
  joint = which;
  for (const button of byId("others").children) button.hidden = Number(button.dataset.id) === chosen;
  tell();
  picture.draw();
}

// Buttons and lines say what they would do now.
function tell() {
  const person = mine(), here = person && person.at(frame), [a, b] = span();
  const when = a === b ? `frame ${a}, ${about.times[a].toFixed(2)} s` : `${about.times[a].toFixed(2)} s to ${about.times[b].toFixed(2)} s`;
  byId("stretch").textContent = stretch ? `Exchanging, deleting and “not seen” count from ${when}.` : `Exchanging, deleting and “not seen” count for this frame alone (${when}).`;
  for (const button of byId("people").children) {
    const one = seen.find(p => p.id === Number(button.dataset.id));
    button.setAttribute("aria-pressed", String(one.id === chosen));
    button.classList.toggle("away", !one.at(frame));
  }
  byId("who").textContent = !person ? "Nobody was found in this video." : here ? `#${chosen} is chosen.` : `#${chosen} is chosen, and not seen in this frame.`;
  byId("joint").textContent = joint === null || !here ? "Take a joint in the picture." : `#${chosen}, ${plain(about.joints[joint])}.`;
  byId("hide_joint").disabled = busy || joint === null || !person;
  for (const id of ["exchange_sides", "delete_person"]) byId(id).disabled = busy || !person;
  for (const id of ["left_foot", "right_foot"]) byId(id).disabled = busy || !here;
  for (const button of byId("others").children) button.disabled = busy;
  byId("upright").disabled = busy;
  byId("undo").disabled = busy || !state.can_undo;
  byId("redo").disabled = busy || !state.can_redo;
  byId("save").disabled = busy || !state.unsaved;
  const camera = state.cameras[shot()];
  for (const [k, id] of ["pitch", "roll"].entries()) {
    if (camera && document.activeElement !== byId(id)) byId(id).value = (Math.round(10 * camera[k]) / 10 || 0).toFixed(1); // no minus before 0
  }
  mark();
}

function mark() {
  const most = Math.max(1, about.times.length - 1), parts = [];
  const add = (from, to, kind) => {
    const one = document.createElement("i");
    one.style.left = `${100 * from / most}%`;
    if (kind) { one.className = kind; one.style.width = `${100 * (to - from) / most}%`; }
    parts.push(one);
  };
  if (stretch) add(...stretch, "stretch");
  for (const at of corrected) add(at);
  byId("marks").replaceChildren(...parts);
}

// Takes over what corrections have come to.
function take(fresh) {
  state = fresh;
  seen = fresh.seen.map(packed => new Seen(packed));
  people = fresh.people.map(told => new Placed(told, seen.find(person => person.id === told.id).color));
  const { joints_3d: joints, edges_3d: edges, sides, fps } = about, data = { joints, edges, sides, fps, scene: fresh.scene };
  if (!view) view = new View(byId("view"), data, people);
  Object.assign(view, { data, people, points: null });
  if (!mine()) { chosen = seen.length ? seen[0].id : 0; joint = null; }
  byId("people").replaceChildren(...seen.map(({ id, color }) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: `#${id}` });
    button.dataset.id = id;
    button.style.background = color;
    button.setAttribute("aria-label", `Person ${id}`);
    button.addEventListener("click", () => choose(id));
    return button;
  }));
  byId("others").replaceChildren();
  for (const { id } of seen) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: `Exchange with #${id}` });
    button.dataset.id = id;
    button.addEventListener("click", () => exchange(id));
    byId("others").append(button);
  }
  corrected = fresh.corrections.map(({ time_s }) => nearest(about.times, time_s));
  byId("corrections").replaceChildren(...fresh.corrections.map(({ told }, i) => {
    const item = document.createElement("li"), button = Object.assign(document.createElement("button"), { type: "button", textContent: told });
    button.addEventListener("click", () => show(corrected[i]));
    item.append(button);
    return item;
  }));
  byId("none").hidden = fresh.corrections.length > 0;
  choose(chosen, joint);
  show(frame);
}

// Changes go one after the other: what is done while another is under way waits for it.
let waiting = 0, last = Promise.resolve(), sent = 0;

function change(path, body) {
  waiting++;
  busy = true;
  tell();
  last = last.then(() => send(path, body)).finally(() => {
    busy = --waiting > 0;
    tell();
  });
}

async function send(path, body) {
  say("lifting again");
  const begun = performance.now(), number = ++sent;
  try {
    const fresh = await ask(path, body);
    take(fresh);
    // of a long take people are shown where they stood, until they are placed anew
    if (fresh.provisional) ask("state").then(settled => { if (number === sent) take(settled); }, () => {});
    const windows = fresh.windows ? `${fresh.windows} window${fresh.windows === 1 ? "" : "s"} lifted again` : "nothing had to be lifted again";
    say(fresh.note || [`${windows}, ${Math.round(performance.now() - begun)} ms`, ...fresh.problems].join(". "), fresh.problems.length > 0);
  } catch (error) {
    const gone = error instanceof TypeError;
    if (!gone) await ask("state").then(take, () => {}); // what was shown before the answer may be wrong
    say(gone ? "The command that serves this page has ended; corrections made so far are kept." : error.message, true);
  }
}

const correct = correction => change("correct", correction);
const whose = () => mine().whose(frame);
const exchangeSides = () => mine() && correct({ kind: "exchange_sides", whose: whose(), ...seconds() });
const exchange = id => correct({ kind: "exchange_people", whose: whose(), other: seen.find(p => p.id === id).whose(frame), ...seconds() });
const deletePerson = () => mine() && correct({ kind: "delete_person", whose: whose(), ...seconds() });
const hideJoint = () => mine() && joint !== null && correct({ kind: "hide_joint", whose: whose(), joint: about.joints[joint], ...seconds() });
const stands = foot => correct({ kind: "foot_on_floor", whose: whose(), foot });

function begin() { stretch = [frame, stretch ? Math.max(frame, stretch[1]) : about.times.length - 1]; tell(); }
function end() { stretch = [stretch ? Math.min(frame, stretch[0]) : 0, frame]; tell(); }

function play(on) {
  clearInterval(playing);
  playing = on ? setInterval(() => {
    const next = frame + 1 < about.times.length ? frame + 1 : 0, ready = pictures.get(next);
    // a picture that is still under way is waited for
    if (ready && ready.complete) show(next); else image(next);
  }, 1000 / about.fps) : 0;
  byId("play").setAttribute("aria-pressed", String(on));
  byId("play").textContent = on ? "Pause" : "Play";
}

function listen() {
  const click = (id, act) => byId(id).addEventListener("click", act);
  click("undo", () => change("undo", {}));
  click("redo", () => change("redo", {}));
  click("save", () => change("save", {}));
  click("play", () => play(!playing));
  click("back", () => show(frame - 1));
  click("forth", () => show(frame + 1));
  click("closer", () => picture.nearer(1.5));
  click("farther", () => picture.nearer(1 / 1.5));
  click("whole", () => picture.nearer(0));
  click("from", begin);
  click("to", end);
  click("all", () => { stretch = [0, about.times.length - 1]; tell(); });
  click("now", () => { stretch = null; tell(); });
  click("exchange_sides", exchangeSides);
  click("delete_person", deletePerson);
  click("hide_joint", hideJoint);
  click("left_foot", () => stands("left"));
  click("right_foot", () => stands("right"));
  click("upright", () => correct({ kind: "camera_upright", time_s: about.times[frame], pitch_deg: Number(byId("pitch").value), roll_deg: Number(byId("roll").value) }));
  byId("scrub").addEventListener("input", event => show(Number(event.target.value)));
  for (const button of document.querySelectorAll("[data-look]")) {
    button.addEventListener("click", () => view.look(...button.dataset.look.split(" ").map(Number)));
  }
  document.addEventListener("keydown", event => {
    if (event.defaultPrevented || event.altKey || /^(INPUT|SELECT)$/.test(event.target.tagName)) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key, command = event.ctrlKey || event.metaKey;
    const step = event.shiftKey ? 10 : 1;
    const two = seen.filter(person => person.id !== chosen);
    const keys = command ? { z: () => change(event.shiftKey ? "redo" : "undo", {}), y: () => change("redo", {}), s: () => change("save", {}) } : {
      ArrowLeft: () => show(frame - step), ArrowRight: () => show(frame + step), Home: () => show(0), End: () => show(Infinity),
      " ": () => play(!playing), i: begin, o: end, Escape: () => { stretch = null; tell(); }, s: exchangeSides, h: hideJoint,
      x: () => two.length === 1 ? exchange(two[0].id) : say("Choose whom to exchange with.", true), Delete: deletePerson, Backspace: deletePerson };
    if (!keys[key] || (key === " " && event.target.tagName === "BUTTON")) return;
    event.preventDefault();
    keys[key]();
  });
  addEventListener("beforeunload", event => { if (state.unsaved) event.preventDefault(); });
}

async function open() {
  about = await ask("about");
  byId("title").textContent = `Corrections of ${about.video}`;
  document.title = `${about.video} – corrections`;
  byId("scrub").max = about.times.length - 1;
  const fresh = await ask("state");
  picture = new Picture(byId("picture"));
  take(fresh);
  listen();
  say(fresh.problems.join(" ") || "Drag a joint to where it is.", fresh.problems.length > 0);
}

open().catch(error => say(error.message, true));
