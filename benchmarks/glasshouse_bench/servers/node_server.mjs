// node-llama-cpp behind the one route that the benchmark asks: POST /v1/chat/completions, streamed and greedy.
//
// It uses the library's batching, its chat template and its reuse of a sequence's state, and the lowest of its ways to
// generate (`sequence.evaluate`), so that nothing of ours stands between the library and the figure. A question goes to
// the free sequence that has most of it already. Arguments: model, port, context of one slot, slots, threads.

import http from "node:http";
import {getLlama, resolveChatWrapper} from "node-llama-cpp";

const [modelPath, port, contextSize, sequences, threads] = process.argv.slice(2);
const llama = await getLlama({gpu: false, build: "never", maxThreads: Number(threads), logLevel: "warn"});
const model = await llama.loadModel({modelPath, defaultContextFlashAttention: true});
const context = await model.createContext({
    contextSize: Number(contextSize), sequences: Number(sequences), threads: Number(threads), batchSize: 2048,
});
const wrapper = resolveChatWrapper(model);
const free = Array.from({length: Number(sequences)}, () => context.getSequence());
const waiting = [];

function takeSequence(tokens) {
    const overlap = (sequence) => sequence.compareContextTokens(tokens).firstDifferentIndex;
    const best = free.reduce((one, other) => {
        const difference = overlap(other) - overlap(one);
        return difference > 0 || (difference === 0 && other.nextTokenIndex < one.nextTokenIndex) ? other : one;
    });
    free.splice(free.indexOf(best), 1);
    return best;
}

async function acquire(tokens) {
    if (free.length === 0)
        await new Promise((resolve) => waiting.push(resolve));
    return takeSequence(tokens);
}

function release(sequence) {
    free.push(sequence);
    waiting.shift()?.();
}

function tokenize(messages) {
    const chatHistory = messages.map(({role, content}) => (
        role === "assistant" ? {type: "model", response: [content]} : {type: role, text: content}
    ));
    if (chatHistory.at(-1).type !== "model")
        chatHistory.push({type: "model", response: [""]});
    return wrapper.generateContextState({chatHistory}).contextText.tokenize(model.tokenizer);
}

async function answer(request, body, send) {
    const tokens = tokenize(body.messages);
    const sequence = await acquire(tokens);
    let count = 0;
    try {
        await sequence.adaptStateToTokens(tokens.slice(0, -1), false);
        const cached = sequence.nextTokenIndex;
        const generated = [];
        let pending = [];
        const options = {temperature: 0, yieldEogToken: true};
        for await (const token of sequence.evaluate(tokens.slice(cached), options)) {
            pending.push(token);
            count += 1;
            const text = model.detokenize(pending, false, generated.slice(-8));
            if (text !== "" && !text.endsWith("\ufffd")) {
                send({choices: [{index: 0, delta: {content: text}, finish_reason: null}]});
                generated.push(...pending);
                pending = [];
            }
            if (count >= body.max_tokens || request.destroyed)
                break;
        }
        send({choices: [{index: 0, delta: {}, finish_reason: "length"}]});
        send({choices: [], usage: {
            prompt_tokens: tokens.length, completion_tokens: count, prompt_tokens_details: {cached_tokens: cached},
        }});
    } finally {
        release(sequence);
    }
}

const server = http.createServer(async (request, response) => {
    let text = "";
    for await (const piece of request)
        text += piece;
    response.writeHead(200, {"content-type": "text/event-stream"});
    const send = (event) => response.write(`data: ${JSON.stringify(event)}\n\n`);
    try {
        await answer(response, JSON.parse(text), send);
    } catch (error) {
        send({error: {message: String(error)}});
    }
    response.end("data: [DONE]\n\n");
});
server.listen(Number(port), "127.0.0.1");
