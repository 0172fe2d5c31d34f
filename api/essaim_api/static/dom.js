/** Elements and words for them. Text only ever becomes text: nothing on this page parses markup. */

/** An element with attributes, `onclick`-like listeners and children; what is null or false is left away. */
export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export const byId = (id) => document.getElementById(id);

/** Let the parent have one child for each item, by key. What has not changed stays, and so does the focus. */
export function keep(parent, items, key, make) {
  const before = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  const wanted = items.map((item) => {
    const name = String(key(item));
    const stamp = JSON.stringify(item);
    const old = before.get(name);
    if (old && (old.dataset.stamp === stamp || old.querySelector(".danger"))) return old; // a second press may be coming
    const node = make(item);
    node.dataset.key = name;
    node.dataset.stamp = stamp;
    if (old) replace(old, node);
    return node;
  });
  const staying = new Set(wanted);
  for (const node of [...parent.children]) if (!staying.has(node)) node.remove();
  wanted.forEach((node, index) => {
    if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null);
  });
}

/** Put a node in another's place; what had the focus has it again, if it is still there. */
export function replace(old, node) {
  const focused = old.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  old.replaceWith(node);
  if (focused) [node, ...node.querySelectorAll("[data-focus]")].find((it) => it.dataset.focus === focused)?.focus();
}

/** A sentence whose `backticked` parts are code. */
export const prose = (text) => text.split("`").map((part, index) => (index % 2 ? h("code", {}, part) : part));

/** A button that wants to be pressed twice: the second time within some seconds. */
export function sureButton(label, sure, act, { quiet = false, name = label } = {}) {
  let timer = 0;
  const calm = () => {
    clearTimeout(timer);
    timer = 0;
    button.textContent = label;
    button.setAttribute("aria-label", name);
    button.classList.remove("danger");
  };
  const press = () => {
    if (timer) {
      calm();
      act();
      return;
    }
    button.textContent = sure;
    button.setAttribute("aria-label", `${sure} ${name}`);
    button.classList.add("danger");
    timer = setTimeout(calm, 10_000);
  };
  const button = h("button", { type: "button", class: quiet && "quiet", "data-focus": "act", onclick: press, onblur: calm }, label);
  calm();
  return button;
}

/** Say something to those who cannot see it change. */
export function announce(sentence) {
  byId("announcer").textContent = sentence;
}

/** Show what went wrong with `what`, until the same goes well or somebody has read it. Said again, it is left as it is;
 *  what two say in the same words is shown once. */
export function notice(what, problem) {
  const all = [...byId("notices").children];
  const old = all.find((node) => node.dataset.what === what);
  if (old && old.dataset.said === problem?.message) return;
  old?.remove();
  if (problem) {
    const close = h("button", { type: "button", class: "quiet", "aria-label": "Dismiss", onclick: () => read(problem.message) }, "✕");
    byId("notices").append(h("div", { class: "notice", role: "alert", "data-what": what, "data-said": problem.message }, h("p", {}, problem.message), close));
  }
  showEachOnce();
}

function read(said) {
  for (const node of byId("notices").children) if (node.dataset.said === said) node.dataset.read = "";
  showEachOnce();
}

function showEachOnce() {
  const said = new Set();
  for (const node of byId("notices").children) {
    node.hidden = "read" in node.dataset || said.has(node.dataset.said);
    if (!node.hidden) said.add(node.dataset.said);
  }
}

/** Do what a click asks for, and say so where that fails. */
export async function attempt(work) {
  try {
    const done = await work();
    notice("click", null);
    return done;
  } catch (problem) {
    notice("click", null); // what failed in the same way before is said again
    notice("click", problem);
    return undefined;
  }
}

export const state = (name) => h("span", { class: `state ${name}` }, name);

/** Enough of an id to know it by: its end, for jobs of the same minute begin alike. */
export const shortId = (id) => id.slice(-8);

export const jobLink = (id, ...rest) =>
  h("a", { href: `#job/${encodeURIComponent(id)}`, title: id, class: "id", "data-focus": "link" },
    shortId(id), ...rest);

export const plural = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

export function size(bytes) {
  const units = ["B", "kB", "MB", "GB"];
  const step = Math.min(3, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
  return `${(bytes / 1000 ** step).toFixed(step && bytes / 1000 ** step < 100 ? 1 : 0)} ${units[step]}`;
}

export function duration(seconds) {
  if (seconds < 1) return `${Math.max(Math.round(seconds * 1000), 0)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
}

/** A moment in the reader's own time; the day only where it is not today. */
export function time(moment) {
  const at = new Date(moment);
  const today = at.toDateString() === new Date().toDateString();
  const clock = at.toLocaleTimeString("en-GB");
  const shown = today ? clock : `${at.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${clock}`;
  return h("time", { datetime: moment, title: at.toString() }, shown);
}

/** How long a job has taken, or has been at it. */
export function took({ started, ended }) {
  if (!started) return "–";
  return duration((new Date(ended ?? Date.now()) - new Date(started)) / 1000);
}
