// Between the clocks of a zone and instants.

const DAY = 86_400_000;

// What the clocks of a zone show at an instant, as milliseconds as if they showed UTC.
function shown(instant, zone) {
  const parts = new Intl.DateTimeFormat("en-US", {
    timeZone: zone, hourCycle: "h23", era: "short",
    year: "numeric", month: "numeric", day: "numeric",
    hour: "numeric", minute: "numeric", second: "numeric",
  }).formatToParts(instant);
  const of = Object.fromEntries(parts.map(({ type, value }) => [type, Number(value)]));
  return Date.UTC(of.year, of.month - 1, of.day, of.hour, of.minute, of.second);
}

// Return the instants at which the clocks of a zone show `local`, such as 2026-11-24T12:00,
// the earlier first: two where the clocks are put back, none where they are put forward.
export function instantsOf(local, zone) {
  const wanted = Date.parse(`${local}Z`);
  const offsets = [wanted - DAY, wanted + DAY].map((near) => shown(near, zone) - near);
  return [...new Set(offsets)]
    .map((offset) => wanted - offset)
    .filter((instant) => shown(instant, zone) === wanted)
    .sort((one, other) => one - other)
    .map((instant) => new Date(instant).toISOString());
}

// Return what the clocks of a zone show at an instant, to the minute: 2026-11-24T12:00.
export const localOf = (instant, zone) =>
  new Date(shown(Date.parse(instant), zone)).toISOString().slice(0, 16);

// Name how far the clocks of a zone are ahead of UTC at an instant: UTC+3, UTC-3:30.
export function offsetOf(instant, zone) {
  const second = Math.floor(Date.parse(instant) / 1_000) * 1_000;
  const minutes = (shown(second, zone) - second) / 60_000;
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  return `UTC${minutes < 0 ? "-" : "+"}${hours}${rest ? `:${String(rest).padStart(2, "0")}` : ""}`;
}

// Tell an instant by a zone's clocks, which are named; in UTC as its title. Where the clocks
// show the same twice, their offset tells which it is.
export function time(instant, { zone, place }) {
  const element = document.createElement("time");
  element.dateTime = instant;
  element.title = `${instant.slice(0, 16).replace("T", " ")} UTC`;
  const { lang } = document.documentElement;
  // As the countries here write dates, and as the rest of the page does: the day first.
  const words = new Intl.DateTimeFormat(lang === "en" ? "en-GB" : lang, {
    timeZone: zone, dateStyle: "medium", timeStyle: "short",
  });
  const isTwice = instantsOf(localOf(instant, zone), zone).length > 1;
  const clock = isTwice ? `${place}, ${offsetOf(instant, zone)}` : place;
  element.textContent = `${words.format(new Date(instant))} (${clock})`;
  return element;
}
