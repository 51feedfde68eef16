/* What tools/check-pages runs in a browser: shows each page and figure in a frame of each width and measures what is
 * there. Findings, a line each, end up in <pre id="findings">. Boxes of texts are of their ink, so that lines may be as
 * near to each other as their letters allow. */
'use strict';

const WIDTHS = [360, 800, 1400];
const SLACK = 1; // pixels that texts may lie on each other or stand out: a box is not exact to less
const LEAST = 6; // pixels of letters
const GREY = 0.08; // shares of the way from black to white by which greys differ that are told apart
const NORMAL = 4.5, LARGE = 3; // WCAG 2: contrast of texts, and of large ones
const MOST = 8; // findings of one kind, place and width that are listed

const findings = [], counts = new Map();

function say(where, width, what, a, b) {
    const at = where + (width ? ' at ' + width : ''), kind = at + what.replace(/[-\d.]+/g, '');
    const n = (counts.get(kind) || 0) + 1;
    counts.set(kind, n);
    if (n <= MOST) findings.push(at + ': ' + what + (a ? ': ' + brief(a) : '') + (b ? ' / ' + brief(b) : ''));
    if (n === MOST + 1) findings.push(at + ': ' + what + ': and more of them');
}

function brief(text) {
    const s = text.replace(/\s+/g, ' ').trim();
    return s.length > 70 ? s.slice(0, 67) + '...' : s;
}

/* ---- colours ---- */

/* "rgb(1, 2, 3)", "rgba(1, 2, 3, 0.5)": numbers; null: none. */
function colour(css) {
    const m = /^rgba?\(([^)]*)\)$/.exec(css);
    const v = m && m[1].split(/[\s,/]+/).map(Number);
    return v ? {r: v[0], g: v[1], b: v[2], a: v.length > 3 ? v[3] : 1} : null;
}

function over(top, below) {
    const mix = (x, y) => x * top.a + y * (1 - top.a);
    return {r: mix(top.r, below.r), g: mix(top.g, below.g), b: mix(top.b, below.b), a: 1};
}

/* As CSS's grayscale(1) has it, from 0 to 1. */
function greyOf(c) { return (0.2126 * c.r + 0.7152 * c.g + 0.0722 * c.b) / 255; }

function inGrey(c) {
    const v = 255 * greyOf(c);
    return {r: v, g: v, b: v, a: 1};
}

function luminance(c) {
    const f = (v) => v / 255 <= 0.04045 ? v / 255 / 12.92 : Math.pow((v / 255 + 0.055) / 1.055, 2.4);
    return 0.2126 * f(c.r) + 0.7152 * f(c.g) + 0.0722 * f(c.b);
}

function contrast(x, y) {
    const a = luminance(x), b = luminance(y);
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}

function checkContrast(where, width, scheme, text, front, back, size, bold) {
    const least = size >= 24 || (bold && size >= 18.66) ? LARGE : NORMAL;
    for (const grey of [false, true]) {
        const c = grey ? contrast(inGrey(front), inGrey(back)) : contrast(front, back);
        if (c < least - 0.005)
            say(where, width, 'contrast ' + c.toFixed(1) + ' of ' + least + (scheme ? ', ' + scheme : '') + (grey ? ', in grey' : ''), text);
    }
}

/* ---- frames ---- */

async function frame(html, width) {
    const f = document.createElement('iframe');
    f.style.cssText = 'border:0;display:block;height:1000px;width:' + width + 'px';
    f.srcdoc = html;
    const loaded = new Promise((done) => f.addEventListener('load', done, {once: true}));
    document.body.append(f);
    await loaded;
    return f;
}

function resize(f, width) {
    f.style.width = width + 'px';
    f.style.height = '1000px';
    f.style.height = Math.max(1000, f.contentDocument.documentElement.scrollHeight) + 'px';
}

/* ---- styles of a page ---- */

/* Of elements that stand in the same place of the same kind of parents, as a table's cells do, one is asked for all. */
class Styles {
    constructor(doc) {
        this.view = doc.defaultView;
        this.kind = new Map();
        this.style = new Map();
    }

