// What a report would change, and what it contradicts, in words.

import { time } from "./clocks.js";

const { root } = document.documentElement.dataset;
const LOOKED_AT = 20; // crossings, for what stands there

export const fill = (section, parts) => section.querySelector(".told").replaceChildren(...parts);

export function paragraph(text, className = "") {
  const found = document.createElement("p");
  found.className = className;
  found.append(...(Array.isArray(text) ? text : [text]));
  return found;
}

const box = (crossing) => document.querySelector(`[name=crossing][value="${CSS.escape(crossing)}"]`);
const nameOf = (crossing) => box(crossing)?.dataset.name ?? crossing;

// The clock of one of the sides at a crossing, else of the one named last.
function clockOf(told, crossing, chosen = []) {
  const { sides = "", zones = "" } = box(crossing)?.dataset ?? {};
  const side = sides.split(" ").findIndex((one) => chosen.includes(one));
  const zone = zones.split(" ").at(side);
  return zone ? { zone, place: told.places[zone] } : { zone: "UTC", place: "UTC" };
}

function status(told, value) {
  const pattern = document.querySelector("#badges").content.querySelector(`.mark-${value}`);
  const found = document.createElement("span");
  found.className = `status status-${value}`;
  if (pattern) found.append(pattern.cloneNode(true));
  found.append(told.statuses[value] ?? value);
  return found;
}

// "cars, trucks to Belarus; cars to Lithuania": directions with the same traffic are one.
function lanesOf(told, crossing, lanes) {
  const directions = new Map();
  for (const { traffic, to } of lanes) directions.set(to, [...(directions.get(to) ?? []), traffic]);
  const all = box(crossing)?.dataset.traffic.split(" ").length;
  const parts = [...directions].map(([to, traffic]) => [
    traffic.length === all ? told.messages.all : traffic.map((one) => told.traffic[one] ?? one).join(", "),
    told.directions[to] ?? to,
  ]);
  const joint = new Map();
  for (const [traffic, to] of parts) joint.set(traffic, [...(joint.get(traffic) ?? []), to]);
  return [...joint].map(([traffic, to]) => `${traffic} ${to.join(", ")}`).join("; ");
}

