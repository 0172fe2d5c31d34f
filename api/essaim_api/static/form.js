/** A form for any request: drawn from its JSON Schema, so that another workload gets another form. */

import { h, prose } from "./dom.js";

export const TEXT_NAME = "text-name"; // the `format` by which a schema says that a string names stored texts

/** A schema without its references, and without the null that an optional field may also be. */
function plain(schema, resolve) {
  const found = schema.$ref ? { ...resolve(schema.$ref), ...schema, $ref: undefined } : schema;
  const choices = (found.anyOf ?? found.oneOf ?? found.allOf ?? []).filter((choice) => choice.type !== "null");
  return choices.length === 1 && !found.type ? plain({ ...choices[0], ...found, anyOf: undefined, oneOf: undefined, allOf: undefined }, resolve) : found;
}

/** A field for `schema` at the JSON pointer `pointer`: `node`, `read()` (undefined: left away), `write(value)`, `marks`. */
function field(name, given, required, pointer, resolve) {
  const schema = plain(given, resolve);
  const own = { name, required, pointer, id: `field${pointer.replaceAll("/", "-")}`, fallback: schema.default ?? undefined }; // null: left away, which says the same
  if (schema.properties) return group(own, schema, resolve);
  const control = pick(own, schema, resolve);
  const complaint = h("p", { class: "complaint", id: `${own.id}-complaint`, hidden: true });
  control.input.id = own.id;
  control.input.name = name;
  control.input.required = required && control.input.type !== "checkbox";
  const about = schema.description && h("p", { class: "about", id: `${own.id}-about` }, prose(schema.description));
  control.input.setAttribute("aria-describedby", [about?.id, complaint.id].filter(Boolean).join(" "));
  const label = h("label", { for: own.id }, title(name, schema), control.hint && h("span", { class: "muted" }, ` ${control.hint}`));
  const boxed = control.input.type === "checkbox";
  const node = h("div", { class: `field ${boxed ? "boxed" : ""}` }, boxed ? [control.input, label] : [label, control.input], about, complaint);
  const mark = (text) => {
    complaint.hidden = !text;
    complaint.textContent = text;
    control.input.setAttribute("aria-invalid", String(Boolean(text)));
  };
  const read = () => {
    const value = control.read();
    return !required && JSON.stringify(value) === JSON.stringify(own.fallback) ? undefined : value;
  };
  const write = (value) => control.write(value ?? own.fallback);
  write(undefined);
  return { ...own, node, read, write, marks: [{ pointer, mark, input: control.input }], ...control.role, minor: control.minor && !required };
}

/** The control that fits a schema. What none fits is written as JSON. */
function pick(own, schema, resolve) {
  const items = schema.type === "array" && schema.items ? plain(schema.items, resolve) : null;
  if (schema.enum || "const" in schema) return choice(own, schema.enum ?? [schema.const]);
  if (schema.type === "boolean") {
    const input = h("input", { type: "checkbox" });
    return { input, read: () => input.checked, write: (value) => (input.checked = Boolean(value)) };
  }
  if (isNumber(schema)) {
    const input = h("input", { type: "number", min: schema.minimum, max: schema.maximum, step: schema.type === "integer" ? 1 : "any" });
    const read = () => (input.value === "" ? undefined : Number(input.value));
    return { input, read, write: (value) => (input.value = value ?? ""), minor: true };
  }
  if (schema.type === "string") {
    const short = schema.maxLength <= 300 || schema.format; // anything else may be of many lines, and grows with them
    const input = short ? h("input", { type: "text", maxlength: schema.maxLength }) : h("textarea", { rows: 1 });
    const read = () => (input.value === "" && !own.required ? undefined : input.value);
    return { input, read, write: (value) => (input.value = value ?? ""), role: names(schema, input) };
  }
  if (items && !items.enum && (items.type === "string" || isNumber(items))) {
    const input = h("textarea", { rows: 2, spellcheck: "false" });
    const cast = isNumber(items) ? Number : String;
    const read = () => input.value.split("\n").filter((line) => line.trim()).map((line) => cast(line));
    return { input, read, write: (value) => (input.value = (value ?? []).join("\n")), hint: "one a line", role: names(items, input) };
  }
  const input = h("textarea", { rows: 2, spellcheck: "false" });
  const read = () => (input.value.trim() ? JSON.parse(input.value) : undefined);
  return { input, read, write: (value) => (input.value = value === undefined ? "" : JSON.stringify(value)), hint: "as JSON", minor: true };
}

const isNumber = (schema) => schema.type === "integer" || schema.type === "number";

const names = (schema, input) => (schema.format === TEXT_NAME ? { texts: input } : {});

function choice(own, values) {
  const none = own.required || own.fallback !== undefined ? [] : [h("option", { value: "" }, "–")];
  const input = h("select", {}, none, values.map((value, index) => h("option", { value: index }, String(value))));
  const write = (value) => (input.value = values.includes(value) ? values.indexOf(value) : none.length ? "" : 0);
  return { input, read: () => (input.value === "" ? undefined : values[Number(input.value)]), write };
}

/** The fields of an object, and the object that they make. */
function group(own, schema, resolve) {
  const fields = Object.entries(schema.properties).map(([name, each]) =>
    field(name, each, (schema.required ?? []).includes(name), `${own.pointer}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`, resolve));
  const minor = fields.filter((each) => each.minor);
  const more = minor.length > 0 && h("details", {}, h("summary", {}, "More options"), minor.map((each) => each.node));
  const shown = [...fields.filter((each) => !each.minor).map((each) => each.node), more];
  const node = own.name ? h("fieldset", {}, h("legend", {}, title(own.name, schema)), shown) : h("div", {}, shown);
  const read = () => {
    const entries = fields.map((each) => [each.name, each.read()]).filter(([, value]) => value !== undefined);
    return entries.length || own.required ? Object.fromEntries(entries) : undefined;
  };
  const write = (value) => fields.forEach((each) => each.write((value ?? {})[each.name]));
  return { ...own, node, read, write, marks: fields.flatMap((each) => each.marks), texts: fields.find((each) => each.texts)?.texts };
}

/** `ignore_case` and pydantic's "Ignore Case" for it become "Ignore case"; a title that somebody chose stays. */
function title(name, schema) {
  const words = name.replaceAll("_", " ");
  const made = schema.title?.toLowerCase() === words.toLowerCase();
  return schema.title && !made ? schema.title : words.charAt(0).toUpperCase() + words.slice(1);
}

/**
 * The whole form, from the schema of a request and a function that resolves its references.
 * `texts` is where names of texts go, if the schema has such a place; `mark(errors)` puts a problem's errors to their
 * fields, goes to the first, and returns those that have no field.
 */
export function draw(schema, resolve) {
  const whole = field("", schema, true, "", resolve);
  const mark = (errors) => {
    for (const each of whole.marks) each.mark("");
    const left = [];
    for (const { pointer = "", detail } of [...errors].reverse()) {
      const at = (pointer ?? "").replace(/^#/, "");
      const found = whole.marks.find((each) => each.pointer && (at === each.pointer || at.startsWith(`${each.pointer}/`)));
      if (!found) {
        left.unshift(detail);
        continue;
      }
      const line = /^\d+$/.exec(at.slice(found.pointer.length + 1).split("/")[0]);
      found.mark(line ? `Entry ${Number(line[0]) + 1}: ${detail}` : detail);
      const folded = found.input.closest("details");
      if (folded) folded.open = true;
      found.input.focus();
    }
    return left;
  };
  return { ...whole, mark };
}
