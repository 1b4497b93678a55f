// Against src/eval/testdata/goldens.json, which lm-evaluation-harness and transformers made of the hand-written rows beside
// it (tools/make_eval_goldens.py).

#include "eval/tasks.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/json.h"
#include "base/test_folder.h"
#include "eval/task.h"
#include "model/synthetic.h"

namespace trit {
namespace {

const Path kSource = TRIT_SOURCE_DIR;
const Path kData = kSource / "src/eval/testdata";

const Json& goldens() {
  static const Json json = parse_json(read_text(kData / "goldens.json"), "goldens.json");
  return json["tasks"];
}

const Tokenizer& tokenizer() {
  static const Tokenizer tokenizer = *open_tokenizer(kSource / "models/tales-3m.gguf");
  return tokenizer;
}

TaskReport run(Place& place, const Model& model, const std::string& task, TaskOptions options) {
  if (options.data.empty()) options.data = kData;
  return run_tasks(place, model.weights(), tokenizer(), {task}, options)[0];
}

// trit synth --preset micro --family llama --seed 7
Model random_llama(const Place& place) {
  Model model = synthetic_model(as_family(preset("micro"), Family::kLlama), DType::kBF16, 7);
  place.arrange(model);
  return model;
}

void expect_prompts(const ScoredItem& item, const Json& golden) {
  ASSERT_EQ(item.choices.size(), golden["requests"].size());
  for (size_t i = 0; i < item.choices.size(); ++i) {
    EXPECT_EQ(item.choices[i].context, golden["requests"][i][0].get<std::string>());
    EXPECT_EQ(item.choices[i].continuation, golden["requests"][i][1].get<std::string>());
  }
  EXPECT_EQ(item.gold, golden.value("gold", 0));
}

void expect_scores(const TaskReport& report, const Json& golden, double near) {
  for (size_t i = 0; i < report.items.size(); ++i) {
    for (size_t c = 0; c < report.items[i].choices.size(); ++c) {
      const ScoredChoice& choice = report.items[i].choices[c];
      EXPECT_NEAR(choice.log_likelihood, golden["log_likelihoods"][i][c].get<double>(), near)
          << choice.continuation;
      if (report.task == "lambada_openai") {
        EXPECT_EQ(choice.greedy, golden["greedy"][i][c].get<bool>());
      }
    }
  }
  EXPECT_EQ(report.metrics.size(), golden["metrics"].size());
  for (const TaskMetric& metric : report.metrics) {
    const double expected = golden["metrics"].at(metric.name);
    EXPECT_NEAR(metric.value, expected, near * expected) << metric.name;
  }
}

void expect_the_harness(Place& place, const Model& model, const char* name, double near) {
  for (const std::string& task : task_names()) {
    for (const int64_t few_shot : {0, 2}) {
      SCOPED_TRACE(fmt::format("{}, {} examples", task, few_shot));
      const TaskReport report = run(place, model, task, {.few_shot = few_shot});
      const Json& golden = goldens().at(task).at(std::to_string(few_shot));
      ASSERT_EQ(report.items.size(), golden["items"].size());
      for (size_t i = 0; i < report.items.size(); ++i)
        expect_prompts(report.items[i], golden["items"][i]);
      expect_scores(report, golden[name], near);
    }
  }
}

TEST(Tasks, AreTheHarnessesForALlama) {
  Place place;
  expect_the_harness(place, random_llama(place), "llama", 1e-3);
}

// Sums in another order tip activations to the next int8 now and then, and a continuation has tens of tokens: transformers
// itself differs so much between float32 and float64.
TEST(Tasks, AreTheHarnessesForTheShippedModel) {
  Place place;
  const Model model = place.open(kSource / "models/tales-3m.gguf");
  expect_the_harness(place, model, "tales", 0.15);
}

// What choices share is computed once; scores do not depend on what else is scored.
TEST(Tasks, ScoresDependOnTheItemAlone) {
  Place place;
  const Model model = random_llama(place);
  const TaskReport all = run(place, model, "arc_easy", {});
  EXPECT_GT(all.reused, all.tokens / 3);
  const TaskReport one = run(place, model, "arc_easy", {.limit = 1});
  ASSERT_EQ(one.items.size(), 1u);
  EXPECT_TRUE(std::isnan(one.metrics[0].standard_error));
  for (size_t c = 0; c < one.items[0].choices.size(); ++c) {
    EXPECT_EQ(one.items[0].choices[c].log_likelihood, all.items[0].choices[c].log_likelihood);
  }
}

// Of acc = 3/4 over four items: sqrt(0.1875 * 4 / 3 / 4) = 0.25.
TEST(Tasks, StandardErrorIsOfTheSamplesVariance) {
  Place place;
  const TaskReport report = run(place, random_llama(place), "arc_easy", {});
  const double p = report.metric("acc")->value;
  EXPECT_NEAR(report.metric("acc")->standard_error, std::sqrt(p * (1 - p) / 3), 1e-12);
  EXPECT_EQ(report.metric("perplexity"), nullptr);
}

TEST(Tasks, RefusesWhatIsNotThere) {
  Place place;
  const Model model = random_llama(place);
  EXPECT_THROW(run(place, model, "arc", {}), Error);
  EXPECT_THROW(run(place, model, "piqa", {.data = test_folder() / "none"}), Error);
  EXPECT_THROW(run(place, model, "piqa", {.few_shot = 4}), Error);  // of four rows, one is asked
  EXPECT_THROW(run(place, model, "piqa", {.limit = -1}), Error);
}

// ---- Forms of the data ----

std::string choice_texts(const Question& q) {
  std::string text = q.contexts[0];
  for (const std::string& choice : q.continuations) text += fmt::format("|{}", choice);
  return fmt::format("{}|{}", text, q.gold);
}

Question question(std::string_view task, std::string_view row) {
  return find_task(task).question(parse_json(row, "row"), "row");
}

TEST(TaskForms, AreReadAlike) {
  EXPECT_EQ(choice_texts(question(
                "arc_easy", R"({"id": "1", "answerKey": "2", "question": {"stem": "Why?", "choices":
              [{"text": "so", "label": "1"}, {"text": "not so", "label": "2"}]}})")),
            "Question: Why?\nAnswer:| so| not so|1");
  EXPECT_EQ(choice_texts(question("openbookqa",
                                  R"({"answerKey": "A", "question": {"stem": "Birds", "choices":
              [{"text": "fly", "label": "A"}, {"text": "swim", "label": "B"}]}})")),
            "Birds| fly| swim|0");
  EXPECT_EQ(choice_texts(
                question("boolq", R"({"question": "is it", "passage": "It is.", "answer": true})")),
            "It is.\nQuestion: is it?\nAnswer:| no| yes|1");
  EXPECT_EQ(
      choice_texts(question("boolq", R"({"question": "is it", "passage": "No.", "label": false})")),
      "No.\nQuestion: is it?\nAnswer:| no| yes|0");
  EXPECT_EQ(choice_texts(question(
                "hellaswag",
                R"({"ctx": "Rowing: they", "endings": ["row", "[x]  sleep"], "label": "1"})")),
            "Rowing: they| row| [x]  sleep|1");  // cleaned already: taken as it is
}

