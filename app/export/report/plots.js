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
    // those out of view are left as they are until they come into view
    this.visible = true;
    new IntersectionObserver(entries => {
      this.visible = entries[entries.length - 1].isIntersecting;
      this.update();
    }, { rootMargin: "200px" }).observe(figure);
  }

  update() {
    if (!this.visible || frame < 0) return;
    this.line.style.left = `${100 * (this.left + this.width * times[frame] / this.until)}%`;
    const text = this.series.map(name => {
      const value = this.person.angle(name, frame), side = this.series.length > 1 ? `${name.split("_")[0]} ` : "";
      return side + (value === null ? "–" : `${told(value)}°`);
    });
    this.told.textContent = text.join(", ");
  }
}
