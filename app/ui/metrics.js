// Reads /metrics, and makes rates of two readings.

const LINE = /^(\w+)(?:\{(.*)\})? (\S+)/;
// The page's own questions about the state are no load.
const QUIET = new Set(["/metrics", "/readyz", "/info", "/healthz", "/ui", "/ui/{name}"]);

export function readMetrics(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const match = line.startsWith("#") ? null : LINE.exec(line);
    if (match) samples.push({ name: match[1], labels: labelsOf(match[2] ?? ""), value: Number(match[3]) });
  }
  return samples;
}

function labelsOf(text) {
  return Object.fromEntries([...text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, value]) => [name, value]));
}

export function sum(samples, name, wanted = {}) {
  return samples
    .filter((item) => item.name === name && Object.entries(wanted).every(([key, value]) => item.labels[key] === value))
    .reduce((total, item) => total + item.value, 0);
}

function requests(samples) {
  return samples.filter(({ name, labels }) => name === "rerankd_request_seconds_bucket" && !QUIET.has(labels.route));
}

function byBound(samples) {
  const counts = new Map();
  for (const { labels, value } of requests(samples)) counts.set(labels.le, (counts.get(labels.le) ?? 0) + value);
  return counts;
}

// The figures of the time between two readings; since the start, if there was no request between.
export function figuresOf(samples, earlier, seconds) {
  const now = byBound(samples);
  const before = earlier ? byBound(earlier) : new Map();
  const recent = new Map([...now].map(([bound, count]) => [bound, count - (before.get(bound) ?? 0)]));
  const count = recent.get("+Inf") ?? 0;
  const text = sum(samples, "rerankd_tokens_total", { kind: "text" });
  const padding = sum(samples, "rerankd_tokens_total", { kind: "padding" });
  return {
    perSecond: earlier ? count / seconds : null,
    p95: quantile(count ? recent : now, 0.95),
    queue: sum(samples, "rerankd_queue_tokens"),
    queueLimit: sum(samples, "rerankd_queue_tokens_limit"),
    padding: text + padding ? padding / (text + padding) : null,
  };
}

// As Prometheus' histogram_quantile: linear within the bucket.
export function quantile(counts, share) {
  const bounds = [...counts].map(([bound, count]) => [bound === "+Inf" ? Infinity : Number(bound), count])
    .sort(([one], [other]) => one - other);
  const total = bounds.at(-1)?.[1] ?? 0;
  if (!total) return null;
  const rank = share * total;
  const at = bounds.findIndex(([, count]) => count >= rank);
  const [low, below] = at > 0 ? bounds[at - 1] : [0, 0];
  const [high, count] = bounds[at];
  if (high === Infinity) return low;
  return low + ((high - low) * (rank - below)) / (count - below || 1);
}
