// For a screen across the room: shows the page part by part when it does not fit, and begins again
// at its top. Nobody can scroll there.

const PART_TIME = 12_000; // long enough to read one part
const OVERLAP = 0.9; // of the height, so that no line is cut off in both parts

setInterval(() => {
  const { scrollHeight, clientHeight, scrollTop } = document.scrollingElement;
  const isAtEnd = scrollTop + clientHeight >= scrollHeight - 1;
  window.scrollTo({ top: isAtEnd ? 0 : scrollTop + OVERLAP * clientHeight, behavior: "instant" });
}, PART_TIME);