    kindOf(el) {
        if (!el) return '';
        let kind = this.kind.get(el);
        if (kind === undefined) {
            kind = this.kindOf(el.parentElement) + '>' + el.tagName + '.' + el.className + '#' + (el.getAttribute('style') || '') +
                (el.previousElementSibling ? '' : '^') + (el.nextElementSibling ? '' : '$');
            this.kind.set(el, kind);
        }
        return kind;
    }

    of(el) {
        const kind = this.kindOf(el);
        let style = this.style.get(kind);
        if (!style) {
            const s = this.view.getComputedStyle(el);
            style = {color: s.color, back: colour(s.backgroundColor), overflowX: s.overflowX, overflowY: s.overflowY, position: s.position,
                     size: parseFloat(s.fontSize), bold: Number(s.fontWeight) >= 700, visible: s.visibility === 'visible'};
            this.style.set(kind, style);
        }
        return style;
    }
}

/* ---- texts of a page ---- */

/* What of an element's content shows, by its ancestors that cut or scroll. */
function clipOf(el, styles, cache) {
    if (cache.has(el)) return cache.get(el);
    let clip = {left: -Infinity, top: -Infinity, right: Infinity, bottom: Infinity, cutsX: false, cutsY: false};
    if (el.parentElement) {
        clip = clipOf(el.parentElement, styles, cache);
        const style = styles.of(el), cuts = (v) => v === 'hidden' || v === 'clip';
        if (el !== el.ownerDocument.body && (style.overflowX !== 'visible' || style.overflowY !== 'visible')) {
            const box = el.getBoundingClientRect();
            clip = {left: Math.max(clip.left, box.left), right: Math.min(clip.right, box.right),
                    top: Math.max(clip.top, box.top), bottom: Math.min(clip.bottom, box.bottom),
                    cutsX: cuts(style.overflowX), cutsY: cuts(style.overflowY)};
        }
    }
    cache.set(el, clip);
    return clip;
}

function boxesOf(doc) {
    const boxes = [], range = doc.createRange(), walker = doc.createTreeWalker(doc.body, NodeFilter.SHOW_TEXT);
    for (let node; (node = walker.nextNode());) {
        const el = node.parentElement;
        if (!node.data.trim() || el.closest('script,style,svg')) continue;
        range.selectNodeContents(node);
        for (const r of range.getClientRects()) {
            const ink = 0.12 * r.height; // above and below the letters
            if (r.width > 0 && r.height > 0)
                boxes.push({node, el, text: node.data, left: r.left, right: r.right, top: r.top + ink, bottom: r.bottom - ink});
        }
    }
    return boxes;
}

/* What is outside is said; returns the boxes as far as they show. */
function clipped(where, width, styles, boxes) {
    const cache = new Map(), shown = [];
    for (const b of boxes) {
        const c = clipOf(b.el, styles, cache);
        const outX = Math.max(c.left - b.left, b.right - c.right), outY = Math.max(c.top - b.top, b.bottom - c.bottom);
        if ((c.cutsX && outX > SLACK) || (c.cutsY && outY > SLACK)) say(where, width, 'clipped', b.text);
        else if (b.left < -SLACK && c.left <= 0) say(where, width, 'clipped at the left', b.text);
        const s = {...b, left: Math.max(b.left, c.left), right: Math.min(b.right, c.right),
                   top: Math.max(b.top, c.top), bottom: Math.min(b.bottom, c.bottom)};
        if (s.right - s.left > SLACK && s.bottom - s.top > SLACK) shown.push(s);
    }
    return shown;
}

function overlaps(where, width, boxes) {
    const sorted = boxes.slice().sort((a, b) => a.top - b.top);
    let near = [];
    for (const b of sorted) {
        near = near.filter((a) => a.bottom > b.top + SLACK);
        for (const a of near)
            if (a.node !== b.node && Math.min(a.right, b.right) - Math.max(a.left, b.left) > SLACK)
                say(where, width, 'overlap', a.text, b.text);
        near.push(b);
    }
}

function sideways(where, width, doc, boxes) {
    const root = doc.documentElement, out = root.scrollWidth - root.clientWidth;
    if (out <= 0) return;
    let last = null;
    for (const b of boxes) if (!last || b.right > last.right) last = b;
    say(where, width, 'the page scrolls sideways by ' + out + ' px', last ? last.text : '');
}

