// Brings the page to life once its numbers are unpacked.

let people = [], chosen = null, view = null, side = null, front = null, comparison = null, ready = false;
let angleTables = null, eventTable = null;

// Whom plots, tables, and the views from side and front are about.
function choose(id) {
  chosen = people.find(person => person.id === id) ?? null;
  side.person = front.person = chosen;
  for (const part of document.querySelectorAll(".of-person")) part.hidden = Number(part.dataset.person) !== id;
  eventTable.update();
}

function offer(person) {
  const label = document.createElement("label"), box = document.createElement("input"), chip = document.createElement("span");
  box.type = "checkbox"; box.checked = true;
  box.addEventListener("change", () => { person.shown = box.checked; view.draw(); });
  chip.className = "chip"; chip.style.background = person.color; chip.textContent = `#${person.id}`;
  label.append(box, chip);
  byId("people").append(label);
  byId("person").add(new Option(`Person ${person.id}`, person.id));
}

async function start() {
  if (!window.DecompressionStream) {
    byId("render-note").textContent = "This browser is too old for the 3D view and the tables; one of 2023 or later shows them.";
    byId("render-note").hidden = false;
    return;
  }
  people = await Promise.all(data.people.map(told => Person.of(told, data)));
  view = new View(byId("view"), data, people);
  side = new PlaneView(byId("side"), data, people, true);
  front = new PlaneView(byId("front"), data, people, false);
  for (const one of [view, side, front]) followers.push({ update() { one.frame = frame; one.draw(); } });
  followers.push(...[...document.querySelectorAll("figure[data-person]")].map(figure => new Plot(figure)));
  for (const button of document.querySelectorAll("[data-view]")) {
    button.addEventListener("click", () => { choosePane("view"); view.look(...button.dataset.view.split(",").map(Number)); });
  }
  byId("scale").textContent = `Floor grid: ${view.step} m`;
  people.forEach(offer);
  byId("person").parentElement.hidden = people.length < 2;
  byId("person").addEventListener("change", event => choose(Number(event.target.value)));
  angleTables = new AngleTables();
  eventTable = new Events();
  if (people.length) choose(people[0].id);
  if (people.length) comparison = new Comparison();
  for (const [event, on] of [["beforeprint", true], ["afterprint", false]]) window.addEventListener(event, () => {
    for (const one of [side, front]) one.print(on);
    byId("printed-person").textContent = chosen ? `Person ${chosen.id} at ${times[frame].toFixed(2)} s; angles and measures are theirs.` : "";
  });
  show(0);
  ready = true;
}

start();
