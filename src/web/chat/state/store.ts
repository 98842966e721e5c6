/** All state of the page that outlives a component, as signals; and what changes conversations. Answers are written by answering.ts. */
import { computed, signal } from "@preact/signals";
import { listModels, type ModelEntry, ServerError } from "./client.ts";
import { Keep, preference, setPreference, setTabKey, tabKey } from "./keep.ts";
import { exported, imported, limits } from "./portable.ts";
import { type Settings, settingsFrom } from "./settings.ts";
import { type Conversation, type Message, newConversation, shownPath, withSibling } from "./tree.ts";

export type Theme = "auto" | "light" | "dark";
export type Panel = "settings" | "shortcuts" | "key";

export const conversations = signal<ReadonlyMap<string, Conversation>>(new Map());
/** The id of the conversation that is shown; "" for one that has not begun. */
export const current = signal(location.hash.slice(1));
/** Sentences to be told, newest last. */
export const notices = signal<readonly string[]>([]);
export const models = signal<readonly ModelEntry[]>([]);
export const modelsError = signal("");
export const model = signal(String(preference("model") ?? ""));
export const settings = signal<Settings>(settingsFrom(preference("settings")));
export const theme = signal<Theme>((["light", "dark"] as const).find(t => t === preference("theme")) ?? "auto");
export const panel = signal<Panel | undefined>(undefined);
/** The list of conversations on a narrow screen. */
export const drawer = signal(false);
/** The id of the message whose text is being edited. */
export const editing = signal("");

export const conversation = computed(() => conversations.value.get(current.value));
export const path = computed<readonly Message[]>(() => (conversation.value ? shownPath(conversation.value) : []));
export const newestFirst = computed(() => [...conversations.value.values()].sort((a, b) => b.updated - a.updated));

const NOTICES = 3;
export function notify(sentence: string): void {
  notices.value = [...notices.value.filter(n => n !== sentence), sentence].slice(-NOTICES);
}
export const dismiss = (sentence: string): void => {
  notices.value = notices.value.filter(n => n !== sentence);
};

function set(c: Conversation): void {
  conversations.value = new Map(conversations.value).set(c.id, c);
}
function unset(id: string): void {
  const rest = new Map(conversations.value);
  rest.delete(id);
  conversations.value = rest;
}

const keep = new Keep((id, c) => (c ? set(c) : unset(id)), notify);

/** Shows and keeps a changed conversation. */
export function save(c: Conversation): void {
  set(c);
  void keep.put(c);
}

/** The conversation that is shown, begun where there is none; undefined, with a notice, where no more are kept. */
export function ensureConversation(): Conversation | undefined {
  if (conversation.value) return conversation.value;
  if (conversations.value.size >= limits.conversations) {
    notify(`This browser keeps ${limits.conversations} conversations; export and delete some to begin another.`);
    return undefined;
  }
  const c = newConversation(Date.now());
  set(c);
  show(c.id);
  return c;
}

/** Shows a conversation; "": a new one. */
export function show(id: string): void {
  current.value = id;
  editing.value = "";
  drawer.value = false;
  if (location.hash.slice(1) !== id) history.pushState(null, "", id ? `#${id}` : location.pathname);
}

export function remove(id: string): void {
  unset(id);
  void keep.delete(id);
  if (current.value === id) show("");
}
export const rename = (c: Conversation, title: string): void => save({ ...c, title: title.trim().slice(0, 200) || c.title });
export function showSibling(m: Message, step: number): void {
  if (conversation.value) save(withSibling(conversation.value, m, step));
}

export const exportAll = (): string => exported(newestFirst.value);

/** Adds what an exported file holds, and says how it went. */
export async function importFile(file: File): Promise<void> {
  if (file.size > limits.importBytes) return notify(`An import may have ${limits.importBytes / 2 ** 20} MiB.`);
  const found = imported(await file.text());
  if (typeof found === "string") return notify(found);
  const room = Math.max(0, limits.conversations - conversations.value.size);
  for (const c of found.slice(0, room)) save(c);
  const left = found.length - Math.min(room, found.length);
  notify(`${found.length - left} imported.${left ? ` ${left} more did not fit: this browser keeps ${limits.conversations}.` : ""}`);
}

export function choose<K extends "model" | "settings" | "theme">(name: K, value: K extends "settings" ? Settings : string): void {
  if (name === "settings") settings.value = value as Settings;
  else if (name === "theme") theme.value = value as Theme;
  else model.value = value as string;
  setPreference(name, value);
}

export const key = signal(tabKey());
export function giveKey(value: string): void {
  key.value = value;
  setTabKey(value);
  void refreshModels();
}

/** Asks the server again what models there are. */
export async function refreshModels(): Promise<void> {
  try {
    models.value = await listModels(key.value);
    modelsError.value = "";
    if (!models.value.some(m => m.id === model.value)) model.value = models.value[0]?.id ?? "";
  } catch (e) {
    modelsError.value = e instanceof ServerError ? e.message : "The list of models cannot be read.";
    if (e instanceof ServerError && e.status === 401) panel.value = "key";
  }
}

/** Reads what was kept; before that, nothing may be added. */
export async function begin(): Promise<void> {
  addEventListener("popstate", () => show(location.hash.slice(1)));
  conversations.value = new Map((await keep.all()).map(c => [c.id, c]));
}