/* What stays where it is while the rest scrolls below it has to hide that. */
function sticky(where, width, doc, styles) {
    doc.querySelectorAll('table').forEach((table) => {
        for (const el of table.querySelectorAll('th,td')) {
            const style = styles.of(el);
            if (style.position !== 'sticky' || (style.back && style.back.a === 1)) continue;
            say(where, width, 'shows what scrolls below it', el.textContent);
            return;
        }
    });
}

/* ---- light and dark ---- */

function setScheme(doc, dark) {
    for (const sheet of doc.styleSheets)
        for (const rule of sheet.cssRules) {
            const asked = rule.media ? rule.lowbitAsked || rule.media.mediaText : '';
            if (!asked.includes('prefers-color-scheme')) continue;
            rule.lowbitAsked = asked;
            rule.media.mediaText = asked.includes('dark') === dark ? 'all' : 'not all';
        }
    doc.documentElement.style.colorScheme = dark ? 'dark' : 'light';
}

function backOf(el, styles, canvas) {
    if (!el) return canvas;
    const c = styles.of(el).back;
    return c && c.a === 1 ? c : c && c.a > 0 ? over(c, backOf(el.parentElement, styles, canvas)) : backOf(el.parentElement, styles, canvas);
}

function contrasts(where, width, doc, scheme) {
    const styles = new Styles(doc), seen = new Set();
    const canvas = scheme === 'dark' ? {r: 18, g: 18, b: 18, a: 1} : {r: 255, g: 255, b: 255, a: 1};
    const walker = doc.createTreeWalker(doc.body, NodeFilter.SHOW_TEXT);
    for (let node; (node = walker.nextNode());) {
        const el = node.parentElement, kind = styles.kindOf(el);
        if (seen.has(kind) || !node.data.trim() || el.closest('script,style,svg')) continue;
        seen.add(kind);
        const style = styles.of(el), front = colour(style.color), back = backOf(el, styles, canvas);
        if (style.visible && front) checkContrast(where, width, scheme, node.data, over(front, back), back, style.size, style.bold);
    }
}

/* ---- sorting ---- */

const MISSING = '\u2013';

/* What a cell is to be sorted by, and whether that is all that is known of it. */
function sortValue(td) {
    const exact = td.getAttribute('data-v'), text = (exact === null ? td.textContent : exact).replace(/\u2212/g, '-').trim();
    return {text, number: text !== '' && isFinite(text) ? Number(text) : NaN, missing: text === MISSING};
}

/* '', or two values that stand the wrong way round. What a column of numbers has beside them may stand anywhere. */
function inOrder(rows, at, way, numeric) {
    const v = rows.map((tr) => sortValue(tr.cells[at]));
    const there = v.filter((x) => !x.missing);
    if (v.slice(0, there.length).some((x) => x.missing)) return 'what has no value is not last';
    const numbers = there.filter((x) => !isNaN(x.number)), words = there.filter((x) => isNaN(x.number));
    for (let i = 1; i < numbers.length; i++)
        if (way * (numbers[i].number - numbers[i - 1].number) < 0)
            return numbers[i - 1].text + ' before ' + numbers[i].text;
    for (let i = 1; i < words.length && !numbers.length && !numeric; i++)
        if (way * words[i].text.localeCompare(words[i - 1].text, 'en', {numeric: true}) < 0)
            return words[i - 1].text + ' before ' + words[i].text;
    return '';
}

function press(doc, th, key) {
    const view = doc.defaultView;
    th.dispatchEvent(key ? new view.KeyboardEvent('keydown', {key: 'Enter', bubbles: true, cancelable: true})
                         : new view.MouseEvent('click', {bubbles: true, cancelable: true}));
}

