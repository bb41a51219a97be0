// Opens a page in a running Chromium by the DevTools protocol, waits until it is ready, and prints what came out as JSON:
// node browser.mjs WEBSOCKET OPTIONS, which are JSON as browser.py makes it.
import { readFileSync, writeFileSync } from "node:fs";

const [socketUrl, options] = process.argv.slice(2);
const { url, width, dark, picture, ready, axe } = JSON.parse(options);
const socket = new WebSocket(socketUrl);
const waiting = new Map();
const problems = [];
const requests = [];
let count = 0;

function call(method, params = {}, sessionId = undefined) {
  const id = ++count;
  socket.send(JSON.stringify({ id, method, params, sessionId }));
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

socket.onmessage = ({ data }) => {
  const message = JSON.parse(data);
  if (message.id) {
    const { resolve, reject } = waiting.get(message.id);
    message.error ? reject(new Error(message.error.message)) : resolve(message.result);
  } else if (message.method === "Runtime.consoleAPICalled" && ["error", "assert"].includes(message.params.type)) {
    problems.push(message.params.args.map((one) => one.value ?? one.description).join(" "));
  } else if (message.method === "Runtime.exceptionThrown") {
    problems.push(message.params.exceptionDetails.exception?.description ?? message.params.exceptionDetails.text);
  } else if (message.method === "Log.entryAdded" && message.params.entry.level === "error") {
    problems.push(message.params.entry.text);
  } else if (message.method === "Network.requestWillBeSent") {
    requests.push(message.params.request.url);
  }
};
await new Promise((resolve) => (socket.onopen = resolve));
const { targetId } = await call("Target.createTarget", { url: "about:blank" });
const { sessionId } = await call("Target.attachToTarget", { targetId, flatten: true });
const page = (method, params) => call(method, params, sessionId);
for (const domain of ["Runtime", "Log", "Network", "Page"]) await page(`${domain}.enable`);
await page("Emulation.setDeviceMetricsOverride", { width, height: 800, deviceScaleFactor: 1, mobile: true });
await page("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }] });
await page("Page.navigate", { url });
const evaluate = async (expression) =>
  (await page("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true })).result.value;
while (!(await evaluate(`Boolean(${ready})`))) {
  await new Promise((resolve) => setTimeout(resolve, 100));
}
const found = await evaluate(`({
  result: window.result ?? null,
  status: document.getElementById("status")?.textContent ?? null,
  text: document.body.innerText,
  sideways: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  background: getComputedStyle(document.body).backgroundColor,
  missing: [...document.images].filter((image) => !image.complete || !image.naturalWidth).length,
  pictures: document.images.length,
  figure: document.querySelector("picture img")?.currentSrc ?? null,
})`);
const shot = await page("Page.captureScreenshot", { captureBeyondViewport: true });
writeFileSync(picture, Buffer.from(shot.data, "base64"));
let violations = [];
if (axe) {
  await evaluate(readFileSync(axe, "utf8") + ";0");
  violations = await evaluate(`axe.run().then(({ violations }) => violations.map(({ id, impact, nodes }) =>
    ({ id, impact, where: nodes.map((node) => node.target.join(" ")).slice(0, 3) })))`);
}
// On paper, of the width that A4 leaves between margins.
await page("Emulation.setEmulatedMedia", { media: "print" });
await page("Emulation.setDeviceMetricsOverride", { width: 718, height: 1000, deviceScaleFactor: 1, mobile: false });
const cut = await evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
const pdf = await page("Page.printToPDF", {});
console.log(JSON.stringify({ ...found, violations, cut, paper: pdf.data.length, problems, requests }));
socket.close();
