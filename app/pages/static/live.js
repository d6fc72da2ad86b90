// Keeps a page about the present current: follows the stream of changes and, when something
// that concerns it was committed, takes the page's own HTML again and alters what differs.
//
// `data-live` of <main> is the stream's address, `data-change` the change that the page
// reflects, `data-every` seconds after which it is taken again whatever happens.

import { morph } from "./morph.js";

const GRACE = 5_000; // a server that restarts is back sooner
const AGAIN = 15_000;
const SPREAD = 1_000; // not all readers at once
const NOTICE = 8_000;
const SAID = 4; // changes that are said one by one

const main = document.querySelector("main");
const box = document.querySelector("#live");
const [notice, age] = box.querySelectorAll("p");
// As the rest of the page writes it: 24 hours.
const lang = document.documentElement.lang.replace(/^en$/, "en-GB");
const every = Number(main.dataset.every ?? 120) * 1_000;

let change = Number(main.dataset.change);
let asOf = new Date();
let stream;
let lostTimer, againTimer, renewTimer, noticeTimer, ageTimer;

// What the reader is told

const clock = () => asOf.toLocaleTimeString(lang, { timeStyle: "short" });

function ago() {
  const seconds = Math.round((asOf - Date.now()) / 1_000);
  const words = new Intl.RelativeTimeFormat(lang, { numeric: "auto" });
  return seconds > -60 ? words.format(seconds, "second") : words.format(Math.round(seconds / 60), "minute");
}

// What the page says of each thing in words: `data-said` of its elements.
const said = () => new Set([...main.querySelectorAll("[data-said]")].map((one) => one.dataset.said));

/** Say what is new, in a few words: who cannot see the page hears only this. */
function sayUpdated(news) {
  const told = news.slice(0, SAID);
  if (news.length > SAID) told.push(box.dataset.more.replace("{count}", news.length - SAID));
  say([...told, box.dataset.updated.replace("{time}", clock())].join(". "));
}

function say(text, { unseen = false } = {}) {
  notice.classList.toggle("hidden", unseen);
  notice.textContent = text;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => { notice.textContent = ""; }, NOTICE);
}

function tellAge() {
  const text = box.dataset.lost.replace("{time}", clock()).replace("{ago}", ago());
  age.querySelector("span").textContent = text;
  // Read out once, not each time that it grows older.
  if (age.hidden) say(text, { unseen: true });
  age.hidden = false;
  clearTimeout(ageTimer);
  ageTimer = setTimeout(tellAge, 10_000);
}

function tellCurrent() {
  clearTimeout(lostTimer);
  clearTimeout(ageTimer);
  lostTimer = undefined;
  age.hidden = true;
}

// The page

async function renew({ quietly = false } = {}) {
  clearTimeout(renewTimer);
  renewTimer = setTimeout(renew, AGAIN, { quietly: true }); // should this fail
  let response;
  try {
    const headers = { Accept: "text/html", "At-Least-Change": String(Math.max(change, 0)) };
    response = await fetch(location.href, { headers, cache: "no-cache" });
  } catch {
    return lose(); // no network: the stream tells of that too
  }
  if (!response.ok) return lose();
  const next = new DOMParser().parseFromString(await response.text(), "text/html");
  const before = main.textContent;
  const known = said();
  morph(main, next.querySelector("main"));
  document.title = next.title;
  document.querySelector("link[rel=icon]").href = next.querySelector("link[rel=icon]").href;
  const old = document.querySelector("body > .old");
  const young = next.querySelector("body > .old");
  if (old && young) old.replaceWith(young);
  else if (old) old.remove();
  else if (young) main.before(young);
  // While the service itself is behind, it is asked more often.
  clearTimeout(renewTimer);
  renewTimer = setTimeout(renew, young ? AGAIN : every, { quietly: true });
  asOf = new Date();
  if (stream?.readyState === EventSource.OPEN) tellCurrent();
  if (main.textContent !== before) {
    document.dispatchEvent(new Event("renewed"));
    const news = [...said()].filter((one) => !known.has(one));
    if (news.length || !quietly) sayUpdated(news);
  }
}

function hear(event) {
  change = Math.max(change, Number(event.lastEventId));
  clearTimeout(renewTimer);
  renewTimer = setTimeout(renew, Math.random() * SPREAD);
}

// The stream

function follow() {
  clearTimeout(againTimer);
  stream?.close();
  const address = new URL(main.dataset.live, location.href);
  if (change >= 0) address.searchParams.set("after", change);
  stream = new EventSource(address);
  stream.onopen = () => {
    if (!age.hidden) renew(); // whatever happened meanwhile
    else tellCurrent();
  };
  stream.onerror = () => {
    lose();
    // The browser comes back by itself, except from a refusal.
    if (stream.readyState === EventSource.CLOSED) againTimer = setTimeout(follow, AGAIN);
  };
  for (const kind of box.dataset.kinds.split(" ")) stream.addEventListener(kind, hear);
  stream.addEventListener("dropped", (event) => {
    change = JSON.parse(event.data).after;
    renew();
  });
}

function lose() {
  lostTimer ??= setTimeout(tellAge, GRACE);
}

function stop() {
  stream?.close();
  clearTimeout(againTimer);
  clearTimeout(renewTimer);
}

function start() {
  if (!("live" in main.dataset)) return; // it shows the past now
  follow();
  renewTimer = setTimeout(renew, every, { quietly: true });
}

// A window that nobody sees holds no connection: browsers allow six to a host.
document.addEventListener("visibilitychange", () => {
  stop();
  if (document.hidden) return;
  start();
  if ("live" in main.dataset) renew();
});
// A page that shows something else in place says so, after it has altered <main>.
document.addEventListener("moved", () => {
  stop();
  change = Number(main.dataset.change);
  asOf = new Date();
  tellCurrent();
  start();
});

start();
