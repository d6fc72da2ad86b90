// The report form. Its effect is shown before it is recorded, and it can be withdrawn afterwards.
// The key is nowhere but in its field.

import { fillIn, fillInTimes, load } from "./report/entry.js";
import { Fault, clearFaults, showFault, showLost, showProblem } from "./report/faults.js";
import { describeConfirmations, describeEntry, effectTable, fill, linksTo, paragraph, warnings } from "./report/wording.js";
import { followZones, instantIn } from "./report/times.js";

const form = document.querySelector("#report");
const preview = document.querySelector("#preview");
const result = document.querySelector("#result");
const undo = document.querySelector("#undo");
const texts = JSON.parse(form.dataset.told);
const send = document.querySelector("#send");
const { action } = form.dataset;

let entry; // the entry that is corrected, ended, withdrawn or confirmed
let pending; // the previewed requests, each with its idempotency key
let undoing; // requests that withdraw the recorded events

const value = (id) => form.querySelector(`#${id}`).value.trim();
const chosen = (name) => [...form.querySelectorAll(`[name=${name}]:checked:not(:disabled)`)];
const values = (name) => chosen(name).map((input) => input.value);
const withoutEmpty = (fields) => Object.fromEntries(Object.entries(fields).filter(([, content]) => content));

// Options that depend on the chosen crossings

function narrow() {
  const crossings = chosen("crossing");
  const sides = new Set(crossings.flatMap((input) => input.dataset.sides.split(" ")));
  const usable = (traffic) => crossings.every((input) => input.dataset.traffic.split(" ").includes(traffic));
  for (const input of form.querySelectorAll("[name=side]")) {
    input.disabled = !sides.has(input.value);
    input.closest("label").hidden = crossings.length > 0 && input.disabled;
  }
  for (const input of form.querySelectorAll("[name=traffic]")) {
    input.disabled = !usable(input.value);
    input.closest("label").hidden = input.disabled;
  }
  for (const option of form.querySelectorAll("#to option[value]:not([value=''])")) {
    option.hidden = option.disabled = !sides.has(option.value);
  }
  const until = form.querySelector("#until-field");
  if (until) until.hidden = values("ends")[0] === "open";
  if (form.querySelector("#zone")) {
    followZones(zonesOf(crossings, action === "end" && entry ? entry.event.sides : values("side")));
  }
}

// The zones of the chosen sides at the crossings, of both sides while none is chosen.
function zonesOf(crossings, chosenSides) {
  return crossings.flatMap(({ dataset }) => {
    const zones = dataset.zones.split(" ");
    const sides = dataset.sides.split(" ");
    return zones.filter((_, number) => !chosenSides.length || chosenSides.includes(sides[number]));
  });
}

// Request bodies

const instant = (id) => instantIn(id, texts.messages);

function end() {
  const [kind] = values("ends");
  if (kind === "open") return {};
  const until = instant("until");
  if (!until) throw new Fault("effective.until", texts.messages.missing);
  return kind === "until" ? { until } : { expected_until: until };
}

function declaration() {
  const { until = null, expected_until = null } = end();
  return {
    crossings: values("crossing"),
    sides: values("side"),
    status: values("status")[0],
    effective: { from: instant("from"), until },
    expected_until,
    ...scope(),
    reason: withoutEmpty({ code: value("reason"), text: value("reason-text") }),
    exceptions: exceptions(),
    certainty: value("certainty"),
    precision: value("precision"),
    announced_at: instant("announced"),
    citations: citations(),
  };
}

function scope() {
  const traffic = values("traffic");
  return { traffic: traffic.length ? traffic : null, to: value("to") || null };
}

// The form has no field for the text of an exception: the exceptions of the entry keep theirs.
function exceptions() {
  const codes = values("exception");
  const kept = (entry?.event.exceptions ?? []).filter((exception) => codes.includes(exception.code));
  const added = codes.filter((code) => !kept.some((exception) => exception.code === code));
  return [...kept, ...added.map((code) => ({ code }))];
}

