// The entry of the log that is corrected, ended, withdrawn or confirmed.

import { setInstant } from "./times.js";

const form = document.querySelector("#report");
const all = (selector) => [...form.querySelectorAll(selector)];

async function read(address) {
  const response = await fetch(document.documentElement.dataset.root + address, { cache: "no-store" });
  const body = await response.json();
  return response.ok ? body : Promise.reject(Object.assign(new Error("refused"), { problem: body }));
}

// Return the entry as it is now, after any corrections, with the others of its decision that
// apply, by crossing, and its sources. Throws an error with the service's `problem`.
export async function load(id) {
  let event = await read(`/v1/events/${id}`);
  const isCorrected = event.superseded_by !== null;
  while (event.superseded_by) event = await read(`/v1/events/${event.superseded_by}`);
  const events = new Map();
  for (let next = `/v1/events?decision=${event.decision}&limit=200`; next; ) {
    const page = await read(next);
    for (const other of page.items) {
      if (other.superseded_by || other.retracted_by || other.kind !== event.kind) continue;
      events.set(other.crossing, [...(events.get(other.crossing) ?? []), other]);
    }
    next = page.next && `/v1/events${new URL(page.next).search}`;
  }
  // Where several are about the same crossing, only the chosen one counts.
  if (!event.retracted_by) events.set(event.crossing, [event]);
  const sources = await Promise.all(
    [...new Set(event.citations.map((citation) => citation.source))].map((id) => read(`/v1/sources/${id}`)),
  );
  return { event, events, sources, isCorrected };
}

// Fill in the form from the entry.
export function fillIn({ event, events, sources }, action) {
  for (const input of all("[name=crossing]")) {
    const isOurs = action === "confirm" || events.has(input.value);
    input.checked = input.value === event.crossing;
    input.disabled = !isOurs;
    input.closest("label").hidden = !isOurs;
  }
  for (const border of all("#crossings fieldset")) {
    border.hidden = !border.querySelector("input:not(:disabled)");
  }
  check("side", event.sides);
  check("traffic", event.traffic ?? []);
  set("to", event.to ?? "");
  keepSources(sources);
  if (action === "correct") fillInDeclaration(event);
}

function fillInDeclaration(event) {
  check("status", [event.status]);
  check("exception", event.exceptions.map((exception) => exception.code));
  check("ends", [event.effective.until ? "until" : event.expected_until ? "expected" : "open"]);
  set("reason", event.reason.code);
  set("reason-text", event.reason.text ?? "");
  set("precision", event.precision);
  set("certainty", event.certainty);
}

// Fill in the times, once the zone is that of the side of the entry.
export function fillInTimes({ event }, action) {
  if (action === "end") setInstant("until", event.effective.until);
  if (action !== "correct") return;
  setInstant("from", event.effective.from);
  setInstant("until", event.effective.until ?? event.expected_until);
  setInstant("announced", event.announced_at);
}

function set(id, value) {
  const field = form.querySelector(`#${id}`);
  if (field) field.value = value;
}

function check(name, values) {
  for (const input of all(`[name=${name}]`)) input.checked = values.includes(input.value);
}

function keepSources(sources) {
  const choices = form.querySelector("#kept .choices");
  if (!choices) return;
  choices.replaceChildren(...sources.map((source) => {
    const label = document.createElement("label");
    const box = Object.assign(document.createElement("input"), {
      type: "checkbox", name: "kept", value: source.id, checked: true,
    });
    const title = document.createElement("span");
    if (source.language) title.lang = source.language;
    title.textContent = [source.title, source.publisher, source.published_at].filter(Boolean).join(", ");
    label.append(box, title);
    return label;
  }));
}
