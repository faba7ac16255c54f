// Two movements over one cycle, 0 to 100 %: cycles are cut out, brought to one length, and averaged.

const PERCENT = Array.from({ length: 101 }, (_, k) => k);
// Frames farther apart are not joined.
const GAP_S = .25;

// From a foot's coming down to its coming down again: [from, to] seconds each.
function stridesOf(person, side) {
  return person.strides.filter(stride => stride.side === side).map(({ from, to }) => [from, to]);
}

// An angle at 0 to 100 % of a span of time, on straight lines between frames; null where it is not known throughout.
function overCycle(person, series, [from, to]) {
  const out = [], { times } = person;
  let i = 0, turn = 0, before = null;
  for (const percent of PERCENT) {
    // an end that lies on a frame's time up to rounding is that frame
    const time = Math.min(Math.max(from + (to - from) * percent / 100, times[0]), times[times.length - 1]);
    if (Math.abs(time - (from + (to - from) * percent / 100)) > .006) return null;
    while (i < times.length - 2 && times[i + 1] < time) i++;
    const j = Math.min(i + 1, times.length - 1), a = person.value(series, i);
    let b = person.value(series, j);
    if (a === null || b === null || times[j] - times[i] > GAP_S) return null;
    if (Math.abs(b - a) > 180) b -= 360 * Math.sign(b - a);
    let value = (j > i ? a + (b - a) * (time - times[i]) / (times[j] - times[i]) : a) + turn;
    if (before !== null && Math.abs(value - before) > 180) { // past 180° it goes on, and does not leap
      const leap = 360 * Math.sign(value - before);
      turn -= leap; value -= leap;
    }
    out.push(before = value);
  }
  return out;
}

// Mean and standard deviation of cycles (of their number less one), and how many there are; null without any.
function averaged(cycles) {
  const n = cycles.length;
  if (!n) return null;
  const mean = PERCENT.map(k => cycles.reduce((sum, cycle) => sum + cycle[k], 0) / n);
  const sd = n < 2 ? null : PERCENT.map(k => Math.sqrt(cycles.reduce((sum, cycle) => sum + (cycle[k] - mean[k]) ** 2, 0) / (n - 1)));
  return { mean, sd, n };
}

// From where to where a mean goes, for people.
function rangeOf({ mean }) {
  return `${told(Math.min(...mean))}° to ${told(Math.max(...mean))}°`;
}

function drawing(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// Both over a cycle; colours and dashes are of the page's style.
function cyclePlot(label, both) {
  const width = 390, height = 150, left = 40, right = 8, top = 8, bottom = 22;
  const values = both.flatMap(one => one ? PERCENT.flatMap(k => one.sd ? [one.mean[k] - one.sd[k], one.mean[k] + one.sd[k]] : [one.mean[k]]) : []);
  let low = Math.min(...values, 0), high = Math.max(...values, 10);
  const step = [5, 10, 20, 30, 45, 60, 90, 120, 180].find(s => (high - low) / s <= 5) ?? 360;
  low = Math.floor(low / step) * step; high = Math.ceil(high / step) * step;
  const x = k => left + (width - left - right) * k / 100, y = v => top + (height - top - bottom) * (high - v) / (high - low);
  const path = row => row.map((v, k) => `${k ? "L" : "M"}${x(k).toFixed(1)} ${y(v).toFixed(1)}`).join("");
  const svg = drawing("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", class: "cycle",
    "aria-label": `${label}: ${both.map((one, k) => `${k ? "second" : "first"} ${one ? rangeOf(one) : "unknown"}`).join(", ")}` });
  for (let v = low; v <= high; v += step) {
    svg.append(drawing("line", { x1: left, x2: width - right, y1: y(v), y2: y(v), class: "grid" }),
      drawing("text", { x: left - 5, y: y(v) + 4, "text-anchor": "end" }, `${told(v)}°`));
  }
  for (const k of [0, 25, 50, 75, 100]) {
    svg.append(drawing("line", { x1: x(k), x2: x(k), y1: top, y2: height - bottom, class: "grid" }),
      drawing("text", { x: Math.min(x(k), width - 18), y: height - 6, "text-anchor": "middle" }, `${k} %`));
  }
  both.forEach((one, which) => {
    if (!one) return;
    const kind = which ? "second" : "first";
    if (one.sd) {
      const upper = one.mean.map((v, k) => v + one.sd[k]), lower = one.mean.map((v, k) => v - one.sd[k]);
      const back = PERCENT.slice().reverse().map(k => `L${x(k).toFixed(1)} ${y(lower[k]).toFixed(1)}`).join("");
      svg.append(drawing("path", { d: `${path(upper)}${back}Z`, class: `band ${kind}` }));
    }
    svg.append(drawing("path", { d: path(one.mean), class: `line ${kind}` }));
  });
  return svg;
}

class Comparison {
  constructor() {
    this.takes = [{ name: data.title, people: people.map(person => new OwnPerson(person, times)), end: duration }];
    this.subjects = ["a", "b"].map((name, k) => {
      const subject = { who: byId(`who-${name}`), side: byId(`side-${name}`), note: byId(`found-${name}`),
        box: byId(`stretch-${name}`) };
      subject.stretch = new Stretch(subject.box, `of the ${k ? "second" : "first"}`, () => this.update());
      subject.who.addEventListener("change", () => { this.entered(subject); this.update(); });
      subject.side.addEventListener("change", () => this.update());
      return subject;
    });
    byId("cycle").addEventListener("change", () => this.update());
    byId("other").addEventListener("change", event => this.read(event.target.files[0]));
    this.offer();
    this.begin();
    for (const subject of this.subjects) this.entered(subject);
    this.update();
  }