function sorting(where, doc) {
    doc.querySelectorAll('.table table').forEach((table) => {
        const body = table.tBodies[0], first = Array.from(body.rows), id = table.id || 'table';
        Array.from(table.tHead.rows[0].cells).forEach((th, at) => {
            const name = id + ', column ' + th.textContent;
            // Of what is rounded a reader sees the same text twice, in an order that only the exact value explains.
            const rounded = first.find((tr) => {
                const v = sortValue(tr.cells[at]);
                return th.className === 'n' && !v.missing && isNaN(v.number) && /^-?\d*\.\d/.test(v.text) && !/^\S+ [a-z]+\.$/.test(v.text);
            });
            if (rounded) say(where, 0, 'no exact value', name, rounded.cells[at].textContent);
            for (const [way, word] of [[1, 'ascending'], [-1, 'descending'], [0, 'none']]) {
                press(doc, th, way < 0);
                const rows = Array.from(body.rows);
                if (th.getAttribute('aria-sort') !== word) {
                    say(where, 0, 'does not sort', name, 'aria-sort is ' + th.getAttribute('aria-sort') + ', not ' + word);
                    return;
                }
                if (rows.length !== first.length || new Set(rows).size !== first.length || !first.every((tr) => tr.parentNode === body)) {
                    say(where, 0, 'sorting loses rows', name);
                    return;
                }
                const wrong = way ? inOrder(rows, at, way, th.className === 'n') : rows.every((tr, i) => tr === first[i]) ? '' : 'the first order does not come back';
                if (wrong) say(where, 0, 'does not sort', name, wrong);
            }
        });
    });
}

/* ---- pages ---- */

/* How wide each figure is shown, by name and width of the page. */
const shownWidth = new Map();

async function checkPage(where, html) {
    const f = await frame(html, WIDTHS[0]), doc = f.contentDocument;
    doc.querySelectorAll('details').forEach((d) => { d.open = true; });
    doc.querySelectorAll('img').forEach((img) => {
        if (!img.complete || !img.naturalWidth) say(where, 0, 'a picture does not show', img.alt);
    });
    for (const width of WIDTHS) {
        resize(f, width);
        doc.querySelectorAll('figure').forEach((figure) => {
            const img = figure.querySelector('img'), style = img && doc.defaultView.getComputedStyle(img);
            if (img) shownWidth.set(where.replace(/index\.html$/, 'plots/') + figure.id + '.svg ' + width,
                                    img.getBoundingClientRect().width - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight));
        });
        const boxes = boxesOf(doc), styles = new Styles(doc);
        sideways(where, width, doc, boxes);
        overlaps(where, width, clipped(where, width, styles, boxes));
        sticky(where, width, doc, styles);
        for (const scheme of ['light', 'dark']) {
            setScheme(doc, scheme === 'dark');
            contrasts(where, width, doc, scheme);
        }
    }
    sorting(where, doc);
    f.remove();
}

/* ---- texts of a figure ---- */

const canvas = document.createElement('canvas').getContext('2d');

/* Of letters above and below the line that they stand on, in the text's own units. */
function inkOf(t, style) {
    canvas.font = style.fontStyle + ' ' + style.fontWeight + ' ' + style.fontSize + ' ' + style.fontFamily;
    const m = canvas.measureText(t.textContent.trim());
    return {above: m.actualBoundingBoxAscent, below: m.actualBoundingBoxDescent};
}

/* Its box on the screen, turned as it is. */
function quadOf(t) {
    const style = t.ownerDocument.defaultView.getComputedStyle(t), b = t.getBBox(), m = t.getScreenCTM(), ink = inkOf(t, style);
    const line = t.getStartPositionOfChar(0).y, top = line - ink.above, bottom = line + ink.below;
    const corner = (x, y) => ({x: m.a * x + m.c * y + m.e, y: m.b * x + m.d * y + m.f});
    const p = [corner(b.x, top), corner(b.x + b.width, top), corner(b.x + b.width, bottom), corner(b.x, bottom)];
    const x = p.map((q) => q.x), y = p.map((q) => q.y);
    return {t, style, p, text: t.textContent, size: parseFloat(style.fontSize) * Math.sqrt(Math.abs(m.a * m.d - m.b * m.c)),
            left: Math.min(...x), right: Math.max(...x), top: Math.min(...y), bottom: Math.max(...y)};
}

/* How deep two boxes lie in each other: the least way that would part them; 0 and below: they do not. */
function depth(a, b) {
    let least = Infinity;
    for (const p of [a.p, b.p])
        for (let i = 0; i < 2; i++) {
            const ex = p[i + 1].x - p[i].x, ey = p[i + 1].y - p[i].y, n = Math.hypot(ex, ey) || 1;
            const along = (q) => q.map((c) => (c.x * ex + c.y * ey) / n), u = along(a.p), v = along(b.p);
            least = Math.min(least, Math.min(Math.max(...u), Math.max(...v)) - Math.max(Math.min(...u), Math.min(...v)));
        }
    return least;
}

