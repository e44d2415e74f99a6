// The official client of OpenAI's API for JavaScript.

import { createRequire } from "node:module";
import * as demo from "./demo.mjs";

const OpenAI = createRequire(`${process.env.COMPAT_MODULES}/`)("openai").default;
const client = new OpenAI({ baseURL: `${demo.URL}/v1`, apiKey: "none", maxRetries: 0 });
const model = demo.MODEL;
const messages = [{ role: "user", content: demo.QUESTION }];
const story = [{ role: "user", content: demo.STORY }];
const tools = [{ type: "function", function: demo.WEATHER }];
const locked = (apiKey) => new OpenAI({ baseURL: `${demo.LOCKED_URL}/v1`, apiKey, maxRetries: 0 });

await demo.run(["openai"], {
  async list() {
    const found = [];
    for await (const each of client.models.list()) found.push(each.id);
    demo.check(found.includes(model), found);
  },

  async chat() {
    const reply = await client.chat.completions.create({ model, messages, max_completion_tokens: 20 });
    demo.check(reply.choices[0].message.content, "some text");
    demo.check(reply.usage.completion_tokens <= 20, "the tokens are counted");
  },

  async stream() {
    const options = { model, messages: story, max_completion_tokens: 20, stream_options: { include_usage: true } };
    const stream = client.chat.completions.stream(options);
    let pieces = 0;
    for await (const chunk of stream) pieces += chunk.choices[0]?.delta.content ? 1 : 0;
    demo.check(pieces > 3, `${pieces} pieces`);
    demo.check((await stream.totalUsage()).completion_tokens === 20, "usage at the end");
  },

  async tools() {
    const asked = [{ role: "user", content: demo.WEATHER_QUESTION }];
    const options = { model, messages: asked, tools, parallel_tool_calls: false, max_completion_tokens: 100 };
    const { message } = (await client.chat.completions.create({ ...options, tool_choice: "required" })).choices[0];
    const [call] = message.tool_calls;
    demo.checkWeatherCall(call.function.name, call.function.arguments);
    asked.push(message, { role: "tool", tool_call_id: call.id, content: demo.WEATHER_RESULT });
    const told = await client.chat.completions.create({ ...options, messages: asked, tool_choice: "none" });
    demo.check(told.choices[0].message.content, "an answer with the result");
  },

  async schema() {
    const response_format = { type: "json_schema", json_schema: { name: "bird", strict: true, schema: demo.BIRD_SCHEMA } };
    const asked = [{ role: "user", content: demo.BIRD_QUESTION }];
    for (let seed = 0; seed < demo.NUM_SCHEMA_RUNS; seed++) {
      const options = { model, messages: asked, response_format, seed, temperature: 1 };
      const reply = await client.chat.completions.parse(options);
      demo.checkBird(JSON.parse(reply.choices[0].message.content));
    }
  },

  async embeddings() {
    const reply = await client.embeddings.create({ model: demo.EMBEDDING_MODEL, input: ["a red fox", "the blue sea"] });
    demo.checkVectors(reply.data.map((each) => each.embedding));
  },

  async cancel() {
    const stream = await client.chat.completions.create({ model, messages: story, stream: true });
    let count = 0;
    for await (const _ of stream) {
      if (++count < 5) continue;
      await demo.checkBusy();
      break; // closes the connection
    }
    return demo.waitForFreeSlot();
  },

  async key() {
    const ask = () => locked("wrong").chat.completions.create({ model, messages });
    await demo.expectError(OpenAI.AuthenticationError, ask);
    demo.check((await locked(demo.KEY).models.list()).data.length > 0, "the right key opens");
  },

  async "too long"() {
    const asked = [{ role: "user", content: demo.TOO_LONG }];
    const ask = () => client.chat.completions.create({ model, messages: asked });
    await demo.expectError(OpenAI.BadRequestError, ask, "context_length_exceeded");
  },

  async "no model"() {
    const ask = () => client.chat.completions.create({ model: demo.NO_MODEL, messages });
    await demo.expectError(OpenAI.NotFoundError, ask, "model_not_found");
  },

  async responses() {
    const first = await client.responses.create({ model, input: demo.QUESTION, max_output_tokens: 20 });
    demo.check(first.output_text, "some text");
    const options = { model, input: "And three more.", previous_response_id: first.id, max_output_tokens: 20 };
    const kinds = [];
    for await (const event of await client.responses.create({ ...options, stream: true })) kinds.push(event.type);
    demo.check(kinds[0] === "response.created" && kinds.includes("response.output_text.delta"), kinds);
  },

  async batches() {
    const body = { model, messages, max_completion_tokens: 5 };
    const line = JSON.stringify({ custom_id: "1", method: "POST", url: "/v1/chat/completions", body });
    const file = await client.files.create({ file: new File([line], "asked.jsonl"), purpose: "batch" });
    const asked = { input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h" };
    let batch = await client.batches.create(asked);
    const deadline = performance.now() + 60_000;
    while (!["completed", "failed", "expired", "cancelled"].includes(batch.status) && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      batch = await client.batches.retrieve(batch.id);
    }
    demo.check(batch.status === "completed", batch.status);
    const answer = JSON.parse(await (await client.files.content(batch.output_file_id)).text());
    demo.check(answer.response.status_code === 200, JSON.stringify(answer));
  },
});
