// Tables: angles over a stretch of time, what happened when, and every table as a file.

// A value as a cell of CSV (RFC 4180); a text that a spreadsheet would take for a formula is none.
function cell(value) {
  const text = typeof value === "string" && /^[=+@\t\r]|^-(?![\d.])/.test(value) ? `'${value}` : String(value ?? "");
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function download(name, rows) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([rows.map(row => row.map(cell).join(",") + "\n").join("")], { type: "text/csv" }));
  link.download = `${data.name}_${name}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// Rows of all tables of one kind on the page, under their columns' names; what a cell is worth stands beside its text.
function rowsOf(kind) {
  const tables = [...document.querySelectorAll(`table[data-table="${kind}"]`)];
  const head = [...tables[0].tHead.rows[0].cells].map(th => th.dataset.name ?? th.textContent);
  return [head, ...tables.flatMap(table => [...table.tBodies].flatMap(body => [...body.rows].map(
    row => [...row.cells].map(td => td.dataset.value ?? td.textContent))))];
}

function angleRows() {
  const names = data.angles.flatMap(angle => angle.series);
  const rows = [["frame", "time_s", "person", ...names.map(name => `${name}_deg`)]];
  for (const person of people) {
    for (let i = 0; i < person.seen.length; i++) {
      if (!person.seen[i]) continue;
      const f = person.first + i;
      rows.push([f, times[f].toFixed(6), person.id, ...names.map(name => person.angle(name, f))]);
    }
  }
  return rows;
}

// From when to when: two fields, filled in by hand or from the time shown.
class Stretch {
  constructor(box, name, changed) {
    this.most = [0, duration];
    this.changed = changed;
    const field = (text, seconds) => {
      const label = document.createElement("label"), input = document.createElement("input");
      Object.assign(input, { type: "number", min: 0, max: duration.toFixed(2), step: .01, value: seconds.toFixed(2) });
      label.append(`${text} `, input, " s");
      input.addEventListener("change", changed);
      box.append(label);
      return input;
    };
    const button = (text, action) => {
      const made = document.createElement("button");
      made.type = "button"; made.textContent = text;
      made.setAttribute("aria-label", `${text}: ${name}`);
      made.addEventListener("click", () => { action(); changed(); });
      box.append(made);
      return made;
    };
    this.from = field("From", 0);
    this.to = field("to", duration);
    this.here = [button("Begin here", () => { this.from.value = times[frame].toFixed(2); }),
      button("End here", () => { this.to.value = times[frame].toFixed(2); })];
    button("All", () => this.whole(...this.most));
  }

  whole(begin, end) {
    this.most = [begin, end];
    this.from.value = begin.toFixed(2); this.to.value = end.toFixed(2);
    this.from.max = this.to.max = end.toFixed(2);
  }

  get isWhole() { return this.span[0] <= this.most[0] && this.span[1] >= this.most[1] - .005; }

  get span() {
    return [this.from, this.to].map((field, k) => field.value === "" ? this.most[k] : Number(field.value));
  }
}

// What an angle does over a stretch, degrees, or null where it is not known.
function summaryOf(person, series, [from, to]) {
  let min = Infinity, max = -Infinity, sum = 0, count = 0;
  for (let i = 0; i < person.seen.length; i++) {
    const f = person.first + i, value = person.angle(series, f);
    if (value === null || times[f] < from - .005 || times[f] > to + .005) continue;
    min = Math.min(min, value); max = Math.max(max, value);
    sum += value; count++;
  }
  return count ? { min, max, range: max - min, mean: sum / count } : null;
}

class AngleTables {
  constructor() {
    this.cells = [...document.querySelectorAll('table[data-table="angle_ranges"] tbody tr')].map(row => ({
      person: people.find(p => p.id === Number(row.dataset.person)), series: row.dataset.series,
      cells: [...row.querySelectorAll("[data-what]")] }));
    for (const { cells } of this.cells) for (const td of cells) Object.assign(td.dataset, { first: td.innerHTML, firstValue: td.dataset.value });
    const box = byId("angle-stretch");
    if (box) this.stretch = new Stretch(box, "of the table of angles", () => this.update());
  }

  rows() {
    const whats = this.cells[0].cells.map(td => td.dataset.what), unit = what => what === "peak_velocity" ? "deg_s" : "deg";
    const whole = this.stretch.isWhole;
    return [["person", "angle", "from_s", "to_s", ...whats.flatMap(what => [`${what}_${unit(what)}`, `${what}_half_width_95`])],
      ...this.cells.map(({ person, series, cells }) => [person.id, series, ...this.stretch.span,
        ...cells.flatMap(td => [td.dataset.value, whole ? td.dataset.halfWidth : ""])])];
  }

  update() {
    const whole = this.stretch.isWhole;
    byId("angle-part").hidden = whole;
    for (const { person, series, cells } of this.cells) {
      const found = whole ? null : summaryOf(person, series, this.stretch.span);
      for (const td of cells) {
        const value = found ? found[td.dataset.what] : undefined;
        if (whole) td.innerHTML = td.dataset.first;
        else td.textContent = value === undefined ? "–" : `${told(value)}°`;
        td.dataset.value = whole ? td.dataset.firstValue : value === undefined ? "" : value.toFixed(1);
      }
    }
  }
}

// What happened, newest page of rows first made when it is asked for: an hour has thousands.
const ROWS_AT_ONCE = 40;
class Events {
  constructor() {
    this.table = byId("events");
    this.shown = ROWS_AT_ONCE;
    this.boxes = Object.entries(data.kinds).filter(([kind]) => data.events.some(event => event[0] === kind)).map(([kind, text]) => {
      const label = document.createElement("label"), box = document.createElement("input");
      box.type = "checkbox"; box.checked = true; box.value = kind;
      box.addEventListener("change", () => { this.shown = ROWS_AT_ONCE; this.update(); });
      label.append(box, ` ${text}`);
      byId("event-kinds").append(label);
      return box;
    });
    byId("more-events").addEventListener("click", () => { this.shown += 5 * ROWS_AT_ONCE; this.update(); });
    this.update();
  }

  update() {
    const kinds = this.boxes.filter(box => box.checked).map(box => box.value), body = this.table.tBodies[0];
    const rows = data.events.filter(([kind, person]) =>
      kinds.includes(kind) && (person === null || !chosen || person === chosen.id));
    body.replaceChildren(...rows.slice(0, this.shown).map(([, person, from, to, text]) => {
      const row = document.createElement("tr"), when = document.createElement("button");
      when.type = "button"; when.className = "time"; when.dataset.seek = from; when.textContent = `${from.toFixed(2)} s`;
      row.insertCell().append(when);
      row.insertCell().textContent = to > from ? `${(to - from).toFixed(2)} s` : "–";
      row.insertCell().textContent = person === null ? "the video" : `person ${person}`;
      row.insertCell().textContent = text;
      return row;
    }));
    byId("event-count").textContent = rows.length > this.shown ? `${this.shown} of ${rows.length} shown.`
      : rows.length ? "" : "Nothing of this kind happened.";
    byId("more-events").hidden = rows.length <= this.shown;
  }
}

// Lists of dictionaries as rows under their keys.
function keyed(list) {
  const keys = Object.keys(list[0] ?? {});
  return [keys, ...list.map(one => keys.map(key => one[key]))];
}

const TABLES = {
  angles: angleRows,
  angle_ranges: () => angleTables.rows(),
  measures: () => keyed(data.measures),
  events: () => [["kind", "person", "from_s", "to_s", "what"], ...data.events],
  comparison: () => comparison.rows(),
};
document.addEventListener("click", event => {
  const button = event.target.closest("[data-save]");
  if (!button) return;
  const kind = button.dataset.save;
  download(kind, (TABLES[kind] ?? (() => rowsOf(kind)))());
});
