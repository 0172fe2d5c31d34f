// A JSON list of LogQL queries in, the list of their trees out: [name, text, children]. `⚠` is what does not parse.
import { parser } from "@grafana/lezer-logql";

function tree(node, query) {
  const children = [];
  for (let child = node.firstChild; child; child = child.nextSibling) children.push(tree(child, query));
  return [node.name, query.slice(node.from, node.to), children];
}

let text = "";
for await (const chunk of process.stdin) text += chunk;
console.log(JSON.stringify(JSON.parse(text).map((query) => tree(parser.parse(query).topNode, query))));
