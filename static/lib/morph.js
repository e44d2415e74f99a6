// @ts-check
// Change DOM that is on the page into DOM that was just made, touching only what differs: text that grew is appended to
// the text node that is there, so a selection in it stays.

/**
 * Make the children of `target` from index `from` on look like the children of `wanted` (which is used up).
 * @param {Node} target
 * @param {Node} wanted
 * @param {number} [from]
 */
export function morph(target, wanted, from = 0) {
  /** @type {ChildNode|null} */
  let here = target.childNodes[from] ?? null;
  let there = wanted.firstChild;
  while (there) {
    const nextThere = there.nextSibling;
    if (here && canBecome(here, there)) {
      const nextHere = here.nextSibling;
      become(here, there);
      here = nextHere;
    } else if (here) {
      const nextHere = here.nextSibling;
      target.replaceChild(there, here);
      here = nextHere;
    } else {
      target.appendChild(there);
    }
    there = nextThere;
  }
  while (here) {
    const nextHere = here.nextSibling;
    target.removeChild(here);
    here = nextHere;
  }
}

/** @param {Node} here @param {Node} there */
function canBecome(here, there) {
  return here.nodeType === there.nodeType && here.nodeName === there.nodeName;
}

/** @param {Node} here @param {Node} there */
function become(here, there) {
  if (here instanceof Text && there instanceof Text) {
    if (here.data === there.data) return;
    if (there.data.startsWith(here.data)) here.appendData(there.data.slice(here.data.length));
    else here.data = there.data;
  } else if (here instanceof Element && there instanceof Element) {
    if (here.classList.contains("code-head") && here.firstChild?.textContent === there.firstChild?.textContent) return;
    copyAttributes(here, there);
    morph(here, there);
  }
}

/** @param {Element} here @param {Element} there */
function copyAttributes(here, there) {
  for (const {name} of [...here.attributes]) if (!there.hasAttribute(name)) here.removeAttribute(name);
  for (const {name, value} of there.attributes) if (here.getAttribute(name) !== value) here.setAttribute(name, value);
}