// The source named in the form, and the chosen sources of the entry.
function citations() {
  const names = { title: value("title"), publisher: value("publisher"), url: value("url") };
  const kept = keptCitations();
  const isNamed = Object.values(names).some(Boolean) || value("locator");
  if (kept.length && !isNamed) return kept;
  const source = { title: names.title, ...withoutEmpty({ ...names, kind: value("kind") }) };
  return [withoutEmpty({ source, locator: value("locator") }), ...kept];
}

function keptCitations() {
  const sources = values("kept");
  return entry ? entry.event.citations.filter((citation) => sources.includes(citation.source)) : [];
}

const superseded = () => values("crossing").map((crossing) => entry.events.get(crossing)[0].id);

function correction() {
  return { ...declaration(), incident: entry.event.incident, supersedes: superseded() };
}

// The entry with another end and other citations.
function ending() {
  const { sides, status, effective, traffic, to, reason, exceptions: spared, certainty, precision, announced_at, incident } = entry.event;
  return {
    crossings: values("crossing"),
    effective: { from: effective.from, until: instant("until") ?? new Date().toISOString() },
    sides, status, traffic, to, reason, exceptions: spared, certainty, precision, announced_at, incident,
    citations: citations(),
    supersedes: superseded(),
  };
}

// A row for each crossing, with those of its sides that are chosen. The sources of the entry apply
// only to the crossings of its decision.
function confirmation() {
  const sides = values("side");
  const cited = citations();
  const kept = new Set(keptCitations());
  const rows = chosen("crossing").map((input) => ({
    crossing: input.value,
    sides: input.dataset.sides.split(" ").filter((side) => sides.includes(side)),
    ...scope(),
    confirmed_at: instant("confirmed"),
    citations: cited.filter((citation) => !kept.has(citation) || entry.events.has(input.value)),
  }));
  return { confirmations: rows };
}

const REQUESTS = {
  declare: () => [["/v1/events", declaration()]],
  correct: () => [["/v1/events", correction()]],
  end: () => [["/v1/events", ending()]],
  confirm: () => [["/v1/confirmations", confirmation()]],
  withdraw: () => {
    const reason = withoutEmpty({ code: "other", text: value("reason-text") });
    const events = values("crossing").flatMap((crossing) => entry.events.get(crossing));
    if (!events.length) throw new Fault("crossings", texts.messages.none);
    return events.map((event) => [`/v1/events/${event.id}/retraction`, { reason }]);
  },
};

