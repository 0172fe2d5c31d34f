// One moment under the pointer, in all pictures at once; and its values, in the one that is pointed at.
const figures = [...document.querySelectorAll("figure.chart")].map((figure) => {
  const svg = figure.querySelector("svg");
  const [left, right, start, end] = svg.dataset.plot.split(" ").map(Number);
  const series = JSON.parse(figure.querySelector("script").textContent);
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  figure.append(tip);
  return { figure, svg, left, right, start, end, series, tip, line: svg.querySelector(".now") };
});

// The last point that is not later, as a step has it; null before the first and in a gap.
function at(points, seconds) {
  let low = 0, high = points.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] <= seconds) low = middle + 1; else high = middle;
  }
  return low ? points[low - 1][1] : null;
}

function point(shown, event) {
  const box = shown.svg.getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * shown.svg.viewBox.baseVal.width;
  const seconds = shown.start + ((x - shown.left) / (shown.right - shown.left)) * (shown.end - shown.start);
  if (seconds < shown.start || seconds > shown.end) return leave();
  for (const other of figures) {
    const inside = seconds >= other.start && seconds <= other.end;
    const place = other.left + ((seconds - other.start) / (other.end - other.start)) * (other.right - other.left);
    other.line.setAttribute("x1", place);
    other.line.setAttribute("x2", place);
    other.line.style.visibility = inside ? "visible" : "hidden";
    other.tip.hidden = other !== shown;
  }
  const rows = shown.series.map(({ name, colour, points }) => {
    const row = document.createElement("span");
    row.className = `c${colour}`;
    row.textContent = `${name} ${at(points, seconds)?.toLocaleString("en") ?? "–"}`;
    return row;
  });
  const time = document.createElement("b");
  time.textContent = `${seconds.toFixed(1)} s`;
  shown.tip.replaceChildren(time, ...rows);
  const outer = shown.figure.getBoundingClientRect();
  const beside = event.clientX - outer.left;
  const room = beside + 16 + shown.tip.offsetWidth < outer.width;
  shown.tip.style.left = `${room ? beside + 16 : Math.max(0, beside - 16 - shown.tip.offsetWidth)}px`;
  shown.tip.style.top = `${Math.max(0, event.clientY - outer.top - shown.tip.offsetHeight / 2)}px`;
}

function leave() {
  for (const { line, tip } of figures) {
    line.style.visibility = "hidden";
    tip.hidden = true;
  }
}

for (const shown of figures) {
  shown.svg.addEventListener("pointermove", (event) => point(shown, event));
  shown.svg.addEventListener("pointerleave", leave);
}
