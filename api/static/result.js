/** Any JSON as something to read: tables where things are alike, folds where they go deep, and no more than can be read. */

import { h, plural } from "./dom.js";

const MOST = 100; // of anything in one place; the whole is in the download

const OPEN = 3; // folds in one place that are all open at first; of more it is one

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const isSimple = (value) => value === null || typeof value !== "object";
const isFlat = (value) => isObject(value) && Object.values(value).every(isSimple);
const words = (name) => name.replaceAll("_", " ");

/** The value as an element. `key` is the name that it stands under: where a text quotes it, that is marked. */
export function render(value, key = "") {
  if (isSimple(value)) return simple(value, key);
  if (Array.isArray(value)) return list(value, key);
  if (!Object.keys(value).length) return h("p", { class: "muted" }, "nothing");
  const alike = columns(Object.values(value));
  if (alike) return table(Object.entries(value), alike, key);
  return parts(value);
}

function simple(value, key) {
  if (value === null) return h("span", { class: "muted" }, "–");
  if (typeof value === "number") return h("span", { class: "number" }, value.toLocaleString("en", { maximumFractionDigits: 6 }));
  if (typeof value === "boolean") return h("span", {}, value ? "yes" : "no");
  return h("span", { class: "quote" }, marked(value, key));
}

/** The text, with the places marked where the key stands in it. */
function marked(text, key) {
  const found = [];
  const low = text.toLowerCase();
  const sought = key.toLowerCase();
  if (!sought || low.length !== text.length) return [text];
  let from = 0;
  for (let at = low.indexOf(sought); at >= 0; at = low.indexOf(sought, from)) {
    found.push(text.slice(from, at), h("mark", {}, text.slice(at, at + sought.length)));
    from = at + sought.length;
  }
  return [...found, text.slice(from)];
}

function list(values, key) {
  if (!values.length) return h("p", { class: "muted" }, "none");
  if (values.every(isFlat)) {
    const names = [...new Set(values.slice(0, MOST).flatMap(Object.keys))];
    return table(values.map((value) => [null, value]), names, key);
  }
  return h("ol", {}, values.slice(0, MOST).map((value) => h("li", {}, render(value, key))), rest(values.length));
}

/** The names that all these objects have, if they make rows of a table: the same names, and at most one list among them. */
function columns(values) {
  if (!values.every(isObject)) return null;
  const names = Object.keys(values[0]);
  const same = values.every((value) => Object.keys(value).length === names.length && names.every((name) => name in value));
  const fits = (value) => isSimple(value) || (Array.isArray(value) && value.every((each) => isSimple(each) || isFlat(each)));
  const narrow = values.every((value) => names.every((name) => fits(value[name])) && names.filter((name) => !isSimple(value[name])).length <= 1);
  return names.length && same && narrow ? names : null;
}

/** Rows of `[key or null, object]`. */
function table(rows, names, key) {
  const keyed = rows[0][0] !== null;
  const head = h("tr", {}, keyed && h("th", { scope: "col" }, h("span", { class: "unseen" }, "name")), names.map((name) => h("th", { scope: "col" }, words(name))));
  const body = rows.slice(0, MOST).map(([own, value]) =>
    h("tr", {}, keyed && h("th", { scope: "row" }, own), names.map((name) => h("td", {}, name in value ? render(value[name], own ?? key) : null))));
  return h("div", {}, h("table", { class: "inner" }, h("thead", {}, head), h("tbody", {}, body)), rest(rows.length));
}

/** An object: what is simple first, then each deeper part in a fold. */
function parts(value) {
  const entries = Object.entries(value);
  const plain = entries.filter(([, each]) => isSimple(each));
  const deep = entries.filter(([, each]) => !isSimple(each));
  const pairs = plain.slice(0, MOST).map(([name, each]) => h("div", {}, h("dt", {}, words(name)), h("dd", {}, simple(each, ""))));
  const folds = deep.slice(0, MOST).map(([name, each], index) =>
    h("details", { open: index === 0 || deep.length <= OPEN }, h("summary", {}, h("span", { class: "name" }, name), h("span", { class: "muted" }, ` ${count(each)}`)), render(each)));
  return h("div", { class: "parts" }, pairs.length > 0 && h("dl", {}, pairs), rest(plain.length), folds, rest(deep.length));
}

const count = (value) => plural(Array.isArray(value) ? value.length : Object.keys(value).length, "item");

const rest = (length) => length > MOST && h("p", { class: "muted" }, `… and ${plural(length - MOST, "item")} more: download the result.`);
