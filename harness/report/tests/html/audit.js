// What must hold of every page, however it is shown: gives what is wrong, each in words.
(() => {
  const wrong = [];
  const all = (selector, of = document) => [...of.querySelectorAll(selector)];
  const told = (element) => element.outerHTML.slice(0, 120);
  // Hidden details are looked at, too.
  all("details").forEach((details) => { details.open = true; });

  // Names.
  const name = (element) => {
    const by = element.getAttribute("aria-labelledby");
    const text = by ? document.getElementById(by)?.textContent : element.getAttribute("aria-label");
    return (text ?? "").trim();
  };
  for (const element of all("section, article, nav, [role=group]")) {
    if (!name(element)) wrong.push(`no name: ${told(element)}`);
  }
  for (const svg of all("svg")) {
    const title = svg.firstElementChild;
    if (svg.getAttribute("role") !== "img") wrong.push(`no role: ${told(svg)}`);
    if (title?.tagName !== "title" || !title.textContent.trim()) wrong.push(`no title: ${told(svg)}`);
  }
  for (const table of all("table")) {
    if (!table.caption?.textContent.trim()) wrong.push(`no caption: ${told(table)}`);
    if (!all("thead th", table).length) wrong.push(`no titles of columns: ${told(table)}`);
  }
  for (const th of all("th")) if (!th.scope) wrong.push(`no scope: ${told(th)}`);
  for (const summary of all("summary")) if (!summary.textContent.trim()) wrong.push(`no words: ${told(summary)}`);

  // Links.
  for (const link of all("a")) {
    if (!link.textContent.trim()) wrong.push(`no text: ${told(link)}`);
    const to = link.getAttribute("href");
    if (!to?.startsWith("#") || !document.getElementById(to.slice(1))) wrong.push(`leads nowhere: ${told(link)}`);
  }
  const ids = all("[id]").map((element) => element.id);
  ids.filter((id, at) => ids.indexOf(id) !== at).forEach((id) => wrong.push(`twice: id ${id}`));

  // Outline.
  for (const [selector, count] of [["h1", 1], ["main", 1], ["header", 1], ["script", 0], ["[style]", 0], ["title", null]]) {
    const found = all(selector).length;
    if (count !== null && found !== count) wrong.push(`${found} of ${selector}`);
  }
  let level = 0;
  for (const heading of all("h1, h2, h3, h4, h5, h6")) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) wrong.push(`h${next} below h${level}: ${told(heading)}`);
    if (!heading.textContent.trim()) wrong.push(`empty: ${told(heading)}`);
    level = next;
  }

  // Width.
  const across = document.documentElement;
  if (across.scrollWidth > across.clientWidth || window.innerWidth > across.clientWidth + 20) {
    const wide = all("body *").filter((element) => element.getBoundingClientRect().right > across.clientWidth + 1 && !element.closest(".scroll, svg"));
    wrong.push(`${across.scrollWidth} wide on ${across.clientWidth}: ${wide.slice(-2).map(told).join(" and ")}`);
  }

  // Words in a picture stay in it.
  for (const text of all("svg text")) {
    const [box, room] = [text.getBoundingClientRect(), text.closest("svg").getBoundingClientRect()];
    if (box.width && (box.left < room.left - 6 || box.right > room.right + 6)) wrong.push(`out of its picture: ${told(text)}`);
  }

  // Contrast, of every text that is seen.
  const parse = (color) => {
    const parts = color.match(/[\d.]+/g).map(Number);
    return { rgb: parts.slice(0, 3), alpha: parts.length > 3 ? parts[3] : 1 };
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.alpha === 1) return color.rgb;
      if (color.alpha > 0) return null;
    }
    return [255, 255, 255];
  };
  let texts = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const element = node.parentElement;
    if (!node.data.trim() || element.closest("title, .sr")) continue;
    const style = getComputedStyle(element);
    if (style.opacity !== "1") wrong.push(`seen through: ${told(element)}`);
    const color = parse(element.closest("svg") ? style.fill : style.color);
    const ground = behind(element.closest("svg") ?? element);
    const contrast = ground && color.alpha === 1 ? ratio(color.rgb, ground) : 0;
    if (contrast < 4.5) wrong.push(`contrast ${contrast.toFixed(2)}: ${told(element)}`);
    texts += 1;
  }
  if (texts < 5) wrong.push(`only ${texts} texts were looked at`);
  return wrong;
})()
