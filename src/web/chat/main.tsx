/** Where the page begins: the theme, then what was kept, then the components. */
import { effect } from "@preact/signals";
import { render } from "preact";
import { App } from "./parts/app.tsx";
import { begin, conversation, refreshModels, theme } from "./state/store.ts";

effect(() => {
  const { dataset } = document.documentElement;
  if (theme.value === "auto") delete dataset["theme"];
  else dataset["theme"] = theme.value;
});
effect(() => {
  const title = conversation.value?.title;
  document.title = title ? `${title} · Lathe` : "Lathe";
});
void refreshModels();
void begin().then(() => render(<App />, document.getElementById("app")!));
