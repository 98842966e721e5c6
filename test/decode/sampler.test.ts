/**
 * The sampler against definitions written down a second time, slowly and with Math.exp; against the distributions that those give; and
 * its promises: greedy, seeds, forks, options, unusable logits.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createSampler, type SamplingOptions, topLogprobs } from "../../src/decode/sampler.ts";

/** All filters off; each test turns on what it is about. */
const plain: SamplingOptions = { temperature: 1, topK: 0, topP: 1, minP: 0, seed: 1 };

const f32 = (...values: number[]) => Float32Array.from(values);
const logs = (...probabilities: number[]) => Float32Array.from(probabilities, p => Math.log(p));

/** What the options mean: the probability of each token that can be chosen, by the definitions, with full sorts. */
function distribution(logits: Float32Array, options: SamplingOptions, accepted: number[] = []): Map<number, number> {
  const o = { temperature: 0.8, topK: 40, topP: 0.95, minP: 0.05, repeatPenalty: 1, frequencyPenalty: 0, presencePenalty: 0, ...options };
  const window = o.penaltyWindow === -1 ? accepted : accepted.slice(Math.max(0, accepted.length - (o.penaltyWindow ?? 64)));
  const bias = new Map(o.logitBias instanceof Map ? o.logitBias : Object.entries(o.logitBias ?? {}).map(([k, v]) => [Number(k), v]));
  let left = [...logits].map((logit, id) => {
    let value = logit + (bias.get(id) ?? 0);
    const count = window.filter(t => t === id).length;
    if (count > 0) value = (value > 0 ? value / o.repeatPenalty : value * o.repeatPenalty) - count * o.frequencyPenalty - o.presencePenalty;
    return { id, value };
  });
  left = left.filter(t => t.value > -Infinity).sort((a, b) => b.value - a.value || a.id - b.id);
  if (o.topK > 0) left = left.slice(0, o.topK);
  const weights = left.map(t => Math.exp(t.value - left[0].value));
  const total = weights.reduce((a, b) => a + b);
  let sum = 0;
  left = left.filter((_, i) => {
    const before = sum;
    sum += weights[i];
    return i === 0 || o.topP === 1 || before < o.topP * total; // at 1 it is off: what is lost to rounding stays
  });
  left = left.filter(t => Math.exp(t.value - left[0].value) >= o.minP);
  const cooled = left.map(t => Math.exp((t.value - left[0].value) / o.temperature));
  const rest = cooled.reduce((a, b) => a + b);
  return new Map(left.map((t, i) => [t.id, cooled[i] / rest]));
}

