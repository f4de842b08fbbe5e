// `@runware/sdk-js` from npm, installed in the folder that is the first argument.
// Calls come as in calls.py.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { Runware } = createRequire(`${process.argv[2]}/`)("@runware/sdk-js");
const MODEL = "runware:504@1";
const clients = [];

const dataURI = (path) => `data:image/png;base64,${readFileSync(path).toString("base64")}`;

const functions = {
  async connect({ url, key }) {
    const client = new Runware({ apiKey: key, url, timeoutDuration: 2000 });
    clients.push(client);
    await client.ensureConnection();
  },
  async upscale({ image, older, ...members }) {
    const place = older ? { inputImage: image } : { inputs: { image } };
    return await clients.at(-1).upscale({ ...place, model: MODEL, ...members });
  },
  async upscale_file({ path, ...members }) {
    return await functions.upscale({ image: dataURI(path), ...members });
  },
  async upload({ path }) {
    return await clients.at(-1).imageUpload({ image: dataURI(path) });
  },
  async wait_until_connected() {
    await clients.at(-1).ensureConnection();
  },
  async close() {
    for (const client of clients.splice(0)) await client.disconnect();
  },
};

async function answer({ function: name, arguments: members }) {
  const reply = {};
  try {
    reply.value = (await functions[name](members)) ?? null;
  } catch (failure) {
    const { code, message } = failure?.error ?? failure;
    reply.error = { type: "Error", code: code ?? null, message: message ?? String(failure) };
  }
  console.log(JSON.stringify(reply));
}

process.on("unhandledRejection", () => {}); // it rejects promises that nobody holds
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => answer(JSON.parse(line)));
lines.on("close", () => process.exit(0));
