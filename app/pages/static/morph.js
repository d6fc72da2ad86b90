// Makes one element like another by altering only what differs, so that focus, scroll position
// and opened details stay as the reader has them. What has an id is known by it again.
//
// Elements with `data-keep` are left alone: they hold what the reader does. Those with
// `data-added` came from scripts: the server knows nothing of them.

const LOOK_AHEAD = 4;

const isElement = (node) => node.nodeType === Node.ELEMENT_NODE;
const isOurs = (node) => !(isElement(node) && "added" in node.dataset);

export function morph(from, to) {
  morphAttributes(from, to);
  const olds = [...from.childNodes].filter(isOurs);
  const news = [...to.childNodes];
  const pairs = news.map(matcher(olds, news));
  const kept = new Set(pairs);
  for (const old of olds) if (!kept.has(old)) old.remove();
  let place = from.firstChild;
  news.forEach((next, number) => {
    const old = pairs[number];
    while (place && !isOurs(place)) place = place.nextSibling;
    if (!old) from.insertBefore(document.importNode(next, true), place);
    else if (old === place) place = place.nextSibling;
    // To move an element takes the focus from it: only where the order is another.
    else from.insertBefore(old, place);
    if (old) morphNode(old, next);
  });
}

function morphNode(old, next) {
  if (!isElement(old)) {
    if (old.data !== next.data) old.data = next.data;
  } else if (!("keep" in old.dataset)) {
    morph(old, next);
  }
}

// Return a function that finds the old node to become a new one; undefined where there is none.
function matcher(olds, news) {
  const wanted = new Set(news.map((next) => next.id).filter(Boolean));
  const byId = new Map(olds.filter((old) => old.id).map((old) => [old.id, old]));
  const others = olds.filter((old) => !wanted.has(old.id));
  const isLike = (next) => (old) => old.nodeName === next.nodeName && old.nodeType === next.nodeType;
  return (next) => {
    const known = next.id ? byId.get(next.id) : undefined;
    if (known && isLike(next)(known)) return known;
    const number = others.slice(0, LOOK_AHEAD).findIndex(isLike(next));
    return number < 0 ? undefined : others.splice(0, number + 1).at(-1);
  };
}

function morphAttributes(from, to) {
  for (const { name, value } of to.attributes) {
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  for (const { name } of [...from.attributes]) {
    const isReaders = name === "open" && from.nodeName === "DETAILS";
    if (!to.hasAttribute(name) && !isReaders) from.removeAttribute(name);
  }
}
