// Another take's file, chosen by the reader: a page like this one, or a motion file (--export json).

const NO_TAKE = "Choose a page that sasmamba-demo wrote, or a .json of --export json.";

// What a comparison needs of a take: its name, its end in seconds, and of each person `times`, `strides` and `value(series, i)`,
// an angle in degrees or null at times[i].
class OwnPerson {
  constructor(person, times) {
    this.name = `Person ${person.id}`;
    this.person = person;
    this.times = times.slice(person.first, person.first + person.seen.length);
    this.strides = person.strides;
  }

  value(series, i) {
    return this.person.angles[series] ? this.person.angle(series, this.person.first + i) : null;
  }
}

class FilePerson {
  constructor(told) {
    this.name = `Person ${told.track_id}`;
    this.times = Float64Array.from(told.frames, row => row.time_s);
    this.angles = told.frames.map(row => row.angles);
    this.strides = told.strides.map(({ side, from_s, to_s }) => ({ side, from: from_s, to: to_s }));
  }

  value(series, i) { return this.angles[i][series] ?? null; }
}

function takeOf(name, people) {
  if (!people.length) throw new Error(`Nobody is in ${name}.`);
  return { name, people, end: Math.max(...people.map(person => person.times[person.times.length - 1])) };
}

// Throws an Error whose message is for the reader.
async function readTake(file) {
  const text = await file.text();
  if (/\.html?$/i.test(file.name)) {
    const found = new DOMParser().parseFromString(text, "text/html").getElementById("data"); // runs no script
    const told = found && parsed(found.textContent);
    if (!told || !Array.isArray(told.people)) throw new Error(`${file.name} is no page of a take. ${NO_TAKE}`);
    if (told.format !== data.format) throw new Error(`${file.name} was written by another version; write it again with this one.`);
    const when = new Float64Array(bytes(told.times).buffer);
    return takeOf(file.name, (await Promise.all(told.people.map(one => Person.of(one, told)))).map(p => new OwnPerson(p, when)));
  }
  const told = parsed(text);
  if (!told || told.format !== "sasmamba-motion/1" || !Array.isArray(told.people)) {
    throw new Error(`${file.name} holds no motion that is known here. ${NO_TAKE}`);
  }
  const there = told.people.filter(one => one.frames.length);
  if (there.some(one => !one.strides || !one.frames[0].angles)) {
    throw new Error(`${file.name} has no joint angles: it was written by an older version; export it again with this one.`);
  }
  return takeOf(file.name, there.map(one => new FilePerson(one)));
}

function parsed(text) {
  try { return JSON.parse(text); } catch { return null; }
}