/** Chi-square of `draws` samples against the definition; a token outside it fails at once. Also the degrees of freedom. */
function chiSquare(logits: Float32Array, options: SamplingOptions, draws: number, accepted: number[] = []) {
  const expected = distribution(logits, options, accepted);
  const sampler = createSampler(options);
  for (const id of accepted) sampler.accept(id);
  const counts = new Map<number, number>();
  for (let i = 0; i < draws; i++) {
    const { id } = sampler.sample(logits);
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  expect([...counts.keys()].filter(id => !expected.has(id))).toEqual([]);
  const terms = [...expected].map(([id, p]) => ((counts.get(id) ?? 0) - p * draws) ** 2 / (p * draws));
  return { chi: terms.reduce((a, b) => a + b), degrees: expected.size - 1 };
}

/** A bound that chi-square passes with probability below 1e-4 (Wilson and Hilferty's approximation at 3.72 standard deviations). */
const bound = (degrees: number) => degrees * (1 - 2 / (9 * degrees) + 3.72 * Math.sqrt(2 / (9 * degrees))) ** 3;

describe("the chain", () => {
  const logits = f32(2, -1, 0.5, 3, 2.5, -4, 1, 2.9, 0, -0.5, 1.7, 2.2);
  const accepted = [3, 3, 7, 5, 0, 3];
  const cases: Record<string, SamplingOptions> = {
    nothing: {},
    "temperature below 1": { temperature: 0.5 },
    "temperature above 1": { temperature: 3 },
    "top-k": { topK: 4 },
    "top-p": { topP: 0.7 },
    "top-p after top-k": { topK: 6, topP: 0.8 },
    "min-p": { minP: 0.3 },
    "min-p after top-p": { topP: 0.9, minP: 0.4 },
    "repeat penalty": { repeatPenalty: 1.5 },
    "frequency penalty": { frequencyPenalty: 0.4 },
    "presence penalty": { presencePenalty: 0.9 },
    "all penalties in a window of 2": { repeatPenalty: 1.2, frequencyPenalty: 0.3, presencePenalty: -0.5, penaltyWindow: 2 },
    "penalties over everything": { frequencyPenalty: 0.4, penaltyWindow: -1 },
    "logit bias": { logitBias: { 3: -2, 5: 6, 7: -Infinity } },
    "all together": { temperature: 0.7, topK: 8, topP: 0.9, minP: 0.1, repeatPenalty: 1.1, logitBias: new Map([[9, 3]]) },
  };
  for (const [name, options] of Object.entries(cases)) {
    it(`draws by its definition: ${name}`, () => {
      const { chi, degrees } = chiSquare(logits, { ...plain, ...options }, 20_000, accepted);
      expect(chi).toBeLessThan(bound(degrees));
    });
  }

  it("draws by its definition with the defaults, from 500 tokens", () => {
    const wide = Float32Array.from({ length: 500 }, (_, i) => 4 * Math.sin(i * i));
    const { chi, degrees } = chiSquare(wide, { seed: 3 }, 15_000);
    expect(degrees).toBe(37); // of the 40 that top-k leaves, top-p and min-p take two
    expect(chi).toBeLessThan(bound(degrees));
  });

  it("chooses no token outside the definition, whatever the logits", () => {
    const vector = fc.array(fc.oneof(fc.double({ min: -60, max: 20, noNaN: true }), fc.integer({ min: -3, max: 3 })), {
      minLength: 1,
      maxLength: 200,
    });
    const given = fc.record({
      topK: fc.integer({ min: 0, max: 50 }),
      topP: fc.constantFrom(0, 0.1, 0.51, 0.9, 0.993, 1),
      minP: fc.constantFrom(0, 0.03, 0.47, 1),
      temperature: fc.constantFrom(0.3, 1, 1000),
    });
    fc.assert(
      fc.property(vector, given, fc.nat(), (values, options, seed) => {
        const logits = f32(...values);
        const expected = distribution(logits, options);
        const sampler = createSampler({ ...options, seed });
        for (let i = 0; i < 20; i++) expect(expected.has(sampler.sample(logits).id)).toBe(true);
      }),
    );
  });

  it("reaches every token that top-p keeps, where the candidates are not sorted first", () => {
    // 3000 tokens, nearly flat and so in few slots, with ties: what is kept must be a prefix of the sorted order.
    const wide = Float32Array.from({ length: 3000 }, (_, i) => Math.fround(((i * 7919) % 3000) / 2e5));
    const options = { ...plain, topP: 0.011, temperature: 1e6 };
    const expected = distribution(wide, options);
    const sampler = createSampler(options);
    const seen = new Set(Array.from({ length: 700 }, () => sampler.sample(wide).id));
    expect([...seen].sort()).toEqual([...expected.keys()].sort());
  });

  it("counts every probability up to the one that reaches p", () => {
    const kept = (topP: number) => {
      const sampler = createSampler({ ...plain, topP, temperature: 1e6 });
      return new Set(Array.from({ length: 200 }, () => sampler.sample(logs(0.125, 0.5, 0.25, 0.125)).id)).size;
    };
    expect([0, 0.49, 0.51, 0.74, 0.76, 0.874, 0.876].map(kept)).toEqual([1, 1, 2, 2, 3, 3, 4]);
  });

  it("leaves the caller's logits alone", () => {
    const logits = f32(1, 2, 3, 4);
    const sampler = createSampler({ repeatPenalty: 2, logitBias: { 1: 5 }, temperature: 0.5 });
    sampler.accept(3);
    sampler.sample(logits);
    expect([...logits]).toEqual([1, 2, 3, 4]);
  });

  it("reports the model's log probability, not that of the narrowed choice", () => {
    const logits = logs(0.1, 0.6, 0.3);
    const { id, logprob } = createSampler({ topK: 1, logitBias: { 2: 10 } }).sample(logits);
    expect(id).toBe(2);
    expect(logprob).toBeCloseTo(Math.log(0.3), 6);
  });
});

describe("temperature 0", () => {
  const greedy = (logits: Float32Array, options: SamplingOptions = {}) => createSampler({ temperature: 0, ...options }).sample(logits).id;

  it("takes the largest, and the lowest id of equal ones", () => {
    expect(greedy(f32(1, 5, 3, 5, 5))).toBe(1);
    expect(greedy(f32(-0, 0, -1))).toBe(0);
    expect(greedy(f32(-7))).toBe(0);
  });

  it("takes no notice of top-k, top-p and min-p", () => expect(greedy(f32(1, 2, 3), { topK: 1, topP: 0, minP: 1 })).toBe(2));

  it("applies penalties and bias", () => {
    expect(greedy(f32(1, 2, 3), { logitBias: { 0: 2.5 } })).toBe(0);
    expect(greedy(f32(1, 2, 3), { logitBias: { 2: -Infinity } })).toBe(1);
    const sampler = createSampler({ temperature: 0, presencePenalty: 1.5, penaltyWindow: 1 });
    sampler.accept(2);
    expect(sampler.sample(f32(1, 2, 3)).id).toBe(1);
    sampler.accept(1);
    expect(sampler.sample(f32(1, 2, 3)).id).toBe(2);
  });
});

describe("seeds and forks", () => {
  const logits = Float32Array.from({ length: 300 }, (_, i) => Math.cos(i) * 3);
  const take = (sampler: ReturnType<typeof createSampler>, n: number) =>
    Array.from({ length: n }, () => {
      const { id } = sampler.sample(logits);
      sampler.accept(id);
      return id;
    });

  it("repeats itself with the same seed, and only then", () => {
    const options = { topK: 0, minP: 0, temperature: 1.5 };
    const first = take(createSampler({ ...options, seed: 7 }), 50);
    expect(take(createSampler({ ...options, seed: 7 }), 50)).toEqual(first);
    expect(take(createSampler({ ...options, seed: 8 }), 50)).not.toEqual(first);
    expect(take(createSampler({ ...options, seed: 7 + 2 ** 40 }), 50)).not.toEqual(first);
  });

  it("gives these choices on every platform", () => {
    expect(take(createSampler({ topK: 0, topP: 1, minP: 0, temperature: 1, seed: 42 }), 12)).toMatchInlineSnapshot(`
      [
        82,
        220,
        88,
        132,
        31,
        151,
        94,
        44,
        269,
        175,
        82,
        63,
      ]
    `);
  });

  it("draws a seed where none is given, and shows it", () => {
    const sampler = createSampler({ temperature: 2 });
    const again = createSampler({ temperature: 2, seed: sampler.seed });
    expect(Number.isInteger(sampler.seed)).toBe(true);
    expect(take(again, 30)).toEqual(take(sampler, 30));
    expect(createSampler().seed).not.toBe(createSampler().seed);
  });

  it("forks into two that continue alike and do not disturb each other", () => {
    const sampler = createSampler({ topK: 0, temperature: 2, frequencyPenalty: 0.5, penaltyWindow: 8, seed: 5 });
    take(sampler, 20);
    const fork = sampler.fork();
    const other = sampler.fork();
    take(other, 33);
    expect(fork.seed).toBe(5);
    expect(take(fork, 60)).toEqual(take(sampler, 60));
  });
});

describe("options", () => {
  const failure = (options: unknown) => {
    try {
      createSampler(options as SamplingOptions);
    } catch (error) {
      return error as { code: string; message: string; details: Record<string, unknown> };
    }
    throw new Error("accepted");
  };

  it.each([
    ["top_k", "topK"],
    ["temp", "temperature"],
    ["Temperature", "temperature"],
    ["repetition_penalty", "repeatPenalty"],
    ["min-p", "minP"],
    ["logit_bias", "logitBias"],
  ])("names the nearest option to %s", (given, nearest) => {
    const { code, message, details } = failure({ [given]: 1 });
    expect(code).toBe("option.unknown");
    expect(message).toContain(`"${given}"`);
    expect(message).toContain(`"${nearest}"`);
    expect(details).toMatchObject({ option: given, nearest });
  });

  it.each([
    [{ temperature: -0.1 }, "temperature", "a number from 0 to 1000000"],
    [{ temperature: Number.NaN }, "temperature", "it is NaN"],
    [{ temperature: "0.5" }, "temperature", 'it is "0.5"'],
    [{ temperature: null }, "temperature", "it is null"],
    [{ topK: 2.5 }, "topK", "an integer from 0"],
    [{ topK: -1 }, "topK", "an integer from 0"],
    [{ topP: 1.01 }, "topP", "a number from 0 to 1"],
    [{ minP: Infinity }, "minP", "a number from 0 to 1"],
    [{ repeatPenalty: 0 }, "repeatPenalty", "a number above 0 and at most 1000000"],
    [{ frequencyPenalty: -Infinity }, "frequencyPenalty", "a number from -1000000 to 1000000"],
    [{ presencePenalty: {} }, "presencePenalty", "it is an object"],
    [{ penaltyWindow: -2 }, "penaltyWindow", "an integer from -1"],
    [{ seed: 0.5 }, "seed", "an integer from 0 to 9007199254740991"],
    [{ seed: -1 }, "seed", "an integer from 0"],
    [{ logitBias: [1] }, "logitBias", "it is an array"],
    [{ logitBias: { a: 1 } }, "logitBias", "token ids"],
    [{ logitBias: { "-1": 1 } }, "logitBias", "token ids"],
    [{ logitBias: { 1: Number.NaN } }, "logitBias", "numbers from -1e6"],
    [{ logitBias: new Map([[1, Infinity]]) }, "logitBias", "-Infinity to forbid"],
    [{ logitBias: new Map([[1.5, 1]]) }, "logitBias", "token ids"],
  ])("refuses %o", (options, option, words) => {
    const { code, message, details } = failure(options);
    expect(code).toBe("option.invalid");
    expect(message).toContain(`"${option}"`);
    expect(message).toContain(words);
    expect(details.option).toBe(option);
  });

  it("refuses what is no object", () => expect(failure(null).code).toBe("option.invalid"));

  it("takes undefined as absent", () => expect(() => createSampler({ topK: undefined, seed: undefined })).not.toThrow());

  it("refuses a bias for a token that the vocabulary does not have", () => {
    const sampler = createSampler({ logitBias: { 5: 1 } });
    expect(() => sampler.sample(f32(1, 2, 3))).toThrow(/token 5, but the vocabulary ends at 2/);
  });

  it("is not moved by later changes of a bias that it was given", () => {
    const logitBias = new Map([[0, 9]]);
    const sampler = createSampler({ temperature: 0, logitBias });
    logitBias.set(1, 99);
    expect(sampler.sample(f32(1, 2, 3)).id).toBe(0);
  });
});

describe("unusable logits", () => {
  const variants: SamplingOptions[] = [{}, { temperature: 0 }, plain, { ...plain, topP: 0.5 }, { ...plain, minP: 0.5, temperature: 2 }];

  it.each(variants)("refuses NaN and +Infinity, naming the token (%o)", options => {
    const sampler = createSampler(options);
    expect(() => sampler.sample(f32(1, 2, Number.NaN, 4))).toThrow(/NaN as the logit of token 2/);
    expect(() => sampler.sample(f32(Number.NaN))).toThrow(expect.objectContaining({ code: "engine.failed" }));
    expect(() => sampler.sample(f32(1, Infinity, 2))).toThrow(/Infinity as the logit of token 1/);
    expect(() => sampler.sample(f32(-Infinity, Infinity, Infinity))).toThrow(/Infinity as the logit of token 1/);
  });

  it.each(variants)("refuses to choose where nothing is left (%o)", options => {
    expect(() => createSampler(options).sample(f32(-Infinity, -Infinity))).toThrow(expect.objectContaining({ code: "engine.failed" }));
    expect(() => createSampler(options).sample(f32())).toThrow(/No token can be chosen/);
    const forbidden = createSampler({ ...options, logitBias: { 0: -Infinity, 1: -Infinity } });
    expect(() => forbidden.sample(f32(3, 4))).toThrow(/all 2 are excluded/);
  });

  it.each(variants)("never chooses a token at -Infinity (%o)", options => {
    const sampler = createSampler({ ...options, seed: 11 });
    for (let i = 0; i < 50; i++) expect(sampler.sample(f32(-Infinity, -30, -Infinity, -30, -Infinity)).id % 2).toBe(1);
    expect(sampler.sample(f32(-Infinity, -3e38, -Infinity))).toEqual({ id: 1, logprob: 0 });
  });

  it("survives logits far apart and temperatures near both ends", () => {
    for (const temperature of [5e-324, 1e-30, 1e6]) {
      const sampler = createSampler({ ...plain, temperature, topP: 0.999 });
      expect(sampler.sample(f32(-3e38, 3e38, 0, -3e38)).id).toBe(1);
      expect([0, 1]).toContain(sampler.sample(f32(1, 1, -1e10)).id);
    }
  });
});

describe("topLogprobs", () => {
  it("gives the likeliest tokens in order, ties by id", () => {
    const top = topLogprobs(logs(0.1, 0.2, 0.4, 0.2, 0.1), 4);
    expect(top.map(t => t.id)).toEqual([2, 1, 3, 0]);
    for (const [i, p] of [0.4, 0.2, 0.2, 0.1].entries()) expect(top[i].logprob).toBeCloseTo(Math.log(p), 6);
  });

  it("agrees with log-softmax in float64", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: -80, max: 80, noNaN: true }), { minLength: 1, maxLength: 300 }), fc.nat(40), (values, n) => {
        const logits = f32(...values);
        const max = Math.max(...logits);
        const normaliser = max + Math.log(logits.reduce((sum, v) => sum + Math.exp(v - max), 0));
        const sorted = [...logits.keys()].sort((a, b) => logits[b] - logits[a] || a - b).slice(0, n);
        const top = topLogprobs(logits, n);
        expect(top.map(t => t.id)).toEqual(sorted);
        for (const { id, logprob } of top) expect(Math.abs(logprob - (logits[id] - normaliser))).toBeLessThan(1e-11);
      }),
    );
  });

  it("leaves out the impossible, and takes any n", () => {
    expect(topLogprobs(f32(-Infinity, 1, -Infinity), 3)).toEqual([{ id: 1, logprob: 0 }]);
    expect(topLogprobs(f32(1, 2), 0)).toEqual([]);
    expect(() => topLogprobs(f32(1), 1.5)).toThrow(expect.objectContaining({ code: "option.invalid" }));
    expect(() => topLogprobs(f32(Number.NaN), 1)).toThrow(expect.objectContaining({ code: "engine.failed" }));
  });
});

describe("a vocabulary of 128 thousand", () => {
  it("takes far less than a token's time", () => {
    const logits = Float32Array.from({ length: 128_256 }, (_, i) => 12 * Math.sin(i * 0.7) * Math.sin(i * i * 1e-3));
    const sampler = createSampler({ seed: 1 });
    const times = Array.from({ length: 100 }, () => {
      const start = performance.now();
      sampler.sample(logits);
      return performance.now() - start;
    });
    // 0.6 to 0.9 ms on two busy Zen 3 cores; the bound only catches a full sort (30 ms and more) on a slow machine.
    expect(Math.min(...times)).toBeLessThan(5);
  });
});
