/** What a statement is called in a trace: its verb and its first table, as `UPDATE grant`. */
export function statementName(text: string): string {
  let name = names.get(text);
  if (name === undefined) {
    name = nameOf(text);
    if (names.size < most) names.set(text, name);
  }
  return name;
}

const names = new Map<string, string>();

/** Texts whose names are remembered: each is constant, and there are some hundred of them. */
const most = 1_000;

const verbs = /\b(SELECT|INSERT|UPDATE|DELETE|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|SET|LISTEN)\b/i;

/** A table stands behind these, perhaps after its schema; a function has a parenthesis behind it. */
const table = /\b(?:FROM|INTO|UPDATE)\s+(?!AS\b)(?:"?\w+"?\.)?"?([a-z_]+)\b"?(?!\()/i;

const fieldOfTime = /\(\s*\w+\s+FROM\b/gi;

function nameOf(text: string): string {
  const all = text.replace(fieldOfTime, '(');
  const body = outsideParentheses(all);
  const verb = verbs.exec(body)?.[1]?.toUpperCase() ?? 'SQL';
  if (!/^(?:SELECT|INSERT|UPDATE|DELETE)$/.test(verb)) return verb;
  const outer = table.exec(body)?.[1];
  // What a part of its `WITH` is called says less than the table of that.
  const isPart = outer === undefined || new RegExp(`\\b${outer}\\s+AS\\s*\\(`, 'i').test(all);
  const named = isPart ? table.exec(all)?.[1] : outer;
  return named === undefined ? verb : `${verb} ${named}`;
}

/** The statement itself: parts of a `WITH` and statements within it are in parentheses. */
function outsideParentheses(text: string): string {
  let depth = 0;
  let outside = '';
  for (const character of text) {
    if (character === '(') depth += 1;
    if (depth === 0) outside += character;
    if (character === ')') depth -= 1;
  }
  return outside;
}