  // At first the sides of two people who walk, or of one, where cycles were seen; else a time that can be marked.
  begin() {
    const [a, b] = this.subjects, own = this.takes[0].people;
    const seen = own.flatMap((person, p) => ["left", "right"].filter(side => stridesOf(person, side).length).map(side => [p, side]));
    const first = seen[0] ?? [0, "left"];
    const second = seen.find(([p]) => p !== first[0]) ?? seen[1] ?? (own.length > 1 ? [1, "left"] : [0, "right"]);
    for (const [subject, [p, side]] of [[a, first], [b, second]]) { subject.who.value = `0/${p}`; subject.side.value = side; }
    if (!seen.length) byId("cycle").value = "stretch";
  }

  offer() {
    for (const { who } of this.subjects) {
      const before = who.value;
      who.replaceChildren(...this.takes.map((take, t) => {
        const group = document.createElement("optgroup");
        group.label = t ? take.name : "This take";
        group.append(...take.people.map((person, p) => new Option(t ? `${person.name}, ${take.name}` : person.name, `${t}/${p}`)));
        return group;
      }));
      who.value = before || "0/0";
      if (who.selectedIndex < 0) who.value = "0/0";
    }
  }

  chosen({ who }) {
    const [t, p] = who.value.split("/").map(Number);
    return { take: this.takes[t], person: this.takes[t].people[p], own: t === 0 };
  }

  // Somebody else was chosen: their time is another.
  entered(subject) {
    const { person, own } = this.chosen(subject);
    subject.stretch.whole(person.times[0], person.times[person.times.length - 1]);
    for (const button of subject.stretch.here) button.hidden = !own;
  }

  async read(file) {
    if (!file) return;
    const note = byId("other-note");
    note.hidden = false;
    note.textContent = `Reading ${file.name} …`;
    try {
      this.takes[1] = await readTake(file);
      note.textContent = `${file.name}: ${this.takes[1].people.length === 1 ? "one person" : `${this.takes[1].people.length} people`}, ${this.takes[1].end.toFixed(1)} s.`;
    } catch (error) {
      this.takes.length = 1;
      note.textContent = error.message;
      byId("other").value = "";
    }
    this.offer();
    if (this.takes[1]) this.subjects[1].who.value = "1/0";
    for (const subject of this.subjects) this.entered(subject);
    this.update();
  }

  update() {
    const byContact = byId("cycle").value === "contact";
    const found = this.subjects.map(subject => {
      const { person } = this.chosen(subject), side = subject.side.value, span = subject.stretch.span;
      subject.box.hidden = byContact;
      const cycles = byContact ? stridesOf(person, side) : span[1] - span[0] >= .1 ? [span] : [];
      const mean = cycles.reduce((sum, [from, to]) => sum + to - from, 0) / cycles.length;
      subject.note.textContent = cycles.length
        ? `${cycles.length === 1 ? "One cycle" : `${cycles.length} cycles`} of ${mean.toFixed(2)} s${cycles.length > 1 ? " in the mean" : ""}.`
        : byContact ? `The ${side} foot is not seen to come down twice: choose the other side, or mark a time.`
          : "The end must lie at least 0.1 s after the beginning.";
      return { person, side, cycles };
    });
    this.results = data.angles.map(({ label, series }) => {
      const both = found.map(({ person, side, cycles }) => {
        const own = series.length > 1 ? series.find(name => name.startsWith(side)) : series[0];
        return averaged(cycles.map(cycle => overCycle(person, own, cycle)).filter(Boolean));
      });
      return { label, both };
    }).filter(({ both }) => both.some(Boolean));
    byId("compared").hidden = !this.results.length;
    if (!this.results.length && found.every(({ cycles }) => cycles.length)) {
      this.subjects[0].note.textContent += " No angle is known throughout: mark a shorter time.";
    }
    byId("compared-plots").replaceChildren(...this.results.map(({ label, both }) => {
      const figure = document.createElement("figure"), caption = document.createElement("figcaption");
      const title = document.createElement("h3");
      title.textContent = label;
      caption.append(title);
      figure.append(caption, cyclePlot(label, both));
      return figure;
    }));
    byId("compared-rows").replaceChildren(...this.results.map(({ label, both: [a, b] }) => {
      const row = document.createElement("tr"), head = document.createElement("th");
      head.scope = "row"; head.textContent = label;
      row.append(head);
      const differences = a && b ? PERCENT.map(k => b.mean[k] - a.mean[k]) : null;
      const worst = differences && differences.reduce((at, d, k) => Math.abs(d) > Math.abs(differences[at]) ? k : at, 0);
      for (const text of [a ? rangeOf(a) : "–", b ? rangeOf(b) : "–",
        differences ? `${told(differences.reduce((x, y) => x + y, 0) / differences.length, 1)}°` : "–",
        differences ? `${told(differences[worst], 1)}°` : "–", differences ? `${worst} %` : "–"]) {
        const td = row.insertCell();
        td.className = "number"; td.textContent = text;
      }
      return row;
    }));
  }

  rows() {
    const who = this.subjects.map(subject => {
      const { take, person } = this.chosen(subject);
      return `${person.name}, ${subject.side.value}, ${take.name}`;
    });
    const number = (one, what, k) => one && one[what] ? one[what][k].toFixed(2) : null;
    return [["percent", "angle", "first", "first_mean_deg", "first_sd_deg", "first_cycles",
      "second", "second_mean_deg", "second_sd_deg", "second_cycles"],
    ...this.results.flatMap(({ label, both: [a, b] }) => PERCENT.map(k => [k, label,
      who[0], number(a, "mean", k), number(a, "sd", k), a ? a.n : 0, who[1], number(b, "mean", k), number(b, "sd", k), b ? b.n : 0]))];
  }
}