async function post(address, body, idempotencyKey) {
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${value("key")}` };
  if (idempotencyKey) headers["Idempotency-Key"] = idempotencyKey;
  const response = await fetch(document.documentElement.dataset.root + address, {
    method: "POST", headers, body: JSON.stringify(body), credentials: "omit", cache: "no-store",
  });
  return { ok: response.ok, body: await response.json() };
}

// crypto.randomUUID exists only on pages served over HTTPS.
const uniqueKey = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

const withKey = ([address, body]) => ({ address, body, key: uniqueKey() });

async function withFaults(button, task) {
  clearFaults();
  button.disabled = true;
  try {
    return await task();
  } catch (error) {
    if (error instanceof Fault) showFault(texts, error);
    else if (error instanceof TypeError || error instanceof SyntaxError) showLost(texts);
    else throw error;
  } finally {
    button.disabled = false;
  }
}

// The steps

form.addEventListener("submit", (event) => {
  event.preventDefault();
  return withFaults(event.submitter ?? form.querySelector("button"), async () => {
    const requests = REQUESTS[action]().map(withKey);
    const effect = [];
    for (const { address, body } of requests) {
      const answer = await post(`${address}?validate_only=true`, body);
      if (!answer.ok) return showProblem(texts, answer.body);
      effect.push(...answer.body.effect);
    }
    pending = { requests, effect: [] };
    fill(preview, [
      ...(await remarks(requests[0].body, effect)),
      ...(effect.length ? [effectTable(texts, effect)] : []),
    ]);
    show(preview);
  });
});

// What the reporter should know besides the effect.
async function remarks(body, effect) {
  if (action === "confirm") return describeConfirmations(texts, body.confirmations);
  if (action === "declare" || action === "correct") return warnings(texts, body, { effect });
  return effect.length ? [] : [paragraph(texts.messages.nothing, "warning")];
}

send.addEventListener("click", () =>
  withFaults(send, async () => {
    const { requests, effect } = pending;
    const crossings = values("crossing");
    while (requests.length) {
      const { address, body, key } = requests[0];
      const answer = await post(address, body, key);
      if (!answer.ok) return showProblem(texts, answer.body);
      effect.push(...answer.body.effect);
      pending.last = answer.body;
      requests.shift();
    }
    const { change, undo: addresses } = pending.last;
    const isWithdrawal = action === "withdraw";
    undoing = isWithdrawal ? [] : addresses.map((address) => withKey([address]));
    const message = isWithdrawal ? texts.messages.retracted : texts.messages.recorded;
    result.querySelector("h2").textContent = message.replace("{change}", change);
    fill(result, [effect.length ? effectTable(texts, effect) : withoutEffect(crossings)]);
    undo.hidden = undoing.length === 0;
    form.hidden = true;
    preview.hidden = true;
    show(result);
  }),
);

function withoutEffect(crossings) {
  const isSilent = action === "confirm" || action === "withdraw";
  return isSilent ? linksTo(crossings) : paragraph(texts.messages.nothing);
}

undo.addEventListener("submit", (event) => {
  event.preventDefault();
  return withFaults(event.submitter ?? undo.querySelector("button"), async () => {
    const text = undo.querySelector("input").value.trim();
    const reason = withoutEmpty({ code: "other", text });
    let change;
    while (undoing.length) {
      const { address, key } = undoing[0];
      const answer = await post(address, { reason }, key);
      if (!answer.ok) return showProblem(texts, answer.body);
      ({ change } = answer.body);
      undoing.shift();
    }
    result.querySelector("h2").textContent = texts.messages.retracted.replace("{change}", change);
    fill(result, []);
    undo.hidden = true;
    show(result);
  });
});

function show(section) {
  section.hidden = false;
  section.querySelector("h2").focus({ preventScroll: true });
  section.scrollIntoView({ block: "start" });
}

function withdrawPreview() {
  preview.hidden = true;
  pending = undefined;
  narrow();
}

document.querySelector("#back").addEventListener("click", () => {
  withdrawPreview();
  form.querySelector("#key").focus();
});
// Only what was previewed is recorded: an edit requires a new preview.
form.addEventListener("input", withdrawPreview);
addEventListener("pagehide", () => { form.querySelector("#key").value = ""; });

// Fill in the form from the entry that it is about. Return whether the form can be used.
async function begin() {
  if (!form.dataset.event) return true;
  entry = await load(form.dataset.event);
  const section = document.querySelector("#entry");
  const isEditable = action === "withdraw" || entry.event.kind === "declaration";
  fill(section, [
    ...describeEntry(texts, entry),
    ...(isEditable ? [] : [paragraph(texts.messages.undeclared, "warning")]),
  ]);
  section.hidden = false;
  if (!isEditable || entry.event.retracted_by) return false;
  fillIn(entry, action);
  return true;
}

try {
  const isUsable = await begin();
  narrow();
  if (entry && isUsable) fillInTimes(entry, action);
  narrow();
  form.hidden = !isUsable;
} catch (error) {
  if (error.problem) showProblem(texts, error.problem);
  else if (error instanceof TypeError) showLost(texts, "");
  else throw error;
}
