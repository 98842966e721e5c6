/** The page: list, header, messages, composer, panels and notices; files that are dropped anywhere; keys that work everywhere. */
import { useEffect, useState } from "preact/hooks";
import { choose, conversation, dismiss, drawer, model, models, notices, panel, refreshModels, settings, show } from "../state/store.ts";
import { attach, Composer } from "./composer.tsx";
import { IconButton } from "./icons.tsx";
import { Panels } from "./panels.tsx";
import { onShortcut } from "./shortcuts.ts";
import { Sidebar } from "./sidebar.tsx";
import { Thread } from "./thread.tsx";

export function App() {
  const [over, setOver] = useState(false);
  useEffect(() => {
    const onKeyDown = (e: KeyboardEvent): void => {
      if (onShortcut(e)) e.preventDefault();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, []);
  const onDrop = (e: DragEvent): void => {
    e.preventDefault();
    setOver(false);
    void attach(e.dataTransfer?.files ?? []);
  };
  const onDragOver = (e: DragEvent): void => {
    e.preventDefault();
    setOver(true);
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: files may be dropped anywhere; the button to attach does the same
    <div class={`page${over ? " dropping" : ""}`} onDrop={onDrop} onDragOver={onDragOver} onDragLeave={() => setOver(false)}>
      <Sidebar />
      <div class="main">
        <Header />
        <Thread />
        <Notices />
        <Composer />
      </div>
      <Panels />
    </div>
  );
}

function Header() {
  const { system, stops, numbers } = settings.value;
  const changed = Object.keys(numbers).length + Number(system !== "") + Number(stops !== "");
  return (
    <header class="top">
      <IconButton icon="menu" label="Conversations" class="narrow" onClick={() => (drawer.value = true)} />
      <select
        aria-label="Model"
        value={model.value}
        disabled={!models.value.length}
        onFocus={() => void refreshModels()}
        onChange={e => choose("model", e.currentTarget.value)}
      >
        {!models.value.length && <option value="">no model</option>}
        {models.value.map(m => (
          <option value={m.id}>{m.id}</option>
        ))}
      </select>
      <span class="title">{conversation.value?.title}</span>
      <IconButton icon="plus" label="New conversation" class="narrow" onClick={() => show("")} />
      <span class="with-count">
        <IconButton
          icon="sliders"
          label={changed ? `Settings, ${changed} changed` : "Settings"}
          onClick={() => (panel.value = "settings")}
        />
        {changed > 0 && <span aria-hidden="true">{changed}</span>}
      </span>
    </header>
  );
}

const Notices = () => (
  <div class="notices" role="alert">
    {notices.value.map(n => (
      <p key={n}>
        {n}
        <IconButton icon="close" label="Dismiss" onClick={() => dismiss(n)} />
      </p>
    ))}
  </div>
);
