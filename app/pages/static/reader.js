// For every page: offers the vehicle that the reader last chose, keeps pages for when there is no
// network, and says so when a page is one of those.

const { root, cachedAt } = document.documentElement.dataset;
export const PROFILE = ["traffic", "to", "as", "citizen_of", "empty", "weight_kg", "height_m"];
export const STORED_PROFILE = "crossings.profile";

// What the reader says of themselves stays in this browser: it is in addresses, and stored here.

/** Return those parameters of a query that say whom an answer is for. */
function profileOf(query) {
  const pairs = [...new URLSearchParams(query)].filter(([name, value]) => PROFILE.includes(name) && value);
  return new URLSearchParams(pairs).toString();
}

const named = [...new URLSearchParams(location.search).keys()].some((name) => PROFILE.includes(name));
const form = document.querySelector("form[data-profile]");
if (form && named) localStorage.setItem(STORED_PROFILE, profileOf(location.search));
const stored = localStorage.getItem(STORED_PROFILE);
const offer = document.querySelector(".remembered");
if (offer && stored && !named) {
  const link = offer.querySelector("a");
  const address = new URL(link.href);
  for (const [name, value] of new URLSearchParams(stored)) address.searchParams.append(name, value);
  link.href = address;
  offer.hidden = false;
}

// A page that the service worker had kept: how old it is, in the reader's language.

if (cachedAt) {
  const notice = document.getElementById("offline").content.cloneNode(true).firstElementChild;
  const lang = document.documentElement.lang.replace(/^en$/, "en-GB");
  const since = new Date(cachedAt);
  const minutes = Math.round((since - Date.now()) / 60_000);
  const [amount, unit] = minutes > -120 ? [minutes, "minute"] : minutes > -2_880 ? [minutes / 60, "hour"] : [minutes / 1_440, "day"];
  const ago = new Intl.RelativeTimeFormat(lang, { numeric: "auto" }).format(Math.round(amount), unit);
  const time = since.toLocaleString(lang, { dateStyle: "medium", timeStyle: "short" });
  const text = notice.firstChild;
  text.data = text.data.replace("{ago}", ago).replace("{time}", time);
  document.body.classList.add("offline");
  document.querySelector("main").before(notice);
}

// Not in frames of other sites, which embed nothing but the answer.
if ("serviceWorker" in navigator) navigator.serviceWorker.register(`${root}/sw.js`, { scope: `${root}/` });
