// One person from the side and from the front, as a clinic looks at them: the view goes along and turns with the hips.
// It is all but parallel, so that what lies in its plane keeps its proportions.

const FAR_M = 60;

class PlaneView extends View {
  // sideways: seen from the person's right, who then faces to the right; otherwise from before them.
  constructor(canvas, data, people, sideways) {
    super(canvas, data, people);
    this.sideways = sideways;
    this.person = people[0];
  }

  // The page scrolls under a finger; there is nothing to turn.
  listen() {}

  look() { this.draw(); }

  set person(person) {
    this.whose = person;
    this.tall = 1.9;
    this.wide = .5;
    const step = person ? Math.max(1, Math.floor(person.seen.length / 300)) : 1;
    for (let i = 0; person && i < person.seen.length; i += step) {
      const frame = person.first + i, pose = person.at(frame), { floor } = person.stand(frame);
      if (!pose) continue;
      const j = pose.joints, [x, y] = this.middle(j);
      for (let k = 0; k < j.length; k += 3) {
        if (!(Math.abs(j[k + 2]) >= 0)) continue;
        this.tall = Math.max(this.tall, j[k + 2] - floor + .12);
        this.wide = Math.max(this.wide, Math.hypot(j[k] - x, j[k + 1] - y) + .1);
      }
    }
    this.draw();
  }

  get person() { return this.whose; }

  // Where somebody is over the floor: the pelvis, or what else is known.
  middle(joints) {
    for (let k = 0; k < joints.length; k += 3) if (Math.abs(joints[k]) >= 0) return [joints[k], joints[k + 1]];
    return [0, 0];
  }

  aim() {
    const { width, height } = this.canvas, { ahead, floor } = this.stand, [x, y] = this.at;
    const cos = Math.cos(ahead), sin = Math.sin(ahead);
    const forward = this.sideways ? [-sin, cos, 0] : [-cos, -sin, 0];
    this.axes = { right: [forward[1], -forward[0], 0], up: [0, 0, 1], forward };
    this.focal = FAR_M * Math.min(.84 * height / this.tall, .45 * width / this.wide);
    const target = [x, y, floor + this.tall / 2];
    this.eye = target.map((c, k) => c - forward[k] * FAR_M);
  }

  paint() {
    const { pen, canvas, whose, ratio } = this;
    if (canvas.width < 2 || !whose) return;
    const pose = whose.at(this.frame);
    this.stand = whose.stand(this.frame);
    if (pose || !this.at) this.at = pose ? this.middle(pose.joints) : [0, 0];
    this.aim();
    pen.globalAlpha = 1;
    pen.fillStyle = this.onPaper ? "#ffffff" : "#20242b";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.lineCap = pen.lineJoin = "round";
    this.paintHeights();
    if (pose) this.paintBodies([{ person: whose, pose }]);
    pen.font = `${12 * ratio}px system-ui, sans-serif`;
    pen.fillStyle = this.onPaper ? "#444b55" : "#c3cad4"; pen.textAlign = "left"; pen.textBaseline = "top";
    pen.fillText(this.sideways ? "Side" : "Front", 8 * ratio, 6 * ratio);
    if (!pose) {
      pen.textAlign = "center";
      pen.fillText("not there now", canvas.width / 2, canvas.height / 2);
    }
  }

  // Light and of a size of its own while the page is printed, whether or not it is shown on the screen.
  print(on) {
    this.onPaper = on;
    if (!on) { this.resize(); this.draw(); return; }
    this.canvas.width = 1100; this.canvas.height = 520; this.ratio = 2.2;
    this.paint();
  }

  // The floor, a line every half metre above it, and an upright one through the middle of the body.
  paintHeights() {
    const { pen, canvas, ratio } = this, scale = this.focal / FAR_M;
    const middle = canvas.width / 2, floor = canvas.height / 2 + this.tall / 2 * scale;
    pen.font = `${11 * ratio}px system-ui, sans-serif`;
    pen.textAlign = "right"; pen.textBaseline = "bottom";
    for (let half = 0; half / 2 < this.tall + .2; half++) {
      const y = floor - half / 2 * scale;
      pen.strokeStyle = half ? "rgba(142,154,172,.28)" : "#8e9aac"; pen.lineWidth = (half ? 1 : 1.5) * ratio;
      pen.beginPath(); pen.moveTo(0, y); pen.lineTo(canvas.width, y); pen.stroke();
      pen.fillStyle = this.onPaper ? "#444b55" : "#a3adba";
      if (half % 2 === 0 && y > 16 * ratio) pen.fillText(`${half / 2} m`, canvas.width - 5 * ratio, y - ratio);
    }
    pen.setLineDash([4 * ratio, 5 * ratio]);
    pen.strokeStyle = "rgba(142,154,172,.5)"; pen.lineWidth = ratio;
    pen.beginPath(); pen.moveTo(middle, 0); pen.lineTo(middle, floor); pen.stroke();
    pen.setLineDash([]);
  }
}
