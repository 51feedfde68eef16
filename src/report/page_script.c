/* The style and the script of index.html: nothing from the network, and nothing but this script may run. */
#include "report/html.h"

#include "base/hash.h"

const char lb_html_style[] =
    ":root{color-scheme:light dark;--text:#1a1a1a;--back:#fff;--soft:#555;--line:#333;--faint:#ccc;--hover:#f3f6fa;"
    "--code:#f4f4f4;--link:#0b5cad}\n"
    "@media (prefers-color-scheme:dark){:root{--text:#e6e6e6;--back:#16181c;--soft:#a8adb5;--line:#8b9099;"
    "--faint:#3a3f47;--hover:#22262d;--code:#22262d;--link:#7cb7ff}}\n"
    "*{box-sizing:border-box}body{font:15px/1.5 system-ui,sans-serif;color:var(--text);background:var(--back);"
    "margin:2rem auto;padding:0 1.5rem;max-width:96rem;overflow-wrap:anywhere}a{color:var(--link)}\n"
    "h1{font-size:1.6rem;line-height:1.25;margin:0 0 .3rem}h2{font-size:1.25rem;margin:2.2rem 0 .6rem;"
    "border-bottom:1px solid var(--faint);padding-bottom:.2rem}h3{font-size:1.05rem;margin:1.4rem 0 .4rem}\n"
    ".table{overflow-x:auto;margin:1rem "
    "0}table{width:max-content;border-collapse:collapse;font-variant-numeric:tabular-nums;"
    "font-size:.8rem}\n"
    "caption{text-align:left;font-weight:600;padding:.3rem 0}caption span{display:inline-block;position:sticky;left:0;"
    "max-width:calc(100vw - 3rem)}th,td{padding:.2rem .38rem;text-align:left;"
    "white-space:nowrap;overflow-wrap:normal}\n"
    "th{border-top:2px solid var(--line);border-bottom:1px solid var(--line);vertical-align:bottom}"
    "tbody tr:last-child td{border-bottom:2px solid var(--line)}\n"
    ".n{text-align:right}tr.rule td{border-top:1px solid var(--line)}.sorted tr.rule td{border-top:0}"
    "th:first-child,td:first-child{position:sticky;left:0;background:var(--back);max-width:min(42vw,30rem);"
    "white-space:normal;overflow-wrap:break-word}"
    "tbody tr:hover td{background:var(--hover)}\n"
    "th[aria-sort]{cursor:pointer}th[aria-sort]:hover,th[aria-sort]:focus-visible{text-decoration:underline}"
    "th[aria-sort=ascending]::after{content:\" \\25B2\"}th[aria-sort=descending]::after{content:\" \\25BC\"}\n"
    "figure{margin:1.5rem 0}figure div{overflow-x:auto}figure "
    "img{display:block;max-width:100%;height:auto;background:#fff;padding:.5rem;"
    "border-radius:.3rem}figcaption{font-size:.9rem;color:var(--soft);max-width:60rem}\n"
    "ul{padding-left:1.3rem;font-size:.92rem}li{margin:.15rem 0}details{margin:.5rem 0}summary{cursor:pointer}\n"
    "details.again{display:inline-block;margin:0 0 0 .25rem;font-size:.7rem;color:var(--soft)}"
    ".again summary{list-style:none;text-decoration:underline dotted}.again "
    "summary::-webkit-details-marker{display:none}"
    "details.again[open]{display:block;margin:0}.again "
    "code{display:block;width:22rem;max-width:60vw;white-space:normal;"
    "overflow-wrap:anywhere;background:var(--code);color:var(--text);padding:.2rem .3rem;margin:.15rem 0;"
    "user-select:all}\n"
    "pre{background:var(--code);padding:.8rem;overflow-x:auto;font-size:.85rem;overflow-wrap:normal}\n"
    "@media (max-width:40rem){body{margin:1rem auto;padding:0 .8rem}h1{font-size:1.3rem}.again code{max-width:38vw}}\n"
    "@media print{:root{--text:#000;--back:#fff;--soft:#333}body{margin:0;max-width:none}.table{overflow:visible}"
    ".again "
    "summary{display:none}details.again{display:block;margin:0}.again::details-content{content-visibility:visible;"
    "display:block}.again code{width:auto;max-width:14rem;padding:0}}\n";

/* A click on a column's head sorts by it, the next one the other way round, the third as it was. What has no value
 * stays last. A cell's exact value is in data-v where what is shown is rounded. */
const char lb_html_script[] =
    "'use strict';(function(){\n"
    "function value(td){var v=td.getAttribute('data-v');return (v===null?td.textContent:v).replace(/\\u2212/g,'-');}\n"
    "function order(number){return function(a,b){\n"
    " var x=parseFloat(a.v),y=parseFloat(b.v);\n"
    " if(number&&!isNaN(x)&&!isNaN(y))return x-y;\n"
    " return a.v.localeCompare(b.v,'en',{numeric:true});};}\n"
    "document.querySelectorAll('.table table').forEach(function(table){\n"
    " var body=table.tBodies[0],first=Array.from(body.rows),heads=Array.from(table.tHead.rows[0].cells);\n"
    " heads.forEach(function(th,at){\n"
    "  th.tabIndex=0;th.setAttribute('aria-sort','none');\n"
    "  function sort(){\n"
    "   var was=th.getAttribute('aria-sort'),now=was==='none'?'ascending':was==='ascending'?'descending':'none';\n"
    "   heads.forEach(function(h){h.setAttribute('aria-sort','none');});th.setAttribute('aria-sort',now);\n"
    "   var rows=first.map(function(tr){return {tr:tr,v:value(tr.cells[at])};}),less=order(th.className==='n');\n"
    "   if(now!=='none'){var none=rows.filter(function(r){return r.v==='\\u2013';});\n"
    "    rows=rows.filter(function(r){return r.v!=='\\u2013';}).sort(function(a,b){return now==='ascending'?less(a,b):"
    "less(b,a);}).concat(none);}\n"
    "   table.classList.toggle('sorted',now!=='none');rows.forEach(function(r){body.appendChild(r.tr);});}\n"
    "  th.addEventListener('click',sort);\n"
    "  th.addEventListener('keydown',function(e){if(e.key==='Enter'||e.key===' '){e.preventDefault();sort();}});\n"
    " });});})();\n";

lb_status lb_html_policy(lb_str *out) {
    uint8_t digest[LB_HASH_BYTES];
    LB_TRY(lb_hash_digest(lb_html_script, sizeof lb_html_script - 1, digest));
    lb_str_add(out, "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
                    "style-src 'unsafe-inline'; script-src 'sha256-");
    lb_html_base64(out, digest, sizeof digest);
    lb_str_add(out, "'; base-uri 'none'; form-action 'none'\">\n");
    return lb_str_check(out);
}
