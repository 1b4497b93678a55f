#include <CLI/CLI.hpp>

#include <cstdio>
#include <exception>
#include <new>

#include "base/collectives.h"
#include "base/error.h"
#include "base/single_rank.h"
#include "base/thread_pool.h"
#include "cli/commands.h"
#include "kernels/kernels.h"

namespace {

constexpr const char* kAbout =
    "trit trains, converts, runs and compares 1.58-bit language models (BitNet b1.58: every weight "
    "is\n"
    "-1, 0 or +1, activations are 8 bits) beside the full-precision LLaMA they are measured "
    "against.";

constexpr const char* kExamples = R"(
Examples:
  trit pull microsoft/bitnet-b1.58-2B-4T
  trit run models/NAME.gguf "Once upon a time"
  trit chat models/NAME.gguf
  trit tokenizer train stories.jsonl.zst --vocab-size 4096 --out tok
  trit data build stories.jsonl.zst --tokenizer tok --out data
  trit train --data data --out run --preset mini --steps 2000
  trit convert run/checkpoint model.gguf
  trit compare --data data --out comparison --preset micro --steps 500
Each command has its own --help.

Environment:
  TRIT_THREADS   threads to use (default: the cores this process may run on)
  TRIT_PIN       1 or 0: pin threads to cores or not (default: when an affinity mask gives this process its own)
  TRIT_ISA       kernels to use: scalar, avx2, avxvnni, avx512vnni, avx512vbmi or amx (default: the best the machine runs)
  TRIT_EXCHANGE  how devices of several ranks exchange: peers, nccl or host (default: the first of them that the devices can)
  TRIT_TILES     form of ternary weights in memory: 2-bit, base-3 or auto (default: what measured faster here)
  TRIT_MAP       heads and embeddings: on leaves them in the mapped file, off copies them, auto (default) as its pages are
)";

// Of several processes each says who it is, and takes the others with it.
int report(const std::string& message, trit::ExitCode code) {
  if (trit::started_by_mpi() && trit::world().size() > 1)
    std::fprintf(stderr, "trit: rank %d: %s\n", trit::world().rank(), message.c_str());
  else
    std::fprintf(stderr, "trit: %s\n", message.c_str());
  trit::abort_job(static_cast<int>(code));
  return static_cast<int>(code);
}

// A first word that is neither an option nor a command.
void refuse_unknown_command(const CLI::App& program, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return;
  std::string names;
  for (const CLI::App* command : program.get_subcommands({})) {
    if (command->get_name() == argv[1]) return;
    names += (names.empty() ? "" : ", ") + command->get_name();
  }
  trit::bad_input("'{}' is no command; there are {}", trit::printable(argv[1]), names);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App program(kAbout, "trit");
  program.footer(kExamples);
  program.require_subcommand(1);
  program.set_version_flag("--version", "trit " TRIT_VERSION);
  program
      .add_option_function<int>(
          "-t,--threads", [](const int& count) { trit::set_thread_count(count); },
          "threads to use; default: the cores this process may run on")
      ->check(CLI::Range(1, 1024));
  program.fallthrough();
  trit::add_run_command(program);
  trit::add_pull_command(program);
  trit::add_chat_command(program);
  trit::add_tokenizer_command(program);
  trit::add_data_command(program);
  trit::add_train_command(program);
  trit::add_convert_command(program);
  trit::add_perplexity_command(program);
  trit::add_eval_command(program);
  trit::add_compare_command(program);
  trit::add_verify_command(program);
  trit::add_inspect_command(program);
  trit::add_synth_command(program);
  trit::add_bench_command(program);
  trit::add_report_command(program);
  trit::add_completion_command(program);
  trit::add_man_command(program);
  if (argc < 2) {
    std::fputs(program.help().c_str(), stdout);
    return static_cast<int>(trit::ExitCode::kBadInput);
  }
  try {
    refuse_unknown_command(program, argc, argv);
    trit::kernels::active_isa();  // a wrong TRIT_ISA shows before anything is printed
    program.parse(argc, argv);
    return 0;
  } catch (const CLI::RuntimeError& stop) {
    return stop.get_exit_code();
  } catch (const CLI::Success& help) {
    return program.exit(help);
  } catch (const CLI::ParseError& error) {
    return report(std::string(error.what()) + " (see trit --help)", trit::ExitCode::kBadInput);
  } catch (const trit::Error& error) {
    return report(error.what(), error.code());
  } catch (const std::bad_alloc&) {
    return report("out of memory", trit::ExitCode::kFailure);
  } catch (const std::exception& error) {
    return report(error.what(), trit::ExitCode::kFailure);
  }
}
