// @ts-check
// One program: closed a line, opened what to paste where, what to know, and a test that says each step in words.
import {h} from "vue";
import {icon} from "glasshouse/icon.js";
import {codeView, copyAndSay} from "glasshouse/models_code.js";

const SPEAKS = {openai: "OpenAI", responses: "OpenAI Responses", anthropic: "Anthropic", ollama: "Ollama"};
const USES = {list: "lists models", chat: "asks", stream: "streams", tools: "calls tools"};
const STEP_ICONS = {ok: "circle-check", note: "info", failed: "circle-alert", skipped: "square"};
/** highlight.js's names where they differ from ours. */
const LANGUAGES = {toml: "ini", yaml: "yaml"};

/** @param {any} client @param {any} page */
export function connectCard(client, page) {
  const isOpen = page.opened === client.id;
  const test = page.tests[client.id];
  const bodyId = `connect-${client.id}`;
  return h("li", {key: client.id, class: isOpen && "opened"}, [
    h("article", {class: ["card", "connect-card", isOpen && "is-open"], "aria-label": client.name}, [
      h("div", {class: "connect-line"}, [
        h("h2", {class: "connect-name"}, [
          h(
            "button",
            {
              type: "button",
              class: "row-open",
              "aria-expanded": isOpen,
              "aria-controls": bodyId,
              onClick: () => page.toggle(client.id),
            },
            client.name,
          ),
        ]),
        testMark(test),
        h("span", {class: "connect-speaks"}, SPEAKS[client.speaks]),
        icon(isOpen ? "chevron-up" : "chevron-down", {class: "icon connect-arrow"}),
      ]),
      isOpen &&
        h("div", {class: "connect-body", id: bodyId}, [
          ...client.paste.map((paste) => pasted(paste)),
          ...client.hints.map((hint) => h("p", {class: "hint connect-hint", key: hint}, hint)),
          tried(client, test, page),
        ]),
    ]),
  ]);
}

/** @param {{where: string, language: string, text: string}} paste */
function pasted(paste) {
  if (paste.language === "fields") return fields(paste);
  return h("div", {class: "pasted", key: paste.where}, [
    codeView(paste.text, LANGUAGES[paste.language] ?? paste.language, paste.where),
  ]);
}

/** What is typed into a form: each value with a button of its own. @param {{where: string, text: string}} paste */
function fields({where, text}) {
  const rows = text.split("\n").map((line) => {
    const at = line.indexOf(": ");
    return [line.slice(0, at), line.slice(at + 2)];
  });
  return h("div", {class: "pasted form-fields", key: where}, [
    h("p", {class: "form-fields-where"}, where),
    h(
      "dl",
      rows.flatMap(([name, value]) => [
        h("dt", name),
        h("dd", [
          h("code", value),
          h(
            "button",
            {type: "button", class: "icon-button", "aria-label": `Copy: ${name}`, onClick: () => copyAndSay(value)},
            icon("copy"),
          ),
        ]),
      ]),
    ),
  ]);
}

/** @param {any} test */
function testMark(test) {
  if (!test) return null;
  if (test.isRunning) return h("span", {class: "badge"}, "trying…");
  const isFine = test.steps.length > 0 && test.steps.every((step) => step.state === "ok" || step.state === "note");
  return h("span", {class: ["badge", isFine ? "good" : "bad"]}, isFine ? "works" : "does not work");
}

/** @param {any} client @param {any} test @param {any} page */
function tried(client, test, page) {
  const uses = client.uses.map((use) => USES[use]).join(", ");
  return h("div", {class: "connect-test"}, [
    h("div", {class: "connect-test-head"}, [
      test?.isRunning
        ? h("button", {type: "button", class: "button", onClick: () => page.ask("stop", client.id)}, [
            icon("circle-stop"),
            "Stop",
          ])
        : h("button", {type: "button", class: "button primary", onClick: () => page.test(client.id)}, [
            icon("stethoscope"),
            test ? "Try again" : "Try it",
          ]),
      h("p", {class: "hint"}, [
        `Asks this server what ${client.name} would: it ${uses}. `,
        page.key
          ? "With your key, as the program would send it."
          : page.place.needsKey
            ? "Without a key, as the server itself: put one in above to try it as the program would."
            : "As from this machine.",
      ]),
    ]),
    test &&
      h(
        "ol",
        {class: "connect-steps", "aria-label": `Test of ${client.name}`, "aria-live": "polite"},
        test.steps.map((step) =>
          h("li", {class: ["connect-step", step.state], key: step.use}, [
            icon(STEP_ICONS[step.state]),
            h("div", [
              h("p", {class: "step-title"}, [
                step.title,
                step.state === "skipped" ? null : h("span", {class: "numbers"}, ` ${step.seconds.toFixed(1)} s`),
              ]),
              h("p", {class: "step-words", dir: "auto"}, step.words),
            ]),
          ]),
        ),
      ),
    h("p", {class: "hint connect-source"}, [
      "Looked up at ",
      h("a", {href: client.source, target: "_blank", rel: "noopener noreferrer"}, client.source.replace("https://", "")),
    ]),
  ]);
}
