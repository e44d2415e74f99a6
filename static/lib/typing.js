// @ts-check
// Fields that are drawn anew while somebody types in them.

/**
 * What a field shows: the value that holds, but while it is being typed in, what was typed so far.
 * @param {string} id the field's
 * @param {string|number|null|undefined} value
 */
export function shownValue(id, value) {
  const field = document.activeElement;
  return field instanceof HTMLInputElement && field.id === id ? field.value : (value ?? "");
}
