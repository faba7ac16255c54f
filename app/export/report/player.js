// Time: the video's where there is one and as far as it goes, otherwise a clock of the page's own.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = id => document.getElementById(id);
const times = new Float64Array(bytes(data.times).buffer);
const last = times.length - 1;
const duration = times[last] + 1 / data.fps;

class Person {
  constructor(packed) {
    Object.assign(this, { id: packed.id, color: packed.color, first: packed.first, unit: packed.unit_m, shown: true });
    this.packed = new Int16Array(bytes(packed.joints).buffer);
    this.seen = bytes(packed.seen);
    this.states = bytes(packed.states);
    this.angles = {};
    for (const [name, text] of Object.entries(packed.angles)) this.angles[name] = new Int16Array(bytes(text).buffer);
  }

  // The pose in a frame, {joints: metres, heels and toes last, seen, states: 2 seen, 1 inferred, 0 unknown}, or null.
  at(frame) {
    const i = frame - this.first;
    if (i < 0 || i >= this.seen.length || !this.seen[i]) return null;
    const n = 3 * data.joints.length, here = this.packed.subarray(n * i, n * i + n);
    return { joints: Array.from(here, v => v === MISSING ? NaN : v * this.unit), seen: this.seen[i] === 2,
      states: this.states.subarray(n / 3 * i, n / 3 * (i + 1)) };
  }

  // An angle in a frame, degrees, or null.
  angle(name, frame) {
    const value = this.angles[name][frame - this.first];
    return value === undefined || value === MISSING ? null : value / 10;
  }
}

const people = data.people.map(packed => new Person(packed));
const view = new View(byId("view"), data, people);
let video = byId("render");
let frame = -1, now = 0, playing = false, started = 0, startedAt = 0;

function frameAt(seconds) {
  let low = 0, high = last;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    // players give times in whole microseconds
    times[middle] <= seconds + 1e-4 ? low = middle : high = middle - 1;
  }
  return low;
}

const written = video ? Number(video.dataset.frames) : 0;
const videoEnd = written > last ? duration : written ? times[written] : 0;
const speed = () => Number(byId("speed").value);
const usesVideo = seconds => video && seconds < videoEnd - 1e-6;

function show(seconds) {
  now = Math.max(0, Math.min(seconds, duration));
  const next = frameAt(now);
  if (next === frame) return;
  view.frame = frame = next;
  view.draw();
  const told = `${times[frame].toFixed(2)} s of ${duration.toFixed(2)} s, frame ${frame}`;
  byId("scrub").value = frame;
  byId("scrub").setAttribute("aria-valuetext", told);
  byId("clock").textContent = told;
  for (const plot of plots) plot.update();
}

function seek(toFrame) {
  const f = Math.max(0, Math.min(last, toFrame));
  // the middle of a frame's time is surely within it
  const seconds = f < last ? times[f] + (times[f + 1] - times[f]) / 2 : times[f] + .5 / data.fps;
  if (video) {
    if (!usesVideo(seconds)) video.pause();
    video.currentTime = Math.min(seconds, videoEnd);
  }
  show(seconds);
  begin();
}

function begin() {
  started = performance.now();
  startedAt = now;
  if (!playing || !usesVideo(now)) return;
  video.playbackRate = speed();
  if (video.paused) video.play().catch(() => { if (video) stop(); });
}

function play() {
  playing = true;
  if (frame === last) { now = 0; if (video) video.currentTime = 0; }
  begin();
  label();
  requestAnimationFrame(tick);
}

function stop() {
  playing = false;
  if (video) video.pause();
  label();
}

function label() {
  byId("play").textContent = playing ? "Pause" : "Play";
  byId("play").setAttribute("aria-pressed", String(playing));
}

function tick() {
  if (!playing) return;
  const byVideo = usesVideo(now) && !video.ended;
  let seconds = byVideo ? video.currentTime : startedAt + (performance.now() - started) / 1000 * speed();
  if (!byVideo && video && startedAt < videoEnd) { // the video has just ended before the motion
    startedAt = seconds = videoEnd; started = performance.now();
  }
  if (seconds >= duration - 1e-6) {
    show(duration);
    if (!byId("loop").checked) { stop(); return; }
    seek(0);
  } else {
    show(seconds);
  }
  requestAnimationFrame(tick);
}

function toggle() { playing ? stop() : play(); }

