/** Texts: upload some, look through those that are stored, and put their names into the form. */

import { call, get, Problem } from "./api.js";
import { attempt, h, keep, plural, size } from "./dom.js";

/** Draw the panel into `parent`; `field()` is the input that takes names of texts, if the form has one. */
export function openTexts(parent, field) {
  const said = h("p", { class: "muted", role: "status" });
  const files = h("input", { type: "file", multiple: true, class: "unseen", id: "files" });
  const again = h("input", { type: "checkbox", id: "replace" });
  const drop = h("div", { class: "drop" },
    files,
    h("label", { for: "files", class: "button" }, "Upload texts"),
    h("span", { class: "muted" }, " or drop files here"));
  const pattern = h("input", { type: "search", id: "pattern", hidden: true, placeholder: "Show only names like books/**", "aria-label": "Show only texts whose name is like" });
  const list = h("ul", { class: "texts" });
  const more = h("button", { type: "button", class: "quiet", hidden: true }, "More");
  const empty = h("p", { class: "muted", hidden: true });
  let shown = [];
  let cursor = "";

  const load = async (following = "") => {
    const query = new URLSearchParams({ pattern: pattern.value.trim() || "**", limit: 50, cursor: following });
    const page = await get(`/v1/texts?${query}`);
    shown = following ? [...shown, ...page.texts] : page.texts;
    cursor = page.cursor;
    more.hidden = !cursor;
    pattern.hidden = !shown.length && !pattern.value.trim();
    empty.hidden = shown.length > 0;
    empty.textContent = pattern.value.trim() ? "No text has such a name." : "No texts yet: upload some to work on.";
    keep(list, shown.map((text) => ({ ...text, usable: Boolean(field()) })), (text) => text.name, row);
  };

  const row = (text) => h("li", {},
    h("span", { class: "name", title: text.name }, text.name),
    h("span", { class: "muted number" }, size(text.size)),
    text.usable && h("button", { type: "button", class: "quiet", "data-focus": "use", "aria-label": `Use ${text.name}`, onclick: () => use([text.name]) }, "Use"));

  const use = (names) => {
    const input = field();
    if (!input) return;
    const lines = input.value.split("\n").filter((line) => line.trim());
    const wanted = input.tagName === "TEXTAREA" ? [...new Set([...lines, ...names])] : names.slice(-1);
    input.value = wanted.join("\n");
    input.dispatchEvent(new Event("input", { bubbles: true }));
    said.textContent = `${plural(wanted.length, "name")} in the form.`;
  };

  const upload = async (chosen) => {
    const stored = [];
    try {
      for (const [index, file] of chosen.entries()) {
        said.textContent = `Uploading ${index + 1} of ${chosen.length}: ${file.name} (${size(file.size)}) …`;
        const headers = again.checked ? {} : { "If-None-Match": "*" };
        const name = (file.webkitRelativePath || file.name).normalize();
        await put(name, file, headers);
        stored.push(name);
      }
    } finally {
      said.textContent = "";
      if (stored.length) {
        use(stored);
        said.textContent = `${plural(stored.length, "text")} stored${field() ? " and put into the form" : ""}.`;
      }
      files.value = "";
      await load();
    }
  };
  const take = (chosen) => chosen.length && attempt(() => upload(chosen));

  files.onchange = () => take([...files.files]);
  more.onclick = () => attempt(() => load(cursor));
  pattern.onchange = () => attempt(load);
  drop.ondragover = (event) => {
    event.preventDefault();
    drop.classList.add("over");
  };
  drop.ondragleave = () => drop.classList.remove("over");
  drop.ondrop = (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take([...event.dataTransfer.files]);
  };
  parent.replaceChildren(
    drop,
    h("p", { class: "field boxed" }, again, h("label", { for: "replace" }, "Replace texts that have the same name")),
    said, pattern, empty, list, h("p", { class: "buttons" }, more));
  return load;
}

async function put(name, body, headers) {
  const path = name.split("/").map(encodeURIComponent).join("/");
  try {
    await call("PUT", `/v1/texts/${path}`, { body, headers });
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    throw new Problem(error.status, { title: `The text ${name} was not stored`, detail: error.message });
  }
}