function textsOf(svg) { return Array.from(svg.querySelectorAll('text')).filter((t) => t.textContent.trim()).map(quadOf); }

function figureTexts(where, width, svg, texts) {
    const r = svg.getBoundingClientRect();
    texts.forEach((a, i) => {
        const out = Math.max(r.left - a.left, a.right - r.right, r.top - a.top, a.bottom - r.bottom);
        if (out > SLACK) say(where, width, 'clipped by ' + out.toFixed(0) + ' px', a.text);
        if (a.size < LEAST - 0.05) say(where, width, 'letters of ' + a.size.toFixed(1) + ' px', a.text);
        for (const b of texts.slice(i + 1)) {
            if (a.right < b.left || b.right < a.left || a.bottom < b.top || b.bottom < a.top) continue;
            // A text on a white ground is there twice, the first time as that ground.
            if (a.text === b.text && Math.hypot(a.left - b.left, a.top - b.top) < SLACK / 2) continue;
            if (depth(a, b) > SLACK) say(where, width, 'overlap', a.text, b.text);
        }
    });
}

/* The colours that lie below a text in the middle of it and near its ends; of patterns none. */
function backgrounds(svg, a, hasAreas) {
    const doc = svg.ownerDocument, view = doc.defaultView, out = [];
    if (a.t.getAttribute('filter') || a.t.closest('[filter]')) return [{r: 255, g: 255, b: 255, a: 1}];
    if (!hasAreas) return [{r: 255, g: 255, b: 255, a: 1}];
    for (const share of [0.1, 0.5, 0.9]) {
        const at = (k) => (a.p[0][k] + a.p[3][k]) / 2 * (1 - share) + (a.p[1][k] + a.p[2][k]) / 2 * share;
        let found = {r: 255, g: 255, b: 255, a: 1};
        for (const el of doc.elementsFromPoint(at('x'), at('y'))) {
            if (!/^(polygon|rect|path|circle)$/.test(el.tagName) || !svg.contains(el)) continue;
            const fill = view.getComputedStyle(el).fill, c = colour(fill);
            if (fill.startsWith('url')) found = null;
            if (fill.startsWith('url') || (c && c.a === 1)) {
                found = c || found;
                break;
            }
        }
        if (found) out.push(found);
    }
    return out;
}

function figureContrasts(where, svg, texts) {
    const hasAreas = svg.querySelectorAll('polygon,rect[fill]:not([fill="none"])').length > 1; // the ground is one
    for (const a of texts) {
        const front = colour(a.style.fill);
        if (!front) continue;
        let worst = null;
        for (const back of backgrounds(svg, a, hasAreas)) if (!worst || contrast(front, back) < contrast(front, worst)) worst = back;
        if (worst) checkContrast(where, 0, '', a.text, over(front, worst), worst, parseFloat(a.style.fontSize), Number(a.style.fontWeight) >= 700);
    }
}

/* ---- series of a figure, in grey ---- */

function patternOf(svg, fill) {
    const id = /#([^"')]+)/.exec(fill), el = id && svg.ownerDocument.getElementById(id[1]);
    return el ? el.innerHTML.replace(/\s+/g, ' ') : fill;
}

/* What a legend names: how it is drawn; null: by nothing that is seen. */
function lookOf(svg, g) {
    const view = svg.ownerDocument.defaultView, look = {title: g.querySelector('text').textContent, boxes: []};
    for (const el of g.querySelectorAll('polygon,rect')) {
        const fill = view.getComputedStyle(el).fill, c = colour(fill);
        if (!fill.startsWith('url') && !(c && c.a > 0)) continue;
        look.fill = fill.startsWith('url') ? {pattern: patternOf(svg, fill), grey: NaN} : {pattern: '', grey: greyOf(c)};
        look.boxes.push(el.getBoundingClientRect());
    }
    if (look.fill) return look;
    const mark = g.querySelector('use'), line = g.querySelector('path,polyline,line');
    if (!mark && !line) return null;
    const lineStyle = line && view.getComputedStyle(line);
    const c = colour(mark ? view.getComputedStyle(mark).color : lineStyle.stroke);
    if (!c || (!mark && greyOf(c) > 0.99)) return null;
    look.grey = greyOf(c);
    look.marker = mark ? mark.getAttribute('href') || mark.getAttribute('xlink:href') : '';
    look.dash = line ? lineStyle.strokeDasharray : '';
    return look;
}

