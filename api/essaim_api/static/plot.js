/** A plot of the last minutes: two quantities upon each other, drawn as steps, because both are counts. */

import { h } from "./dom.js";

const LONGEST = 5 * 60_000; // milliseconds that are kept
const SHORTEST = 60_000; // and that are drawn, even of a page that was just opened
const GAP = 15_000; // nobody looked for this long, so nothing is claimed about it
const WIDTH = 600;
const HEIGHT = 100;

const svg = (tag, attributes) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
};

/** The samples of the last minutes. */
export class History {
  samples = [];

  add(sample) {
    this.samples.push({ at: Date.now(), ...sample });
    const old = this.samples.findLastIndex((each) => each.at < Date.now() - LONGEST);
    this.samples.splice(0, Math.max(old, 0)); // the last old one is where the line comes from
  }
}

/** A plot with a title; `lower` and `upper` name a sample's two numbers, `words` says both and the sum for people. */
export class Plot {
  constructor(title, lower, upper, words) {
    Object.assign(this, { lower, upper, words });
    this.picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    this.areas = [svg("path", { class: "upper" }), svg("path", { class: "lower" })];
    this.picture.append(svg("line", { x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT, class: "axis" }), ...this.areas);
    this.most = h("span", { class: "most muted" });
    this.counts = h("p", { class: "counts" });
    this.about = h("p", {});
    this.since = h("span", {});
    this.node = h("div", { class: "plot" },
      h("div", { class: "head" }, h("h2", {}, title), this.counts),
      h("div", { class: "picture" }, this.most, this.picture),
      h("div", { class: "axis muted" }, this.since, this.about, h("span", {}, "now")));
  }

  draw(samples) {
    const now = samples.at(-1);
    const highest = Math.max(...samples.map((each) => each[this.lower] + each[this.upper]));
    const top = nice(highest);
    const span = Math.min(LONGEST, Math.max(SHORTEST, now.at - samples[0].at));
    const { numbers, sentence } = this.words(now);
    this.counts.replaceChildren(...numbers.map(([kind, number, name]) =>
      h("span", { class: kind }, h("b", {}, number.toLocaleString("en")), ` ${name}`)));
    this.about.textContent = sentence;
    this.since.textContent = `${length(span)} ago`;
    this.most.textContent = highest ? top.toLocaleString("en") : "";
    const said = numbers.map(([, number, name]) => `${number} ${name}`).join(", ");
    this.picture.setAttribute("aria-label", `${said}; at most ${highest} together in the last ${length(span)}`);
    const heights = [(each) => each[this.lower] + each[this.upper], (each) => each[this.lower]];
    this.areas.forEach((path, index) => path.setAttribute("d", area(samples, now.at, span, (each) => heights[index](each) / top)));
  }
}

const length = (span) => (span < 100_000 ? `${Math.round(span / 1000)} s` : `${Math.round(span / 60_000)} min`);

/** Steps from the axis up and back down to it, once for each stretch without a gap. */
function area(samples, now, span, part) {
  const x = (at) => Math.max(0, WIDTH * (1 - (now - at) / span)).toFixed(1);
  const y = (sample) => (HEIGHT * (1 - part(sample))).toFixed(1);
  let path = "";
  samples.forEach((sample, index) => {
    const before = samples[index - 1];
    const begins = !before || sample.at - before.at > GAP;
    path += begins ? `M${x(sample.at)} ${HEIGHT}V${y(sample)}` : `H${x(sample.at)}V${y(sample)}`;
    const next = samples[index + 1];
    if (!next || next.at - sample.at > GAP) path += `V${HEIGHT}Z`;
  });
  return path;
}

/** The next number above that people like to read: 1, 2, 5, 10, 20, … */
function nice(number) {
  const power = 10 ** Math.floor(Math.log10(Math.max(number, 1)));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= number) ?? 1;
}
