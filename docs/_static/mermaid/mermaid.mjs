// Pages import Mermaid as a module, but the file beside this one is a script, which leaves a global name.
await new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL("mermaid.tiny.js", import.meta.url);
    script.onload = resolve;
    script.onerror = reject;
    document.head.append(script);
});

// By itself it would draw the diagrams without the page's theme.
globalThis.mermaid.startOnLoad = false;
export default globalThis.mermaid;
