// Reads the forms of a page, as much of HTML as server-made login and consent pages need.

const ENTITIES = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

export function decodeEntities(text) {
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex, decimal, name) => {
    if (hex) return String.fromCodePoint(parseInt(hex, 16));
    if (decimal) return String.fromCodePoint(Number(decimal));
    return ENTITIES[name] ?? whole;
  });
}

function attributes(tag) {
  const found = {};
  const pattern = /([\w-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?/g;
  for (const [, name, double, single, bare] of tag.matchAll(pattern)) {
    found[name.toLowerCase()] = decodeEntities(double ?? single ?? bare ?? '');
  }
  return found;
}

/** The page's forms: action (absolute), method, fields ({name, type, value, checked}) and submit buttons. */
export function formsOf(html, pageUrl) {
  return [...html.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/gi)].map(([, head, inner]) => {
    const { action, method = 'get' } = attributes(head);
    const fields = [];
    const buttons = [];
    for (const [, tag, rest] of inner.matchAll(/<(input|button)\b([^>]*)>/gi)) {
      const a = attributes(rest);
      const type = (a.type ?? (tag.toLowerCase() === 'button' ? 'submit' : 'text')).toLowerCase();
      const field = { name: a.name, type, value: a.value ?? '', checked: 'checked' in a };
      (type === 'submit' ? buttons : fields).push(field);
    }
    return { action: new URL(action || pageUrl, pageUrl).href, method: method.toLowerCase(), fields, buttons };
  });
}
