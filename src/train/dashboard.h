#pragma once
// A live page of a training run: an HTTP server in a thread of its own, which training never waits for.
//
//   GET /               the page (dashboard.html), which asks for nothing from elsewhere
//   GET /data?after=N   JSON: the run, its steps after step N (at most kRowsPerReply, "more" when there are others), samples
//
// Bounded: so many connections, 8 KiB of request without a body, ten seconds for each request and reply, kRows steps kept
// (every second one goes when there are more). What is not understood is answered with 400, 413, 403 (a name of the
// server that is not its own: pages of others reach loopback so), 404, 405 or 431.

#include <cstdint>
#include <memory>
#include <string>

#include "base/json.h"
#include "train/stepper.h"

namespace trit {

class Dashboard {
 public:
  static constexpr size_t kRows = 8192, kRowsPerReply = 1000, kSamples = 20;
  static constexpr int kConnections = 32;

  // `run`: what the page says of it: name, parameters, steps. Port 0: a free one. Throws Error (exit code 1) naming address
  // and port when it cannot listen there.
  Dashboard(const std::string& address, uint16_t port, const OrderedJson& run);
  ~Dashboard();
  Dashboard(const Dashboard&) = delete;
  uint16_t port() const;
  std::string url() const;

  // Of the step that was taken; `more`: further members of its row.
  void add(const StepReport& step, const OrderedJson& more);
  void add_sample(int64_t step, const std::string& text);

 private:
  class Server;
  std::unique_ptr<Server> server_;
};

}  // namespace trit
