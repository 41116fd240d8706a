// Measures of rankings. An order is a list of document indices, best first.

export function ranksOf(order) {
  const ranks = new Map();
  order.forEach((index, rank) => ranks.set(index, rank + 1));
  return ranks;
}

// Kendall's tau-a of two orders of the same documents: 1: the same, -1: reversed.
export function kendallTau(first, second) {
  const ranks = ranksOf(second);
  const common = first.filter((index) => ranks.has(index));
  const count = common.length;
  if (count < 2) return null;
  let agreement = 0;
  for (let upper = 0; upper < count; upper += 1) {
    for (let lower = upper + 1; lower < count; lower += 1) {
      agreement += ranks.get(common[upper]) < ranks.get(common[lower]) ? 1 : -1;
    }
  }
  return agreement / ((count * (count - 1)) / 2);
}

// As trec_eval: the gain is the grade, the discount log2(rank + 1); what is not judged gains nothing.
export function ndcg(order, grades, k) {
  const gains = order.map((index) => Math.max(0, grades.get(index) ?? 0));
  const ideal = [...grades.values()].filter((grade) => grade > 0).sort((a, b) => b - a);
  const best = discounted(ideal, k);
  return best > 0 ? discounted(gains, k) / best : null;
}

function discounted(gains, k) {
  return gains.slice(0, k).reduce((sum, gain, place) => sum + gain / Math.log2(place + 2), 0);
}

// The reciprocal rank of the first relevant document, within the first k.
export function reciprocalRank(order, grades, k) {
  if (![...grades.values()].some((grade) => grade > 0)) return null;
  const place = order.slice(0, k).findIndex((index) => (grades.get(index) ?? 0) > 0);
  return place < 0 ? 0 : 1 / (place + 1);
}

export function overlap(first, second, k) {
  const top = new Set(second.slice(0, k));
  return first.slice(0, k).filter((index) => top.has(index)).length;
}

// The upper end of a scale for probabilities: a round number that the best score fits under.
export function roundedUp(value) {
  return [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8].find((end) => value <= end) ?? 1;
}

export function scaleOf(scores, kind) {
  const finite = scores.filter((value) => Number.isFinite(value) && !(kind === "logit" && value <= -100));
  if (!finite.length) return { low: 0, high: 1 };
  if (kind !== "logit") return { low: 0, high: roundedUp(Math.max(...finite)) };
  const low = Math.floor(Math.min(...finite)) - 1;
  return { low, high: Math.max(low + 1, Math.ceil(Math.max(...finite))) };
}

export function fraction(value, { low, high }) {
  return Math.min(1, Math.max(0, (value - low) / (high - low)));
}