TEST(TaskForms, SayWhatIsWrong) {
  const auto error = [](std::string_view task, std::string_view row) -> std::string {
    try {
      question(task, row);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_EQ(error("piqa", R"({"goal": "g", "sol1": "a", "sol2": "b", "label": 2})").substr(0, 12),
            "row: field \"");
  EXPECT_NE(
      error("winogrande", R"({"sentence": "none", "option1": "a", "option2": "b", "answer": "1"})")
          .find("'_'"),
      std::string::npos);
  EXPECT_NE(
      error("winogrande", R"({"sentence": "_", "option1": "a", "option2": "b", "answer": "3"})")
          .find("answer"),
      std::string::npos);
  EXPECT_NE(
      error("arc_easy",
            R"({"question": "q", "choices": {"text": ["a"], "label": ["A"]}, "answerKey": "B"})")
          .find("answerKey"),
      std::string::npos);
  EXPECT_NE(error("arc_easy",
                  R"({"question": "q", "choices": {"text": ["a"], "label": []}, "answerKey": "B"})")
                .find("labels"),
            std::string::npos);
  EXPECT_NE(error("arc_easy", R"({"question": "q", "answerKey": "B"})").find("choices"),
            std::string::npos);
  EXPECT_NE(error("hellaswag", R"({"ctx": "c", "endings": [1], "label": 0})").find("endings"),
            std::string::npos);
  EXPECT_NE(error("hellaswag", R"({"ctx": "c", "endings": ["a"], "label": "x"})").find("label"),
            std::string::npos);
  EXPECT_NE(error("lambada_openai", R"({"txt": "c"})").find("text"), std::string::npos);
}

// PIQA's labels as published are a file beside the rows; SciQ is published as one list.
TEST(TaskForms, OfFiles) {
  const Path folder = test_folder();
  write_text(folder / "piqa-valid.jsonl",
             "{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\"}\n\n{\"goal\": \"h\", \"sol1\": "
             "\"c\", \"sol2\": \"d\"}\n");
  write_text(folder / "piqa-valid-labels.lst", "1\n0\n");
  write_text(
      folder / "sciq_test.json",
      R"([{"question": "q", "distractor1": "x", "distractor2": "y", "distractor3": "z", "correct_answer": "w", "support": "s"}])");
  Place place;
  const Model model = random_llama(place);
  const TaskReport piqa = run(place, model, "piqa", {.data = folder});
  ASSERT_EQ(piqa.items.size(), 2u);
  EXPECT_EQ(piqa.items[0].gold, 1);
  EXPECT_EQ(piqa.items[1].gold, 0);
  const TaskReport sciq = run(place, model, "sciq", {.data = folder});
  ASSERT_EQ(sciq.items.size(), 1u);
  EXPECT_EQ(sciq.items[0].choices[3].continuation, " w");
  write_text(folder / "piqa-valid-labels.lst", "1\n");
  EXPECT_THROW(run(place, model, "piqa", {.data = folder}), Error);
  write_text(folder / "piqa-valid.jsonl", "{\"goal\"\n");
  EXPECT_THROW(run(place, model, "piqa", {.data = folder}), Error);
}

}  // namespace
}  // namespace trit
