// What the link may do that was opened. The server refuses the rest; the page does not offer it.

import { get } from "./server.js";

/** Resolves to whether it is the coders' link; where that cannot be known, the server says no when it comes to it. */
export const onlyLabels = get("/api/access").then(({ role }) => role === "coder", () => false);

onlyLabels.then((only) => document.body.classList.toggle("only-labels", only));
