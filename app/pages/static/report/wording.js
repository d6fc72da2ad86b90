// The texts about an entry and about the effect of a report.

import { time } from "./clocks.js";

const { root } = document.documentElement.dataset;
const MAX_CHECKED = 20; // crossings whose present status is fetched

export const fill = (section, parts) => section.querySelector(".told").replaceChildren(...parts);

export function paragraph(text, className = "") {
  const element = document.createElement("p");
  element.className = className;
  element.append(...(Array.isArray(text) ? text : [text]));
  return element;
}

const box = (crossing) => document.querySelector(`[name=crossing][value="${CSS.escape(crossing)}"]`);
const nameOf = (crossing) => box(crossing)?.dataset.name ?? crossing;

// The zone of one of the sides at a crossing, else of its last side.
function clockOf(texts, crossing, chosen = []) {
  const { sides = "", zones = "" } = box(crossing)?.dataset ?? {};
  const side = sides.split(" ").findIndex((code) => chosen.includes(code));
  const zone = zones.split(" ").at(side);
  return zone ? { zone, place: texts.places[zone] } : { zone: "UTC", place: "UTC" };
}

function status(texts, value) {
  const mark = document.querySelector("#badges").content.querySelector(`.mark-${value}`);
  const element = document.createElement("span");
  element.className = `status status-${value}`;
  if (mark) element.append(mark.cloneNode(true));
  element.append(texts.statuses[value] ?? value);
  return element;
}

// "cars, trucks to Belarus; cars to Lithuania". Directions with the same traffic are joined.
function lanesOf(texts, crossing, lanes) {
  const directions = new Map();
  for (const { traffic, to } of lanes) directions.set(to, [...(directions.get(to) ?? []), traffic]);
  const all = box(crossing)?.dataset.traffic.split(" ").length;
  const parts = [...directions].map(([to, traffic]) => [
    traffic.length === all ? texts.messages.all : traffic.map((category) => texts.traffic[category] ?? category).join(", "),
    texts.directions[to] ?? to,
  ]);
  const byTraffic = new Map();
  for (const [traffic, to] of parts) byTraffic.set(traffic, [...(byTraffic.get(traffic) ?? []), to]);
  return [...byTraffic].map(([traffic, to]) => `${traffic} ${to.join(", ")}`).join("; ");
}

function row(cells, kind = "td") {
  const element = document.createElement("tr");
  for (const content of cells) {
    const cell = document.createElement(kind);
    if (kind === "th") cell.scope = "col";
    cell.append(content);
    element.append(cell);
  }
  return element;
}

function linkTo(crossing) {
  const link = document.createElement("a");
  link.href = `${root}/crossings/${crossing}`;
  link.textContent = nameOf(crossing);
  return link;
}

export function linksTo(crossings) {
  const list = document.createElement("ul");
  for (const crossing of crossings) {
    const item = document.createElement("li");
    item.append(linkTo(crossing));
    list.append(item);
  }
  return list;
}

// A text as it is stored, which is in English.
function inEnglish(text) {
  const element = document.createElement("span");
  element.lang = "en";
  element.append(text);
  return element;
}

const sidesOf = (texts, event) => event.sides.map((code) => texts.countries[code] ?? code).join(", ");

// Describe an entry: who declares what, since when, for which lanes.
export function describeEntry(texts, { event, isCorrected }) {
  const { messages } = texts;
  const clock = clockOf(texts, event.crossing, event.sides);
  const { effective, expected_until: expected } = event;
  const parts = [linkTo(event.crossing), sidesOf(texts, event)];
  if (effective) {
    parts.push(status(texts, event.status), time(effective.from, clock));
    parts.push(effective.until || expected ? time(effective.until ?? expected, clock) : messages.until);
  } else if (event.confirmed_at) {
    parts.push(messages.confirmed, time(event.confirmed_at, clock));
  }
  const traffic = event.traffic?.map((category) => texts.traffic[category] ?? category).join(", ") ?? messages.all;
  parts.push(event.to ? `${traffic} ${texts.directions[event.to] ?? event.to}` : traffic);
  if (event.reason?.text) parts.push(inEnglish(event.reason.text));
  const paragraphs = [paragraph(parts.flatMap((part, number) => (number ? [" · ", part] : [part])))];
  if (isCorrected) paragraphs.unshift(paragraph(messages.corrected, "warning"));
  if (event.retracted_by) paragraphs.unshift(paragraph(messages.withdrawn, "warning"));
  return paragraphs;
}

