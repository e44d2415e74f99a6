// @ts-check
// Chat templates are Jinja, which highlight.js does not have: tags, expressions and comments, with what stands in them.

const KEYWORDS =
  "if elif else endif for endfor in set endset macro endmacro call endcall filter endfilter block endblock raw endraw " +
  "with endwith generation endgeneration is not and or break continue do import include recursive";

/** @param {any} hljs */
export function jinja(hljs) {
  const inside = {
    keywords: {
      keyword: KEYWORDS,
      literal: "true false none True False None",
      built_in: "loop namespace range raise_exception strftime_now tojson trim defined string mapping iterable",
    },
    contains: [hljs.QUOTE_STRING_MODE, hljs.APOS_STRING_MODE, hljs.NUMBER_MODE],
  };
  const between = (/** @type {RegExp} */ begin, /** @type {RegExp} */ end, /** @type {string} */ scope) => ({
    begin,
    end,
    beginScope: scope,
    endScope: scope,
    ...inside,
  });
  return {
    name: "Jinja",
    contains: [
      hljs.COMMENT(/\{#/, /#\}/),
      between(/\{%[-+]?/, /[-+]?%\}/, "template-tag"),
      between(/\{\{[-+]?/, /[-+]?\}\}/, "template-variable"),
    ],
  };
}