const alike = (x, y) => x.pattern === y.pattern && (x.pattern !== '' || Math.abs(x.grey - y.grey) < GREY);

function touch(a, b) {
    return a.width > 1 && b.width > 1 && a.height > 1 && b.height > 1 &&
        Math.min(a.right, b.right) - Math.max(a.left, b.left) > -1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
}

function figureSeries(where, svg) {
    const looks = Array.from(svg.querySelectorAll('g[id^="gnuplot_plot_"]')).filter((g) => g.querySelector('text'))
        .map((g) => lookOf(svg, g)).filter((look) => look);
    looks.forEach((a, i) => looks.slice(i + 1).forEach((b) => {
        if (a.title === b.title || !a.fill !== !b.fill) return;
        if (a.fill && alike(a.fill, b.fill) && a.boxes.some((x) => b.boxes.some((y) => touch(x, y))))
            say(where, 0, 'neighbours fall together in grey', a.title, b.title);
        if (!a.fill && a.marker === b.marker && a.dash === b.dash && Math.abs(a.grey - b.grey) < GREY)
            say(where, 0, 'series fall together in grey', a.title, b.title);
    }));
}

/* ---- figures ---- */

/* "sans-serif" is another font for each reader: here the widest of the usual ones. */
const FIGURE_HEAD = '<!DOCTYPE html><style>body{margin:0}[font-family="sans-serif"]{font-family:"DejaVu Sans",sans-serif}</style><body>';

async function checkFigure(where, text) {
    const f = await frame(FIGURE_HEAD + text.replace(/^[^]*?(?=<svg)/, ''), WIDTHS[2]);
    const doc = f.contentDocument, svg = doc.querySelector('svg');
    if (!svg || !(parseFloat(svg.getAttribute('width')) > 0)) {
        say(where, 0, 'is no picture');
        f.remove();
        return;
    }
    const own = parseFloat(svg.getAttribute('width')), high = parseFloat(svg.getAttribute('height'));
    svg.style.display = 'block';
    // Of a figure that stands on no page: as pages show figures, whose letters shrink to 8 pixels and no further.
    const sized = svg.closest('[font-size]') || svg.querySelector('[font-size]'), letters = sized ? parseFloat(sized.getAttribute('font-size')) : 0;
    const least = letters > 8 ? own * 8 / letters : own;
    let last = 0;
    for (const width of WIDTHS) {
        const shown = shownWidth.get(where + ' ' + width) || Math.min(own, Math.max(width, least));
        if (Math.abs(shown - last) < 0.05 * shown) continue; // as the width before
        last = shown;
        f.style.width = Math.max(shown, width) + 'px';
        f.style.height = shown * high / own + 'px';
        svg.style.width = shown + 'px';
        svg.style.height = shown * high / own + 'px';
        figureTexts(where, width, svg, textsOf(svg));
    }
    figureContrasts(where, svg, textsOf(svg));
    figureSeries(where, svg);
    f.remove();
}

async function main() {
    const parts = Array.from(document.querySelectorAll('script[type="text/plain"]')).map((el) => {
        const bytes = Uint8Array.from(atob(el.textContent.trim()), (c) => c.charCodeAt(0));
        const part = {kind: el.dataset.kind, name: el.dataset.name, text: new TextDecoder().decode(bytes)};
        el.remove();
        return part;
    });
    for (const part of parts) {
        try {
            await (part.kind === 'page' ? checkPage : checkFigure)(part.name, part.text);
        } catch (e) {
            say(part.name, 0, 'cannot be measured', String(e));
        }
    }
    const out = document.createElement('pre');
    out.id = 'findings';
    out.textContent = ['', ...findings, 'checked ' + parts.length, ''].join('\n');
    document.body.append(out);
}

document.currentScript.remove();
main();
