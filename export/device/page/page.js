// Runs the model of this folder on its images by LiteRT.js, on the CPU and, where the browser has WebGPU, on the GPU, and
// shows what came out beside what the machine that made the page has found.
import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";

// LiteRT writes all that it says of itself as errors.
const complain = console.error.bind(console);
console.error = (...words) => (/^(INFO|VERBOSE|WARNING):/.test(words[0]) ? console.info : complain)(...words);

const ARRAYS = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array };
const LIMITS = { int32: [-(2 ** 31), 2 ** 31 - 1], uint8: [0, 255] };
const WARM_UP = 5;
const MOST_FLIPS = 60;

const element = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(2)} %`;
const product = (numbers) => numbers.reduce((result, number) => result * number, 1);
const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

async function read(name) {
  const response = await fetch(name, { cache: "no-cache" }); // else the file of an earlier page might be run
  if (!response.ok) throw new Error(`${name} is missing: ${response.status}`);
  return response;
}

async function numbers(name, type) {
  return new ARRAYS[type](await (await read(name)).arrayBuffer());
}

// The pack with its images, as numbers in [0, 1], and the logits that were found where it was made.
async function load() {
  const pack = await (await read("pack.json")).json();
  for (const [number, set] of pack.sets.entries()) {
    set.pixels = await numbers(`images/${number}.bin`, set.type);
    set.logits = await numbers(`logits/${number}.bin`, "float32");
  }
  return pack;
}

function image(pack, set, row) {
  const size = product(pack.image);
  const part = set.pixels.subarray(row * size, (row + 1) * size);
  return set.type === "uint8" ? Float32Array.from(part, (level) => Math.fround(level) / Math.fround(255)) : part;
}

// What NumPy rounds to: of two that are as near, the even one.
function round(value) {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below;
}

// An image as the model takes it; the rest of a larger batch is zeros.
function stored(pixels, pack) {
  const [low, high] = pack.bounds;
  const { type, shape, scale, zero_point: zeroPoint } = pack.input;
  const scaled = new Float32Array(product(shape));
  pixels.forEach((pixel, place) => (scaled[place] = Math.fround(pixel * Math.fround(high - low)) + Math.fround(low)));
  if (type === "float32") return scaled;
  const [least, most] = LIMITS[type];
  return ARRAYS[type].from(scaled, (value) => Math.min(Math.max(round(Math.fround(value / scale)) + zeroPoint, least), most));
}

async function logits(model, pack, pixels) {
  const input = new Tensor(stored(pixels, pack), pack.input.shape);
  const outputs = await model.run(input);
  const values = await outputs[pack.scores.place].data();
  const { scale, zero_point: zeroPoint } = pack.scores;
  const found = Array.from(values.subarray(0, pack.classes), (value) => (value - zeroPoint) * scale);
  input.delete();
  outputs.forEach((output) => output.delete());
  return found;
}

function largest(values) {
  return values.indexOf(values.reduce((most, value) => Math.max(most, value), -Infinity));
}

// The answers of one accelerator to all images, with seconds for each.
async function run(pack, accelerator, progress) {
  const model = await loadAndCompile(new Uint8Array(await (await read("model.tflite")).arrayBuffer()), { accelerator });
  const answers = [];
  const milliseconds = [];
  for (let time = 0; time < WARM_UP; time++) await logits(model, pack, image(pack, pack.sets[0], 0));
  for (const [number, set] of pack.sets.entries()) {
    answers.push([]);
    for (let row = 0; row < pack.labels.length; row++) {
      const pixels = image(pack, set, row);
      const started = performance.now();
      answers[number].push(await logits(model, pack, pixels));
      milliseconds.push(performance.now() - started);
      progress((number * pack.labels.length + row + 1) / (pack.sets.length * pack.labels.length));
      if (row % 20 === 0) await new Promise((resume) => setTimeout(resume));
    }
  }
  const accelerated = model.isFullyAccelerated;
  model.delete();
  return { answers, milliseconds, accelerated };
}

function centered(values) {
  const middle = mean(values);
  return values.map((value) => value - middle);
}

// The figures of `export.verify`.
function figures(pack, { answers, milliseconds }) {
  const said = answers.map((rows) => rows.map(largest));
  const right = said[0].map((label, row) => label === pack.labels[row]);
  const attacks = pack.sets.slice(1).map((set, number) => {
    const stands = right.map((was, row) => was && !(said[number + 1][row] !== pack.labels[row] && set.valid[row]));
    return { attack: set.name, robust_accuracy: mean(stands.map(Number)) };
  });
  const flips = [];
  const differences = [];
  const expected = [];
  pack.sets.forEach((set, number) => {
    said[number].forEach((label, row) => {
      const before = Array.from(set.logits.subarray(row * pack.classes, (row + 1) * pack.classes));
      const recorded = centered(before);
      centered(answers[number][row]).forEach((value, place) => differences.push(value - recorded[place]));
      expected.push(...recorded);
      if (largest(before) !== label) flips.push({ number, row, before: largest(before), label });
    });
  });
  const middle = mean(expected);
  const spread = Math.sqrt(mean(expected.map((value) => (value - middle) ** 2)));
  const sorted = [...milliseconds].sort((one, other) => one - other);
  return {
    clean_accuracy: mean(right.map(Number)),
    attacks,
    flips,
    images: said.flat().length,
    largest: differences.reduce((most, value) => Math.max(most, Math.abs(value)), 0),
    relative_rms: Math.sqrt(mean(differences.map((value) => value ** 2))) / Math.max(spread, 1e-12),
    latency_ms: {
      median: sorted[Math.floor(sorted.length / 2)],
      p90: sorted[Math.min(Math.floor(sorted.length * 0.9), sorted.length - 1)],
    },
  };
}

function row(cells) {
  const line = document.createElement("tr");
  cells.forEach((text) => (line.insertCell().textContent = text));
  return line;
}

function show(pack, found) {
  const names = Object.keys(found);
  element("heading").replaceChildren();
  ["", "where it was made", ...names].forEach((text) => {
    const cell = document.createElement("th");
    cell.textContent = text;
    element("heading").append(cell);
  });
  const lines = [["clean accuracy", percent(pack.expected.clean_accuracy), ...names.map((name) => percent(found[name].clean_accuracy))]];
  pack.sets.slice(1).forEach((set, number) => {
    const here = names.map((name) => percent(found[name].attacks[number].robust_accuracy));
    lines.push([`robust under ${set.name}`, percent(pack.expected.robust_accuracy[number]), ...here]);
  });
  const of = (title, value) => lines.push([title, "", ...names.map((name) => value(found[name]))]);
  of("predictions that differ", (one) => `${one.flips.length} of ${one.images}`);
  of("largest difference of logits", (one) => one.largest.toExponential(1));
  of("milliseconds an image, median", (one) => one.latency_ms.median.toFixed(3));
  of("90 % within", (one) => one.latency_ms.p90.toFixed(3));
  element("rows").replaceChildren(...lines.map(row));
  element("figures").hidden = false;
}

function picture(pack, set, place) {
  const [height, width, channels] = pack.image;
  const pixels = image(pack, set, place);
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const shown = new ImageData(width, height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let channel = 0; channel < 3; channel++) {
      shown.data[4 * pixel + channel] = 255 * pixels[pixel * channels + (channels < 3 ? 0 : channel)];
    }
    shown.data[4 * pixel + 3] = 255;
  }
  canvas.getContext("2d").putImageData(shown, 0, 0);
  return canvas;
}

function showFlips(pack, flips) {
  element("flips").hidden = !flips.length;
  for (const flip of flips.slice(0, MOST_FLIPS)) {
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    const set = pack.sets[flip.number];
    caption.textContent = `${set.name}, example ${flip.row}: ${flip.before} there, ${flip.label} here`;
    const canvas = picture(pack, set, flip.row);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", caption.textContent);
    figure.append(canvas, caption);
    element("gallery").append(figure);
  }
}

function offer(pack, found) {
  const { flips, ...cpu } = found.CPU;
  const others = Object.entries(found).filter(([name]) => name !== "CPU");
  const result = {
    format: 1,
    model_sha256: pack.model_sha256,
    examples_sha256: pack.examples_sha256,
    attacks_sha256: pack.attacks_sha256,
    seed: pack.seed,
    examples: pack.labels.length,
    ...cpu,
    flips: flips.length,
    expected: pack.expected,
    device: { machine: navigator.platform, system: navigator.userAgent, runtime: "LiteRT.js", threads: 1, delegate: "XNNPACK" },
    others: Object.fromEntries(others.map(([name, { flips: those, ...one }]) => [name, { ...one, flips: those.length }])),
  };
  const text = JSON.stringify(result, null, 2);
  element("download").href = URL.createObjectURL(new Blob([`${text}\n`], { type: "application/json" }));
  element("download").hidden = false;
  window.result = result; // for programs that drive this page
}

async function main() {
  const pack = await load();
  element("model").textContent = pack.model;
  element("summary").textContent =
    `${pack.labels.length} examples of ${pack.dataset ?? "the given data"}, clean and under ` +
    `${pack.sets.length - 1} attack${pack.sets.length === 2 ? "" : "s"}. The model runs in this browser; nothing leaves this device.`;
  await loadLiteRt("./litert/wasm/");
  const found = {};
  for (const [name, accelerator] of [["CPU", "wasm"], ...((await navigator.gpu?.requestAdapter()) ? [["WebGPU", "webgpu"]] : [])]) {
    element("status").textContent = `Running on ${name}…`;
    try {
      const ran = await run(pack, accelerator, (share) => (element("progress").value = share));
      if (name === "CPU" || ran.accelerated) found[name] = figures(pack, ran);
    } catch (error) {
      if (name === "CPU") throw error;
      element("device").textContent = `WebGPU does not run it: ${error.message}`;
    }
    show(pack, found);
  }
  element("status").textContent = "Done";
  showFlips(pack, found.CPU.flips);
  offer(pack, found);
}

main().catch((error) => {
  element("status").textContent = `This model cannot be run here: ${error.message}`;
  element("status").className = "error";
});
