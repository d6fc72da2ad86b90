// Makes one element equal to another by changing only what differs, so that focus, scroll position
// and opened details are preserved. Elements with an id are matched by it.
//
// Elements with `data-keep` are left alone, because they hold input of the reader. Those with
// `data-added` were added by scripts, so the server does not send them.

const LOOK_AHEAD = 4;

const isElement = (node) => node.nodeType === Node.ELEMENT_NODE;
const isFromServer = (node) => !(isElement(node) && "added" in node.dataset);

export function morph(from, to) {
  morphAttributes(from, to);
  const olds = [...from.childNodes].filter(isFromServer);
  const news = [...to.childNodes];
  const pairs = news.map(matcher(olds, news));
  const matched = new Set(pairs);
  for (const old of olds) if (!matched.has(old)) old.remove();
  let position = from.firstChild;
  news.forEach((next, number) => {
    const old = pairs[number];
    while (position && !isFromServer(position)) position = position.nextSibling;
    if (!old) from.insertBefore(document.importNode(next, true), position);
    else if (old === position) position = position.nextSibling;
    // Moving an element takes the focus from it, so move only where the order differs.
    else from.insertBefore(old, position);
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

// Return a function from a new node to the old node to be changed into it, or undefined.
function matcher(olds, news) {
  const newIds = new Set(news.map((next) => next.id).filter(Boolean));
  const byId = new Map(olds.filter((old) => old.id).map((old) => [old.id, old]));
  const others = olds.filter((old) => !newIds.has(old.id));
  const isLike = (next) => (old) => old.nodeName === next.nodeName && old.nodeType === next.nodeType;
  return (next) => {
    const sameId = next.id ? byId.get(next.id) : undefined;
    if (sameId && isLike(next)(sameId)) return sameId;
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
