// What a page holds of a take: its text to numbers, and somebody's motion by frames.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = id => document.getElementById(id);

// Whole numbers as data.packed made them: an Int16Array or Uint8Array of rows one after another.
async function unpacked(text, kind, columns = 1) {
  const stream = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  const raw = new Uint8Array(await new Response(stream).arrayBuffer());
  const size = kind.BYTES_PER_ELEMENT, count = raw.length / size, rows = count / columns, out = new kind(count);
  for (let c = 0, i = 0; c < columns; c++) {
    for (let r = 0, value = 0; r < rows; r++, i++) {
      value += size === 2 ? raw[i] | raw[count + i] << 8 : raw[i];
      out[r * columns + c] = value; // wraps around as the differences do
    }
  }
  return out;
}

class Person {
  // Of a page's data, this one's or another's.
  static async of(told, told_of) {
    const person = new Person();
    Object.assign(person, { id: told.id, color: told.color, first: told.first, unit: told.unit_m, shown: true });
    person.points = told_of.joints.length;
    person.packed = await unpacked(told.joints, Int16Array, 3 * person.points);
    person.seen = await unpacked(told.seen, Uint8Array);
    person.states = await unpacked(told.states, Uint8Array, person.points);
    person.facing = await unpacked(told.facing, Int16Array);
    person.floor = await unpacked(told.floor, Int16Array);
    person.strides = told.strides.map(([side, from, to]) => ({ side, from, to }));
    person.angles = {};
    for (const [name, text] of Object.entries(told.angles)) person.angles[name] = await unpacked(text, Int16Array);
    return person;
  }

  // The pose in a frame, {joints: metres, heels and toes last, seen, states: 2 seen, 1 inferred, 0 unknown}, or null.
  at(frame) {
    const i = frame - this.first, n = 3 * this.points;
    if (i < 0 || i >= this.seen.length || !this.seen[i]) return null;
    const here = this.packed.subarray(n * i, n * i + n);
    return { joints: Array.from(here, v => v === MISSING ? NaN : v * this.unit), seen: this.seen[i] === 2,
      states: this.states.subarray(n / 3 * i, n / 3 * (i + 1)) };
  }

  // An angle in a frame, degrees, or null.
  angle(name, frame) {
    const value = this.angles[name][frame - this.first];
    return value === undefined || value === MISSING ? null : value / 10;
  }

  // Which way is ahead, radians from x towards y, and how high the floor is, metres; in the nearest frame there is.
  stand(frame) {
    const i = Math.max(0, Math.min(this.seen.length - 1, frame - this.first));
    return { ahead: this.facing[i] / 10 * Math.PI / 180, floor: this.floor[i] * this.unit };
  }
}

// A number for people: so many decimals, a true minus, and never a minus before nothing.
function told(value, decimals = 0) {
  const text = value.toFixed(decimals);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}