export function effectTable(texts, effect) {
  const { messages } = texts;
  const table = document.createElement("table");
  table.createTHead().append(
    row([messages.crossing, messages.lanes, messages.before, messages.after, messages.from, messages.end], "th"),
  );
  const body = table.createTBody();
  for (const item of effect) {
    const clock = clockOf(texts, item.crossing);
    body.append(row([
      linkTo(item.crossing),
      lanesOf(texts, item.crossing, item.lanes),
      status(texts, item.before),
      item.after === item.before ? messages.same : status(texts, item.after),
      time(item.from, clock),
      item.until ? time(item.until, clock) : messages.until,
    ]));
  }
  const scroll = document.createElement("div");
  scroll.className = "scroll";
  scroll.tabIndex = 0;
  scroll.append(table);
  return scroll;
}

// Describe what the rows of confirmations would confirm, for the first crossings.
export async function describeConfirmations(texts, rows) {
  const paragraphs = [];
  for (const row of rows.slice(0, MAX_CHECKED)) {
    const at = row.confirmed_at ? `?at=${encodeURIComponent(row.confirmed_at)}` : "";
    const response = await fetch(`${root}/v1/crossings/${row.crossing}/status${at}`, { cache: "no-store" });
    if (response.ok) paragraphs.push(...describeConfirmation(texts, row, await response.json()));
  }
  return paragraphs;
}

function describeConfirmation(texts, row, present) {
  const { messages } = texts;
  const crossing = nameOf(row.crossing);
  const covered = present.lanes.filter((lane) => covers(row, lane));
  const paragraphs = [];
  for (const event of present.decided_by) {
    const lanes = covered.filter((lane) => lane.decided_by === event.id);
    if (!lanes.length || !event.sides.some((side) => row.sides.includes(side))) continue;
    paragraphs.push(paragraph(interpolate(messages.confirms, {
      crossing,
      status: status(texts, event.status),
      from: time(event.effective.from, clockOf(texts, row.crossing, event.sides)),
      lanes: lanesOf(texts, row.crossing, lanes),
      side: sidesOf(texts, event),
    })));
  }
  return paragraphs.length ? paragraphs : [paragraph(interpolate(messages.confirmsNothing, { crossing }), "warning")];
}

const covers = ({ traffic, to }, lane) =>
  (!traffic || traffic.includes(lane.traffic)) && (!to || to === lane.to);

// What a reporter should know before the report is recorded.
export async function warnings(texts, body, preview) {
  const { messages } = texts;
  const paragraphs = [];
  if (body.certainty === "unconfirmed") paragraphs.push(paragraph(messages.rumour, "warning"));
  else if (preview.effect.length === 0) paragraphs.push(paragraph(messages.nothing, "warning"));
  for (const crossing of body.crossings.slice(0, MAX_CHECKED)) {
    const at = body.effective.from ? `?at=${encodeURIComponent(body.effective.from)}` : "";
    const response = await fetch(`${root}/v1/crossings/${crossing}/status${at}`, { cache: "no-store" });
    if (!response.ok) continue;
    paragraphs.push(...contradictions(texts, body, preview, await response.json()));
  }
  return paragraphs;
}

function contradictions(texts, body, preview, present) {
  const { messages } = texts;
  const { crossing } = present;
  const paragraphs = [];
  const covered = present.lanes.filter((lane) => covers(body, lane));
  const altered = preview.effect.filter((item) => item.crossing === crossing);
  const effectsOn = (lane) => altered.filter(
    (item) => item.lanes.some(({ traffic, to }) => traffic === lane.traffic && to === lane.to),
  );
  for (const event of present.decided_by) {
    const decided = covered.filter((lane) => lane.decided_by === event.id);
    if (event.status === body.status || !decided.length || body.supersedes?.includes(event.id)) continue;
    // A later statement of the same side replaces its earlier one, where it takes effect. A
    // statement of one side contradicts what both sides declared.
    const replaces = event.sides.every((side) => body.sides.includes(side))
      && decided.some((lane) => effectsOn(lane).length);
    const clock = clockOf(texts, crossing);
    const since = time(event.effective.from, clock);
    paragraphs.push(paragraph(
      interpolate(replaces ? messages.replaces : messages.contradicts, {
        crossing: nameOf(crossing), side: sidesOf(texts, event), status: status(texts, event.status), from: since,
      }),
      replaces ? "" : "warning",
    ));
  }
  const later = (lane) => effectsOn(lane)[0]?.after ?? lane.status;
  const staying = covered.filter((lane) => later(lane) !== body.status);
  if (staying.length && body.certainty !== "unconfirmed") {
    const byStatus = new Map();
    for (const lane of staying) byStatus.set(later(lane), [...(byStatus.get(later(lane)) ?? []), lane]);
    for (const [value, lanes] of byStatus) {
      paragraphs.push(paragraph(
        interpolate(messages.stays, {
          crossing: nameOf(crossing), lanes: lanesOf(texts, crossing, lanes), status: status(texts, value),
        }),
        "warning",
      ));
    }
  }
  return paragraphs;
}

// Replace the {names} in a message by nodes or texts.
function interpolate(message, values) {
  return message.split(/(\{\w+\})/).filter(Boolean).map((part) => values[part.slice(1, -1)] ?? part);
}
