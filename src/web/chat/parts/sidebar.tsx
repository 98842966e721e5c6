/** The list of conversations: search, rename, delete, export and import; and the theme. A drawer on narrow screens. */
import { signal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { live } from "../state/answering.ts";
import {
  choose,
  current,
  drawer,
  exportAll,
  importFile,
  newestFirst,
  panel,
  remove,
  rename,
  show,
  type Theme,
  theme,
} from "../state/store.ts";
import type { Conversation } from "../state/tree.ts";
import { saveFile } from "./clipboard.ts";
import { Icon, IconButton } from "./icons.tsx";

const search = signal("");
const renaming = signal("");
/** Deleting takes two presses: the first one asks. */
const deleting = signal("");

const matches = (c: Conversation, words: string): boolean =>
  c.title.toLowerCase().includes(words) || c.messages.some(m => m.text.toLowerCase().includes(words));

export function Sidebar() {
  const words = search.value.trim().toLowerCase();
  const shown = words ? newestFirst.value.filter(c => matches(c, words)) : newestFirst.value;
  return (
    <>
      <div class={`shade${drawer.value ? " open" : ""}`} onClick={() => (drawer.value = false)} aria-hidden="true" />
      <nav class={`sidebar${drawer.value ? " open" : ""}`} aria-label="Conversations">
        <header>
          <span class="brand">
            <img src="/icon.svg" alt="" width="22" height="22" /> Lathe
          </span>
          <IconButton icon="close" label="Close list" class="narrow" onClick={() => (drawer.value = false)} />
        </header>
        <IconButton icon="plus" label="New conversation" text="New conversation" class="new" onClick={() => show("")} />
        <input
          id="search"
          type="search"
          aria-label="Search conversations"
          placeholder="Search"
          value={search.value}
          onInput={e => (search.value = e.currentTarget.value)}
        />
        <ul>
          {shown.map(c => (
            <Entry key={c.id} conversation={c} />
          ))}
          {words && !shown.length && <li class="none">Nothing found.</li>}
        </ul>
        <Foot />
      </nav>
    </>
  );
}

function Entry({ conversation: c }: { conversation: Conversation }) {
  if (renaming.value === c.id) return <Rename conversation={c} />;
  const here = c.id === current.value;
  const asked = deleting.value === c.id;
  const open = (e: Event): void => {
    e.preventDefault();
    show(c.id);
  };
  return (
    <li class={here ? "here" : ""}>
      <a href={`#${c.id}`} aria-current={here ? "page" : undefined} onClick={open} title={c.title}>
        {live.value.has(c.id) && <span class="dot" role="img" aria-label="being answered" />}
        {c.title || "Untitled"}
      </a>
      {asked ? (
        <>
          <button type="button" class="danger" onClick={() => remove(c.id)}>
            Delete
          </button>
          <IconButton icon="close" label="Do not delete" onClick={() => (deleting.value = "")} />
        </>
      ) : (
        <>
          <IconButton icon="edit" label={`Rename ${c.title}`} onClick={() => (renaming.value = c.id)} />
          <IconButton icon="trash" label={`Delete ${c.title}`} onClick={() => (deleting.value = c.id)} />
        </>
      )}
    </li>
  );
}

function Rename({ conversation: c }: { conversation: Conversation }) {
  const finish = (title: string): void => {
    if (renaming.value !== c.id) return; // Enter and then the loss of focus
    renaming.value = "";
    if (title !== c.title) rename(c, title);
  };
  return (
    <li>
      <input
        aria-label="Title"
        defaultValue={c.title}
        maxLength={200}
        ref={el => el?.focus()}
        onBlur={e => finish(e.currentTarget.value)}
        onKeyDown={e => {
          if (e.key === "Enter") finish(e.currentTarget.value);
          if (e.key === "Escape") finish(c.title);
        }}
      />
    </li>
  );
}

const themes: readonly { readonly name: Theme; readonly label: string }[] = [
  { name: "auto", label: "Colours of the system" },
  { name: "light", label: "Light" },
  { name: "dark", label: "Dark" },
];

function Foot() {
  const picker = useRef<HTMLInputElement>(null);
  return (
    <footer>
      <div class="row">
        <IconButton icon="download" label="Export all conversations" onClick={() => saveFile("lathe-conversations.json", exportAll())} />
        <IconButton icon="upload" label="Import conversations" onClick={() => picker.current!.click()} />
        <input
          type="file"
          accept="application/json,.json"
          hidden
          ref={picker}
          onChange={e => {
            const file = e.currentTarget.files![0];
            if (file) void importFile(file);
            e.currentTarget.value = "";
          }}
        />
        <IconButton icon="keyboard" label="Keyboard shortcuts" onClick={() => (panel.value = "shortcuts")} />
      </div>
      <fieldset class="themes">
        <legend class="off-screen">Colours</legend>
        {themes.map(({ name, label }) => (
          <label title={label}>
            <input
              type="radio"
              name="theme"
              class="off-screen"
              checked={theme.value === name}
              aria-label={label}
              onChange={() => choose("theme", name)}
            />
            <Icon name={name} />
          </label>
        ))}
      </fieldset>
    </footer>
  );
}
