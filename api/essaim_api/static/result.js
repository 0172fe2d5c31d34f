/** Any JSON as something to read: tables where things are alike, folds where they go deep, and no more than can be read. */

import { h, plural } from "./dom.js";

const MOST = 100; // of anything in one place; the whole is in the download

const OPEN = 3; // folds in one place that are all open at first; of more it is one

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const isSimple = (value) => value === null || typeof value !== "object";
const isFlat = (value) => isObject(value) && Object.values(value).every(isSimple);
const words = (name) => name.replaceAll("_", " "); // of a field; what may be data is shown as it is
const itemsOf = (value) => (Array.isArray(value) ? value : value === null || value === undefined ? [] : [value]);

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
  const names = values.every(isFlat) ? [...new Set(values.slice(0, MOST).flatMap(Object.keys))] : columns(values);
  if (names) return table(values.map((value) => [null, value]), names, key);
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

/** Rows of `[key or null, object]`. What an object has a list of makes rows of its own beside the rest. */
function table(rows, names, key) {
  const keyed = rows[0][0] !== null;
  const many = names.find((name) => rows.some(([, value]) => !isSimple(value[name] ?? null)));
  const items = rows.flatMap(([, value]) => itemsOf(value[many]));
  const subs = items.length && items.every(isFlat) ? [...new Set(items.slice(0, MOST).flatMap(Object.keys))] : null;
  const heads = names.flatMap((name) => (name === many && subs ? subs : [name]));
  const head = h("tr", {}, keyed && h("th", { scope: "col" }, h("span", { class: "unseen" }, "name")), heads.map((name) => h("th", { scope: "col" }, words(name))));
  const bodies = rows.slice(0, MOST).map(([own, value]) => group(own, value, { names, many, subs, key: own ?? key, width: heads.length + 1 }));
  return h("div", {}, h("table", { class: "inner" }, h("thead", {}, head), bodies), rest(rows.length));
}

/** The rows of one object: one for each item of its list `many`, all other cells beside them. */
function group(own, value, { names, many, subs, key, width }) {
  const items = many ? itemsOf(value[many]) : [null];
  const lines = items.length ? items.slice(0, MOST) : [undefined];
  const beside = lines.length > 1 ? lines.length : null;
  const cell = (name, content, attributes = {}) =>
    h("td", { ...attributes, "data-head": words(name) }, content === undefined ? null : render(content, key));
  const cells = (item) => {
    if (item === undefined) return [h("td", { colspan: subs?.length, class: "muted" }, "–")];
    return subs ? subs.map((sub) => cell(sub, item[sub])) : [cell(many ?? "", item)];
  };
  const row = (item, index) => h("tr", {},
    index === 0 && own !== null && h("th", { scope: "row", rowspan: beside }, own),
    names.flatMap((name) => (name === many ? cells(item) : index === 0 ? [cell(name, value[name], { rowspan: beside })] : [])));
  const left = items.length > MOST && h("tr", {}, h("td", { colspan: width }, rest(items.length)));
  return h("tbody", {}, lines.map(row), left);
}

/** An object: what is simple first, then each deeper part in a fold, unless it is the only one. */
function parts(value) {
  const entries = Object.entries(value);
  const plain = entries.filter(([, each]) => isSimple(each));
  const deep = entries.filter(([, each]) => !isSimple(each));
  const tally = plain.length > 1 && plain.every(([, each]) => typeof each === "number");
  const pairs = plain.slice(0, MOST).map(([name, each]) => h("div", {}, h("dt", {}, tally ? name : words(name)), h("dd", {}, simple(each, ""))));
  return h("div", { class: "parts" }, pairs.length > 0 && h("dl", { class: tally && "tally" }, pairs), rest(plain.length),
    deep.length === 1 && plain.length ? render(deep[0][1]) : folds(deep));
}

const folds = (deep) => [
  ...deep.slice(0, MOST).map(([name, each], index) => {
    const head = [h("span", { class: "name" }, name), h("span", { class: "muted" }, ` ${plural(size(each), "item")}`)];
    if (!size(each)) return h("p", { class: "bare" }, head);
    return h("details", { open: index === 0 || deep.length <= OPEN }, h("summary", {}, head), render(each));
  }),
  rest(deep.length),
];

/** How much there is to see: of an object around a single other one, what that has. */
function size(value) {
  if (Array.isArray(value)) return value.length;
  const deep = Object.values(value).filter((each) => !isSimple(each));
  return deep.length === 1 && Object.keys(value).length > 1 ? size(deep[0]) : Object.keys(value).length;
}

const rest = (length) => length > MOST && h("p", { class: "muted" }, `… and ${plural(length - MOST, "item")} more: download the result.`);
