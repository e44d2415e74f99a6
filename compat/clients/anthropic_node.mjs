// The official client of Anthropic's API for JavaScript.

import { createRequire } from "node:module";
import * as demo from "./demo.mjs";

const Anthropic = createRequire(`${process.env.COMPAT_MODULES}/`)("@anthropic-ai/sdk").default;
const client = new Anthropic({ baseURL: demo.URL, apiKey: "none", maxRetries: 0 });
const model = demo.MODEL;
const messages = [{ role: "user", content: demo.QUESTION }];
const story = [{ role: "user", content: demo.STORY }];
const { name, description, parameters } = demo.WEATHER;
const tools = [{ name, description, input_schema: parameters }];
const locked = (apiKey) => new Anthropic({ baseURL: demo.LOCKED_URL, apiKey, maxRetries: 0 });
const lacks = (what) => async () => {
  throw new demo.NotThere(what);
};

await demo.run(["@anthropic-ai/sdk"], {
  async list() {
    const found = [];
    for await (const each of client.models.list()) found.push(each.id);
    demo.check(found.includes(model), found);
  },

  async chat() {
    const reply = await client.messages.create({ model, messages, max_tokens: 20 });
    demo.check(reply.content[0].text, "some text");
    const counted = await client.messages.countTokens({ model, messages });
    const { input_tokens, cache_read_input_tokens } = reply.usage;
    demo.check(counted.input_tokens === input_tokens + cache_read_input_tokens, "the prompt's tokens are counted");
  },

  async stream() {
    const stream = client.messages.stream({ model, messages: story, max_tokens: 20 });
    let pieces = 0;
    stream.on("text", () => pieces++);
    const whole = await stream.finalMessage();
    demo.check(pieces > 3, `${pieces} pieces`);
    demo.check(whole.usage.output_tokens === 20, "usage at the end");
  },

  async tools() {
    const asked = [{ role: "user", content: demo.WEATHER_QUESTION }];
    const options = { model, messages: asked, tools, max_tokens: 100 };
    const tool_choice = { type: "any", disable_parallel_tool_use: true };
    const reply = await client.messages.create({ ...options, tool_choice });
    const call = reply.content.find((block) => block.type === "tool_use");
    demo.checkWeatherCall(call.name, call.input);
    const result = { type: "tool_result", tool_use_id: call.id, content: demo.WEATHER_RESULT };
    asked.push({ role: "assistant", content: reply.content }, { role: "user", content: [result] });
    const told = await client.messages.create({ ...options, messages: asked, tool_choice: { type: "none" } });
    demo.check(told.content.length > 0, "an answer with the result");
  },

  async schema() {
    const asked = [{ role: "user", content: demo.BIRD_QUESTION }];
    const output_config = { format: { type: "json_schema", schema: demo.BIRD_SCHEMA } };
    for (let run = 0; run < demo.NUM_SCHEMA_RUNS; run++) {
      const reply = await client.messages.create({ model, messages: asked, max_tokens: 200, output_config });
      demo.checkBird(JSON.parse(reply.content[0].text));
    }
  },

  embeddings: lacks("Anthropic's API has no embeddings"),

  async cancel() {
    const stream = await client.messages.create({ model, messages: story, max_tokens: 4000, stream: true });
    let count = 0;
    for await (const event of stream) {
      if (event.type !== "content_block_delta" || ++count < 5) continue;
      await demo.checkBusy();
      break; // closes the connection
    }
    return demo.waitForFreeSlot();
  },

  async key() {
    const ask = () => locked("wrong").messages.create({ model, messages, max_tokens: 5 });
    await demo.expectError(Anthropic.AuthenticationError, ask, "authentication_error");
    demo.check((await locked(demo.KEY).models.list()).data.length > 0, "the right key opens");
  },

  async "too long"() {
    const asked = [{ role: "user", content: demo.TOO_LONG }];
    const ask = () => client.messages.create({ model, messages: asked, max_tokens: 5 });
    await demo.expectError(Anthropic.BadRequestError, ask, "prompt is too long");
  },

  async "no model"() {
    const ask = () => client.messages.create({ model: demo.NO_MODEL, messages, max_tokens: 5 });
    await demo.expectError(Anthropic.NotFoundError, ask, "not_found_error");
  },

  responses: lacks("OpenAI's alone"),
  batches: lacks("Anthropic's message batches are another API, which is not here"),
});
