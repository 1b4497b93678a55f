#pragma once
// One file per command. Each function adds its command to the program; the command runs when the
// program's arguments name it, and throws trit::Error when it fails.

#include <CLI/CLI.hpp>

namespace trit {

void add_tokenizer_command(CLI::App& program);
void add_data_command(CLI::App& program);
void add_train_command(CLI::App& program);
void add_convert_command(CLI::App& program);
void add_pull_command(CLI::App& program);
void add_run_command(CLI::App& program);
void add_chat_command(CLI::App& program);
void add_perplexity_command(CLI::App& program);
void add_eval_command(CLI::App& program);
void add_compare_command(CLI::App& program);
void add_verify_command(CLI::App& program);
void add_inspect_command(CLI::App& program);
void add_synth_command(CLI::App& program);
void add_bench_command(CLI::App& program);
void add_report_command(CLI::App& program);
void add_completion_command(CLI::App& program);
void add_man_command(CLI::App& program);

}  // namespace trit
