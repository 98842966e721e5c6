/** The paths of the server, from its own table of routes, so that one that is added is tried as well. */
import { createApp } from "../../dist/serve/app.js";
import { Catalog } from "../../dist/serve/catalog.js";

const { routes } = createApp({ catalog: new Catalog([]) });

/** Paths that take a method; a part that is a client's own stands as `x`. @param {string} method */
const pathsOf = method => routes.filter(r => r.method === method).map(r => r.path.replace(/:\w+(?:\{.*\})?$/, "x"));

export const POSTS = pathsOf("POST");
export const GETS = pathsOf("GET");
