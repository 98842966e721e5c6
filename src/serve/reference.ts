/** The tables of docs/server.md, made from the routes and their schemas, so that what is written is what is checked. */
import { z } from "zod";
import type { Route } from "./route.ts";

interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
}

const powers: Readonly<Record<string, string>> = { [Number.MAX_SAFE_INTEGER]: "2^53-1", [2 ** 30]: "2^30", [2 ** 24]: "2^24" };
const number = (n: number): string => powers[n] ?? String(n);

/** What a value may be, in a few words. */
function typeOf(schema: JsonSchema): string {
  const options = (schema.anyOf ?? schema.oneOf)?.map(typeOf).filter(t => t !== "");
  if (options) return [...new Set(options)].join(" or ");
  if (schema.enum) return schema.enum.map(v => `\`${JSON.stringify(v)}\``).join(", ");
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  const { minimum, maximum, maxLength, maxItems } = schema;
  if (schema.type === "integer" || schema.type === "number") {
    return `${schema.type} ${minimum === undefined ? "" : `${number(minimum)} .. ${number(maximum!)}`}`.trim();
  }
  if (schema.type === "string") return maxLength === undefined || maxLength >= 2 ** 20 ? "text" : `text of at most ${maxLength}`;
  if (schema.type === "array") return maxItems === undefined ? "list" : `list of at most ${maxItems}`;
  return [schema.type ?? "any"]
    .flat()
    .filter(t => t !== "null")
    .join(" or ");
}

function described(schema: JsonSchema): string {
  return schema.description ?? schema.anyOf?.find(s => s.description)?.description ?? "";
}

const cell = (text: string): string => text.replaceAll("|", "\\|");

/** One table of routes, then one of fields for each body. */
export function reference(routes: readonly Route[]): string {
  const rows = routes.map(
    r => `| \`${r.method} ${r.path.replace("{.+}", "")}\` | ${cell(r.about)} | ${r.scope === "open" ? "no" : "yes"} |`,
  );
  const table = ["| route | what it does | asks for a key |", "|---|---|---|", ...rows].join("\n");
  const bodies = routes.flatMap(({ path, schema }) => (schema ? [`### \`${path}\`\n\n${fieldsOf(schema)}`] : []));
  return [table, ...bodies].join("\n\n");
}

function fieldsOf(schema: z.ZodType): string {
  const { properties = {}, required = [] } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as JsonSchema;
  const rows = Object.entries(properties).map(([name, field]) => {
    return `| \`${name}\`${required.includes(name) ? " (needed)" : ""} | ${cell(typeOf(field))} | ${cell(described(field))} |`;
  });
  return ["| field | value | meaning |", "|---|---|---|", ...rows].join("\n");
}
