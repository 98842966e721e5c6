/** Schemas as programs send them, for bench/schema.mjs: a small record, a list of larger ones, a choice of tool calls, plain prose in an object. */

const object = (properties, required = Object.keys(properties)) => ({ type: "object", properties, required, additionalProperties: false });
const text = (maxLength, more = {}) => ({ type: "string", maxLength, ...more });

const ticket = object({
  title: text(40),
  priority: { enum: ["low", "normal", "high", "urgent"] },
  done: { type: "boolean" },
  estimate: { type: "number", minimum: 0, maximum: 400 },
});

const order = object(
  {
    id: text(12, { pattern: "^[A-Z]{2}-[0-9]{4,8}$" }),
    customer: object({ name: text(30), email: { type: "string", format: "email" }, since: { type: "string", format: "date" } }),
    lines: {
      type: "array",
      minItems: 1,
      maxItems: 12,
      items: object({
        article: text(16, { pattern: "^[a-z0-9-]+$" }),
        size: { enum: ["S", "M", "L", "XL", null] },
        count: { type: "integer", minimum: 1, maximum: 999 },
        price: { type: "number", exclusiveMinimum: 0, multipleOf: 0.01 },
        tags: { type: "array", items: text(10, { minLength: 1 }), maxItems: 4 },
      }),
    },
    state: { enum: ["new", "paid", "packed", "sent", "returned"] },
    note: text(200),
  },
  ["id", "customer", "lines", "state"],
);

const tool = (name, properties, required) => object({ name: { const: name }, arguments: object(properties, required) });
const calls = {
  anyOf: [
    tool("get_weather", { city: text(40), unit: { enum: ["celsius", "fahrenheit"] }, days: { type: "integer", minimum: 1, maximum: 14 } }, [
      "city",
    ]),
    tool("get_time", { zone: text(24, { pattern: "^[A-Za-z]+/[A-Za-z_]+$" }) }),
    tool("search", { query: text(120), limit: { type: "integer", minimum: 1, maximum: 50 }, filters: { type: "array", items: text(20) } }, [
      "query",
    ]),
    tool("read_file", { path: text(80), from: { type: "integer", minimum: 1 }, to: { type: "integer", minimum: 1 } }, ["path"]),
    tool("write_file", { path: text(80), content: { type: "string" } }),
    tool("run", { command: text(200), timeout: { type: "number", minimum: 0 }, env: { type: "object", additionalProperties: text(40) } }, [
      "command",
    ]),
  ],
};

export const cases = [
  ["a small record", ticket],
  ["a list of orders", { type: "array", items: order, minItems: 2, maxItems: 20 }],
  ["a choice of 6 calls", { type: "array", items: calls, minItems: 4, maxItems: 8 }],
  ["prose in an object", object({ thoughts: { type: "string" }, answer: { type: "string" } })],
];
