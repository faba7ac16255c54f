// Time: the video's where there is one and as far as it goes, otherwise a clock of the page's own.

const times = new Float64Array(bytes(data.times).buffer);
const last = times.length - 1;
const duration = times[last] + 1 / data.fps;

// What follows the frame shown: the 3D view, the views from side and front, the plots.
const followers = [];
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
  frame = next;
  const text = `${times[frame].toFixed(2)} s of ${duration.toFixed(2)} s, frame ${frame}`;
  byId("scrub").value = frame;
  byId("scrub").setAttribute("aria-valuetext", text);
  byId("clock").textContent = text;
  for (const follower of followers) follower.update();
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
    byId("render-note").hidden = false;
    video.hidden = true;
    video = null;
    choosePane("view");
    begin();
  });
}

// On a small screen one picture is shown at a time.
function choosePane(name) {
  document.querySelector(".stage").dataset.shown = name;
  for (const button of document.querySelectorAll(".panes button")) {
    button.setAttribute("aria-pressed", String(button.dataset.pane === name));
    button.hidden = button.dataset.pane === "render" && !video;
  }
}
for (const button of document.querySelectorAll(".panes button")) {
  button.addEventListener("click", () => choosePane(button.dataset.pane));
}
choosePane(video ? "render" : "view");

byId("scrub").max = last;
byId("scrub").addEventListener("input", event => seek(Number(event.target.value)));
byId("play").addEventListener("click", toggle);
byId("back").addEventListener("click", () => { stop(); seek(frame - 1); });
byId("next").addEventListener("click", () => { stop(); seek(frame + 1); });
byId("speed").addEventListener("change", () => { if (video) video.playbackRate = speed(); begin(); });
byId("print").addEventListener("click", () => window.print());
document.addEventListener("click", event => {
  const button = event.target.closest("[data-seek]");
  if (button) { stop(); seek(frameAt(Number(button.dataset.seek))); }
});
document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (/^(INPUT|SELECT|BUTTON|SUMMARY|VIDEO)$/.test(event.target.tagName)) return;
  const keys = { " ": toggle, ",": () => { stop(); seek(frame - 1); }, ".": () => { stop(); seek(frame + 1); },
    Home: () => seek(0), End: () => seek(last) };
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});
