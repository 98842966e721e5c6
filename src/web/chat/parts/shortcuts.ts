/** The keys that work everywhere on the page, in one table that is also what the page shows of them. */
import { regenerate, stop } from "../state/answering.ts";
import { conversation, current, drawer, panel, path, show } from "../state/store.ts";

interface Shortcut {
  /** As it is shown. */
  readonly shown: readonly string[];
  readonly about: string;
  /** Absent where the key belongs to a field, which handles it itself. */
  readonly matches?: (e: KeyboardEvent) => boolean;
  readonly act?: () => void;
}

const withCtrl = (e: KeyboardEvent, key: string, shift = false): boolean =>
  (e.ctrlKey || e.metaKey) && e.shiftKey === shift && !e.altKey && e.key.toLowerCase() === key;

const inField = (e: KeyboardEvent): boolean => e.target instanceof Element && e.target.matches("input, textarea, select");
const plain = (e: KeyboardEvent, key: string): boolean => e.key === key && !e.ctrlKey && !e.metaKey && !e.altKey && !inField(e);

function again(): void {
  const last = path.value.at(-1);
  if (conversation.value && last?.role === "assistant") regenerate(conversation.value, last);
}

function search(): void {
  drawer.value = true; // where the list is not always there
  requestAnimationFrame(() => document.getElementById("search")?.focus());
}

export const shortcuts: readonly Shortcut[] = [
  { shown: ["Enter"], about: "send the message" },
  { shown: ["Shift", "Enter"], about: "begin a new line" },
  { shown: ["↑"], about: "edit the last message, from an empty field" },
  { shown: ["Esc"], about: "stop the answer", matches: e => e.key === "Escape", act: () => stop(current.value) },
  { shown: ["Ctrl", "Shift", "O"], about: "new conversation", matches: e => withCtrl(e, "o", true), act: () => show("") },
  { shown: ["Ctrl", "K"], about: "search conversations", matches: e => withCtrl(e, "k"), act: search },
  { shown: ["R"], about: "regenerate the last answer, outside of fields", matches: e => plain(e, "r"), act: again },
  { shown: ["Ctrl", ","], about: "settings", matches: e => withCtrl(e, ","), act: () => (panel.value = "settings") },
  {
    shown: ["/"],
    about: "write a message, outside of fields",
    matches: e => plain(e, "/"),
    act: () => document.getElementById("draft")?.focus(),
  },
  { shown: ["?"], about: "this list, outside of fields", matches: e => plain(e, "?"), act: () => (panel.value = "shortcuts") },
];

/** Acts on a key; false where it is none of ours. An open panel has the keyboard for itself. */
export function onShortcut(e: KeyboardEvent): boolean {
  if (panel.value || e.isComposing) return false;
  const found = shortcuts.find(s => s.matches?.(e));
  if (!found?.act) return false;
  found.act();
  return true;
}
