// The page imports Mermaid as a module; the file beside this one is a script that leaves a global name.
import "./mermaid.tiny.js";

export default globalThis.mermaid;