function row(cells, kind = "td") {
  const found = document.createElement("tr");
  for (const content of cells) {
    const cell = document.createElement(kind);
    if (kind === "th") cell.scope = "col";
    cell.append(content);
    found.append(cell);
  }
  return found;
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

const sidesOf = (told, event) => event.sides.map((one) => told.countries[one] ?? one).join(", ");

// An entry in a few words: who, what, since when, for whom.
export function described(told, { event, isCorrected }) {
  const { messages } = told;
  const clock = clockOf(told, event.crossing, event.sides);
  const { effective, expected_until: expected } = event;
  const parts = [linkTo(event.crossing), sidesOf(told, event)];
  if (effective) {
    parts.push(status(told, event.status), time(effective.from, clock));
    parts.push(effective.until || expected ? time(effective.until ?? expected, clock) : messages.until);
  } else if (event.confirmed_at) {
    parts.push(messages.confirmed, time(event.confirmed_at, clock));
  }
  const traffic = event.traffic?.map((one) => told.traffic[one] ?? one).join(", ") ?? messages.all;
  parts.push(event.to ? `${traffic} ${told.directions[event.to] ?? event.to}` : traffic);
  if (event.reason?.text) parts.push(event.reason.text);
  const found = [paragraph(parts.flatMap((part, number) => (number ? [" · ", part] : [part])))];
  if (isCorrected) found.unshift(paragraph(messages.corrected, "warning"));
  if (event.retracted_by) found.unshift(paragraph(messages.withdrawn, "warning"));
  return found;
}

export function effectTable(told, effect) {
  const { messages } = told;
  const table = document.createElement("table");
  table.createTHead().append(
    row([messages.crossing, messages.lanes, messages.before, messages.after, messages.from, messages.end], "th"),
  );
  const body = table.createTBody();
  for (const one of effect) {
    const clock = clockOf(told, one.crossing);
    body.append(row([
      linkTo(one.crossing),
      lanesOf(told, one.crossing, one.lanes),
      status(told, one.before),
      one.after === one.before ? messages.same : status(told, one.after),
      time(one.from, clock),
      one.until ? time(one.until, clock) : messages.until,
    ]));
  }
  const scroll = document.createElement("div");
  scroll.className = "scroll";
  scroll.tabIndex = 0;
  scroll.append(table);
  return scroll;
}

// What rows of confirmations say is still so, at the crossings that are looked at.
export async function confirmations(told, rows) {
  const found = [];
  for (const row of rows.slice(0, LOOKED_AT)) {
    const at = row.confirmed_at ? `?at=${encodeURIComponent(row.confirmed_at)}` : "";
    const response = await fetch(`${root}/v1/crossings/${row.crossing}/status${at}`, { cache: "no-store" });
    if (response.ok) found.push(...confirmed(told, row, await response.json()));
  }
  return found;
}

function confirmed(told, row, standing) {
  const { messages } = told;
  const crossing = nameOf(row.crossing);
  const covered = standing.lanes.filter((lane) => covers(row, lane));
  const found = [];
  for (const event of standing.decided_by) {
    const lanes = covered.filter((lane) => lane.decided_by === event.id);
    if (!lanes.length || !event.sides.some((side) => row.sides.includes(side))) continue;
    found.push(paragraph(filledIn(messages.confirms, {
      crossing,
      status: status(told, event.status),
      from: time(event.effective.from, clockOf(told, row.crossing, event.sides)),
      lanes: lanesOf(told, row.crossing, lanes),
      side: sidesOf(told, event),
    })));
  }
  return found.length ? found : [paragraph(filledIn(messages.confirmsNothing, { crossing }), "warning")];
}

const covers = ({ traffic, to }, lane) =>
  (!traffic || traffic.includes(lane.traffic)) && (!to || to === lane.to);

// What somebody who reports should know before it is recorded.
export async function warnings(told, body, preview) {
  const { messages } = told;
  const found = [];
  if (body.certainty === "unconfirmed") found.push(paragraph(messages.rumour, "warning"));
  else if (preview.effect.length === 0) found.push(paragraph(messages.nothing, "warning"));
  for (const crossing of body.crossings.slice(0, LOOKED_AT)) {
    const at = body.effective.from ? `?at=${encodeURIComponent(body.effective.from)}` : "";
    const response = await fetch(`${root}/v1/crossings/${crossing}/status${at}`, { cache: "no-store" });
    if (!response.ok) continue;
    found.push(...against(told, body, preview, await response.json()));
  }
  return found;
}

function against(told, body, preview, standing) {
  const { messages } = told;
  const { crossing } = standing;
  const found = [];
  const covered = standing.lanes.filter((lane) => covers(body, lane));
  const altered = preview.effect.filter((one) => one.crossing === crossing);
  const effectsOn = (lane) => altered.filter(
    (one) => one.lanes.some(({ traffic, to }) => traffic === lane.traffic && to === lane.to),
  );
  for (const event of standing.decided_by) {
    const decided = covered.filter((lane) => lane.decided_by === event.id);
    if (event.status === body.status || !decided.length || body.supersedes?.includes(event.id)) continue;
    // A later statement of the same side replaces its earlier one, where it takes effect. Who speaks
    // for one side contradicts what both said.
    const replaces = event.sides.every((side) => body.sides.includes(side))
      && decided.some((lane) => effectsOn(lane).length);
    const clock = clockOf(told, crossing);
    const since = time(event.effective.from, clock);
    found.push(paragraph(
      filledIn(replaces ? messages.replaces : messages.contradicts, {
        crossing: nameOf(crossing), side: sidesOf(told, event), status: status(told, event.status), from: since,
      }),
      replaces ? "" : "warning",
    ));
  }
  const later = (lane) => effectsOn(lane)[0]?.after ?? lane.status;
  const staying = covered.filter((lane) => later(lane) !== body.status);
  if (staying.length && body.certainty !== "unconfirmed") {
    const byStatus = new Map();
    for (const lane of staying) byStatus.set(later(lane), [...(byStatus.get(later(lane)) ?? []), lane]);
    for (const [is, lanes] of byStatus) {
      found.push(paragraph(
        filledIn(messages.stays, {
          crossing: nameOf(crossing), lanes: lanesOf(told, crossing, lanes), status: status(told, is),
        }),
        "warning",
      ));
    }
  }
  return found;
}

// Put nodes or texts in the place of a message's {names}.
function filledIn(message, values) {
  return message.split(/(\{\w+\})/).filter(Boolean).map((part) => values[part.slice(1, -1)] ?? part);
}
