/**
 * A document without a browser: as much of one as drawing needs, which keeps elements, attributes and listeners to be looked at, and refuses
 * markup as text. For drawing answers by the thousand; the browser's own view is in chat.test.ts.
 */

export class Item {
  parentNode: Item | null = null;
  childNodes: Item[] = [];
  readonly attributes = new Map<string, string>();
  readonly listeners = new Set<string>();
  readonly style = {};
  readonly localName: string;
  readonly nodeType: number;
  readonly namespaceURI: string | null;
  data: string;

  constructor(name: string, nodeType: number, data = "", space: string | null = null) {
    this.localName = name;
    this.nodeType = nodeType;
    this.data = data;
    this.namespaceURI = space;
  }

  get ownerDocument(): typeof pretended {
    return pretended;
  }
  get firstChild(): Item | null {
    return this.childNodes[0] ?? null;
  }
  get nextSibling(): Item | null {
    const all = this.parentNode?.childNodes ?? [];
    return all[all.indexOf(this) + 1] ?? null;
  }
  set innerHTML(_: string) {
    throw new Error("markup was made of a text");
  }
  insertBefore(item: Item, before: Item | null): Item {
    item.remove();
    const at = before ? this.childNodes.indexOf(before) : -1;
    this.childNodes.splice(at < 0 ? this.childNodes.length : at, 0, item);
    item.parentNode = this;
    return item;
  }
  appendChild(item: Item): Item {
    return this.insertBefore(item, null);
  }
  removeChild(item: Item): Item {
    item.remove();
    return item;
  }
  remove(): void {
    const all = this.parentNode?.childNodes;
    if (all) all.splice(all.indexOf(this), 1);
    this.parentNode = null;
  }
  contains(item: Item | null): boolean {
    for (let at = item; at; at = at.parentNode) if (at === this) return true;
    return false;
  }
  setAttribute(name: string, value: unknown): void {
    this.attributes.set(name, String(value));
  }
  removeAttribute(name: string): void {
    this.attributes.delete(name);
  }
  addEventListener(type: string): void {
    this.listeners.add(type);
  }
  removeEventListener(type: string): void {
    this.listeners.delete(type);
  }
}

export const pretended = {
  createElementNS: (space: string | null, name: string): Item => new Item(name, 1, "", space),
  createElement: (name: string): Item => new Item(name, 1),
  createTextNode: (text: string): Item => new Item("#text", 3, text),
};

/** What answers are drawn with. */
export const elements: ReadonlySet<string> = new Set(
  "div p h1 h2 h3 h4 h5 h6 hr br strong em del code pre figure figcaption span blockquote ul ol li input table thead tbody tr th td a button svg path".split(
    " ",
  ),
);
export const attributes: ReadonlySet<string> = new Set(
  "class href target rel title start type checked disabled aria-label aria-hidden tabIndex tabindex viewBox d fill stroke width height stroke-width stroke-linecap stroke-linejoin".split(
    " ",
  ),
);

/** What there is in a drawn answer that could run, load or lead elsewhere than to a page or a letter. */
export function hostileParts(root: Item): string[] {
  const found: string[] = [];
  const walk = (item: Item): void => {
    if (item.nodeType === 1) {
      if (!elements.has(item.localName)) found.push(`<${item.localName}>`);
      for (const [name, value] of item.attributes) {
        if (!attributes.has(name)) found.push(`${item.localName} ${name}=${value}`);
        if (name === "href" && !/^(https?:\/\/|mailto:)/.test(value)) found.push(`a link to ${value}`);
      }
      if (item.localName === "a" && item.attributes.get("rel") !== "noopener noreferrer") found.push("a link that tells where it was");
      for (const type of item.listeners) if (item.localName !== "button") found.push(`${item.localName} listens to ${type}`);
      if (item.localName === "input" && item.attributes.get("type") !== "checkbox") found.push("an input");
    }
    item.childNodes.forEach(walk);
  };
  root.childNodes.forEach(walk);
  return found;
}
