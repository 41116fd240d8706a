// The tab “Answer”: a question in, its sources, and the text while it is written.

import { eventsOf, post, Refused } from "./api.js";
import { AnswerView } from "./answer-view.js";
import { byId, show } from "./dom.js";
import { clearProblem, showProblem } from "./problem.js";

let current = null; // the controller of the answer in progress

export function startAnswering() {
  byId("answer-form").addEventListener("submit", (event) => {
    event.preventDefault();
    answerNow();
  });
}

function readQuestion() {
  const body = {
    query: byId("question").value.trim(), initial_k: Number(byId("initial-k").value),
    final_k: Number(byId("final-k").value), stream: true, return_documents: true,
  };
  const minimum = byId("answer-min").value;
  return minimum === "" ? body : { ...body, min_score: Number(minimum) };
}

async function answerNow() {
  const body = readQuestion();
  const problem = byId("answer-problem");
  clearProblem(problem);
  if (!body.query) {
    byId("question").focus();
    return;
  }
  current?.abort();
  current = new AbortController();
  const mine = current;
  const button = byId("answer-button");
  button.setAttribute("aria-busy", "true");
  try {
    const response = await post("answer", body, { signal: mine.signal });
    await follow(response, new AnswerView(byId("answer-place")));
  } catch (error) {
    if (error.name !== "AbortError") showProblem(problem, withAdvice(error), answerNow);
  } finally {
    if (mine === current) button.removeAttribute("aria-busy");
  }
}

async function follow(response, view) {
  for await (const [event, data] of eventsOf(response)) {
    if (event === "sources") view.showSources(data);
    else if (event === "text") view.addText(data.text);
    else if (event === "answer") view.showAnswer(data);
    else if (event === "error") {
      throw new Refused(data.detail, { status: data.status, type: data.type, requestId: data.request_id });
    }
  }
  if (!view.complete) throw new Refused("The stream ended before the answer was complete.");
}

function withAdvice(error) {
  if (error.type === "no_store") {
    error.message += ". Fill one with “rerankd ingest FOLDER”, or name one with RERANKD_STORE.";
  }
  show(byId("answer-place"), true);
  return error;
}
