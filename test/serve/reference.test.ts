/** docs/server.md says what the schemas say. `UPDATE_DOCS=1` writes it anew. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { createApp } from "../../src/serve/app.ts";
import { Catalog } from "../../src/serve/catalog.ts";
import { reference } from "../../src/serve/reference.ts";

const path = join(import.meta.dirname, "../../docs/server.md");
const mark = "<!-- reference -->\n";
const { routes } = createApp({ catalog: new Catalog([]) });

it("the tables of docs/server.md are those of the schemas", () => {
  const [before, after] = readFileSync(path, "utf8").split(mark);
  const made = `\n${reference(routes)}\n`;
  if (process.env["UPDATE_DOCS"]) writeFileSync(path, before + mark + made);
  else expect(after).toBe(made);
});

it("every number has both limits and every field a meaning", () => {
  const rows = reference(routes)
    .split("\n")
    .filter(l => l.startsWith("| `") && !/^\| `(GET|POST|DELETE) /.test(l));
  expect(rows.length).toBeGreaterThan(60);
  for (const row of rows) {
    const [, , value, meaning] = row.split(/(?<!\\)\|/);
    expect(meaning.trim(), row).not.toBe("");
    if (/integer|number/.test(value)) expect(value, row).toMatch(/\.\./);
  }
});