if (video) {
  const packed = byId("video-data");
  if (packed) {
    video.src = URL.createObjectURL(new Blob([bytes(packed.textContent)], { type: "video/mp4" }));
    packed.remove();
  }
  // its own controls and ours are one
  video.addEventListener("play", () => { if (!playing) play(); });
  video.addEventListener("pause", () => { if (playing && usesVideo(now) && !video.ended) stop(); });
  video.addEventListener("seeked", () => { if (!playing && usesVideo(now)) show(video.currentTime); });
  video.addEventListener("error", () => {
    byId("render-note").textContent = "The video cannot be played here; the 3D view has a clock of its own.";
    video.hidden = true;
    video = null;
    begin();
  });
}

byId("scrub").max = last;
byId("scrub").addEventListener("input", event => seek(Number(event.target.value)));
byId("play").addEventListener("click", toggle);
byId("back").addEventListener("click", () => { stop(); seek(frame - 1); });
byId("next").addEventListener("click", () => { stop(); seek(frame + 1); });
byId("speed").addEventListener("change", () => { if (video) video.playbackRate = speed(); begin(); });
for (const button of document.querySelectorAll("[data-seek]")) {
  button.addEventListener("click", () => { stop(); seek(frameAt(Number(button.dataset.seek))); byId("view").scrollIntoView({ block: "nearest" }); });
}
for (const button of document.querySelectorAll("[data-view]")) {
  button.addEventListener("click", () => view.look(...button.dataset.view.split(",").map(Number)));
}
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (/^(INPUT|SELECT|BUTTON|SUMMARY|VIDEO)$/.test(event.target.tagName)) return;
  const keys = { " ": toggle, ",": () => { stop(); seek(frame - 1); }, ".": () => { stop(); seek(frame + 1); },
    Home: () => seek(0), End: () => seek(last) };
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});

for (const person of people) {
  const label = document.createElement("label"), box = document.createElement("input"), chip = document.createElement("span");
  box.type = "checkbox"; box.checked = true;
  box.addEventListener("change", () => { person.shown = box.checked; view.draw(); });
  chip.className = "chip"; chip.style.background = person.color; chip.textContent = `#${person.id}`;
  label.append(box, chip);
  byId("people").append(label);
}
byId("scale").textContent = `Floor grid: ${view.step} m`;

// Plots: a line at the time shown, the angle there, and a click goes there.
class Plot {
  constructor(figure) {
    this.person = people.find(p => p.id === Number(figure.dataset.person));
    this.series = data.angles[Number(figure.dataset.angle)].series;
    this.told = figure.querySelector("output");
    const area = figure.querySelector(".plot");
    [this.left, this.bottom, this.width, this.height] = area.dataset.box.split(",").map(Number);
    this.until = Number(area.dataset.until);
    this.line = document.createElement("span");
    this.line.className = "now";
    this.line.style.bottom = `${100 * this.bottom}%`;
    this.line.style.height = `${100 * this.height}%`;
    area.append(this.line);
    area.addEventListener("click", event => {
      const box = area.getBoundingClientRect(), share = ((event.clientX - box.left) / box.width - this.left) / this.width;
      seek(frameAt(share * this.until));
    });
  }

  update() {
    this.line.style.left = `${100 * (this.left + this.width * times[frame] / this.until)}%`;
    const text = this.series.map(name => {
      const value = this.person.angle(name, frame), side = this.series.length > 1 ? `${name.split("_")[0]} ` : "";
      return side + (value === null ? "–" : `${value.toFixed(0)}°`.replace("-", "−"));
    });
    this.told.textContent = text.join(", ");
  }
}
const plots = [...document.querySelectorAll("figure[data-person]")].map(figure => new Plot(figure));

const save = byId("save");
if (save) save.addEventListener("click", () => {
  const names = data.angles.flatMap(angle => angle.series);
  const lines = [["frame", "time_s", "person", ...names.map(name => `${name}_deg`)].join(",")];
  for (const person of people) {
    for (let i = 0; i < person.seen.length; i++) {
      if (!person.seen[i]) continue;
      const f = person.first + i;
      lines.push([f, times[f].toFixed(6), person.id, ...names.map(name => person.angle(name, f) ?? "")].join(","));
    }
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
  link.download = save.dataset.name;
  link.click();
});

show(0);
