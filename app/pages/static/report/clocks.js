// Conversion between local times of a zone and instants.

const DAY = 86_400_000;

// The local time of a zone at an instant, in milliseconds, as if it were UTC.
function localMilliseconds(instant, zone) {
  const parts = new Intl.DateTimeFormat("en-US", {
    timeZone: zone, hourCycle: "h23", era: "short",
    year: "numeric", month: "numeric", day: "numeric",
    hour: "numeric", minute: "numeric", second: "numeric",
  }).formatToParts(instant);
  const fields = Object.fromEntries(parts.map(({ type, value }) => [type, Number(value)]));
  return Date.UTC(fields.year, fields.month - 1, fields.day, fields.hour, fields.minute, fields.second);
}

// Return the instants with the local time `local`, such as 2026-11-24T12:00, the earlier first:
// two where the clocks are put back, none where they are put forward.
export function instantsOf(local, zone) {
  const target = Date.parse(`${local}Z`);
  const offsets = [target - DAY, target + DAY].map((near) => localMilliseconds(near, zone) - near);
  return [...new Set(offsets)]
    .map((offset) => target - offset)
    .filter((instant) => localMilliseconds(instant, zone) === target)
    .sort((one, other) => one - other)
    .map((instant) => new Date(instant).toISOString());
}

// Return the local time of a zone at an instant, to the minute: 2026-11-24T12:00.
export const localOf = (instant, zone) =>
  new Date(localMilliseconds(Date.parse(instant), zone)).toISOString().slice(0, 16);

// Return the offset of a zone from UTC at an instant: UTC+3, UTC-3:30.
export function offsetOf(instant, zone) {
  const second = Math.floor(Date.parse(instant) / 1_000) * 1_000;
  const minutes = (localMilliseconds(second, zone) - second) / 60_000;
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  return `UTC${minutes < 0 ? "-" : "+"}${hours}${rest ? `:${String(rest).padStart(2, "0")}` : ""}`;
}

// Return an element with the local time and the name of its zone; its title has UTC. Where a local
// time occurs twice, the offset is added.
export function time(instant, { zone, place }) {
  const element = document.createElement("time");
  element.dateTime = instant;
  element.title = `${instant.slice(0, 16).replace("T", " ")} UTC`;
  const { lang } = document.documentElement;
  // The day comes first, as on the rest of the page.
  const words = new Intl.DateTimeFormat(lang === "en" ? "en-GB" : lang, {
    timeZone: zone, dateStyle: "medium", timeStyle: "short",
  });
  const isTwice = instantsOf(localOf(instant, zone), zone).length > 1;
  const clock = isTwice ? `${place}, ${offsetOf(instant, zone)}` : place;
  element.textContent = `${words.format(new Date(instant))} (${clock})`;
  return element;
}
