/** The parts of the web chat that know no elements: trees of messages, what is sent, what is read from files, Markdown that grows. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Blocks, safeAddress } from "../../src/web/chat/state/blocks.ts";
import { plainText, splitThought } from "../../src/web/chat/state/content.ts";
import { eventsOf } from "../../src/web/chat/state/events.ts";
import { conversationFrom, exported, imported } from "../../src/web/chat/state/portable.ts";
import { numberSettings, settingsFrom } from "../../src/web/chat/state/settings.ts";
import {
  type Conversation,
  following,
  type Message,
  newConversation,
  newId,
  pathTo,
  shownPath,
  withMessage,
  withSibling,
} from "../../src/web/chat/state/tree.ts";

const message = (parent: string, role: Message["role"], text: string): Message => ({ id: newId(), parent, role, text, at: 1 });

/** question, two answers, and a second version of the question. */
function branched(): { c: Conversation; q: Message; a1: Message; a2: Message; q2: Message } {
  const q = message("", "user", "q");
  const [a1, a2] = [message(q.id, "assistant", "a1"), message(q.id, "assistant", "a2")];
  const q2 = message("", "user", "q2");
  return { c: [q, a1, a2, q2].reduce(withMessage, newConversation(1)), q, a1, a2, q2 };
}

describe("tree of a conversation", () => {
  it("shows the newest branch until another is chosen", () => {
    const { c, q, a1, a2, q2 } = branched();
    const texts = (of: Conversation) => shownPath(of).map(m => m.text);
    expect(texts(c)).toEqual(["q2"]);
    const back = withSibling(c, q2, -1);
    expect(texts(back)).toEqual(["q", "a2"]);
    expect(texts(withSibling(back, a2, -1))).toEqual(["q", "a1"]);
    expect(withSibling(back, a1, -1)).toBe(back);
    expect(texts({ ...c, chosen: {} })).toEqual(["q2"]);
    expect(pathTo(c, a1.id)).toEqual([q, a1]);
    expect(following(c, q.id)).toEqual([a1, a2]);
    expect(c.title).toBe("q");
  });
});

describe("export and import", () => {
  it("gives back what was exported, under a new id", () => {
    const { c } = branched();
    const [back] = imported(exported([c])) as Conversation[];
    expect(back).toEqual({ ...c, id: back.id });
    expect(back.id).not.toBe(c.id);
  });

  it("refuses what is no export in one sentence", () => {
    for (const text of [
      "",
      "{",
      "null",
      "[]",
      "{}",
      '{"format":"lathe-conversations","version":2}',
      '{"format":"lathe-conversations","version":1}',
    ]) {
      expect(imported(text), text).toMatch(/^[A-Z].*\.$/);
    }
  });

  it("takes no message that could make a path without end, and nothing of a wrong type", () => {
    const { c, q, a1 } = branched();
    const loop = { ...c, messages: [{ ...q, parent: a1.id }, a1, { ...q, parent: q.id }], chosen: { [a1.id]: q.id } };
    expect(conversationFrom(loop)!.messages).toEqual([]);
    fc.assert(
      fc.property(fc.anything(), fc.anything(), (wrong, chosen) => {
        const found = conversationFrom({ ...c, messages: [wrong, { ...q, files: wrong }, { ...a1, answer: wrong }], chosen });
        expect(found!.messages.map(m => m.text)).toEqual(["q", "a1"]);
        expect(shownPath(found!).length).toBeLessThanOrEqual(2);
        expect(conversationFrom(wrong)).toBeUndefined();
      }),
    );
  });
});

describe("Markdown that grows", () => {
  const text = "# A\n\none *two*\n\n- a\n- b\n\n  more of b\n\n```js\ncode\n\nmore\n```\n\n| a |\n|---|\n| 1 |\n\n> quote\n\nend of it\n";

  it("is the same as when read at once, and settled blocks are parsed once", () => {
    const blocks = new Blocks();
    const first = new Map<string, unknown>();
    for (let end = 1; end <= text.length; end++) {
      const seen = blocks.read(text.slice(0, end), false);
      if (end > text.length / 2) first.set("heading", first.get("heading") ?? seen[0]);
    }
    const grown = blocks.read(text, false);
    expect(grown[0]).toBe(first.get("heading"));
    expect(grown.map(t => t.raw)).toEqual(new Blocks().read(text, true).map(t => t.raw));
  });

  it("begins anew with another text", () => {
    const blocks = new Blocks();
    blocks.read(text, false);
    expect(blocks.read("other", false).map(t => t.raw)).toEqual(["other"]);
  });

  it("shows what is nested beyond the parser's depth as it is", () => {
    const deep = ">".repeat(50_000);
    expect(new Blocks().read(deep, true)).toMatchObject([{ type: "code", text: deep }]);
  });

  it("links only to where a link may lead", () => {
    expect(safeAddress("https://example.com/a?b=1&amp;c=2")).toBe("https://example.com/a?b=1&c=2");
    for (const bad of [
      "javascript:alert(1)",
      "JAVASCRIPT&#58;alert(1)",
      "data:text/html,x",
      "file:///etc/passwd",
      "/v1/models",
      "vbscript:x",
      "",
    ]) {
      expect(safeAddress(bad), bad).toBeUndefined();
    }
  });
});

describe("what is sent and stored", () => {
  it("leaves thoughts out of what the model reads again", () => {
    expect(splitThought("<think>hm")).toEqual({ thought: "hm", answer: "", open: true });
    const path = [message("", "user", "q"), message("", "assistant", "<think>hm</think>\n\nyes")];
    expect(plainText("Be brief.", path)).toBe("Be brief.\n\nq\n\nyes");
  });

  it("keeps of stored settings what is right", () => {
    const numbers = { temperature: 99, top_k: 1.5, min_p: 0.1, seed: "1", __proto__: { top_p: 3 } };
    expect(settingsFrom({ system: 5, stops: "END", numbers })).toEqual({ system: "", stops: "END", numbers: { min_p: 0.1 } });
    expect(settingsFrom(null)).toEqual({ system: "", stops: "", numbers: {} });
    expect(numberSettings.every(s => s.byDefault !== undefined || s.unset)).toBe(true);
  });

  it("reads events however the bytes are cut", async () => {
    const bytes = new TextEncoder().encode('data: {"a":"ä€"}\r\n\r\n: comment\n\nevent: x\ndata: two\n\ndata: [DONE]\n\n');
    for (const step of [1, 2, 3, 7, 1000]) {
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          for (let i = 0; i < bytes.length; i += step) controller.enqueue(bytes.subarray(i, i + step));
          controller.close();
        },
      });
      const events: string[] = [];
      for await (const e of eventsOf(body)) events.push(e);
      expect(events).toEqual(['{"a":"ä€"}', "two", "[DONE]"]);
    }
  });
});
